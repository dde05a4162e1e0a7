"""i;ascii-numeric, and the capability names of comparators (RFC 5228 §2.7.3, RFC 4790 §9.1).

Pure.
"""

from typing import Final

from columba.sieve.lang.words import Extension
from columba.sieve.run.compare import ASCII_NUMERIC

NUMERIC: Final = Extension("comparator-i;ascii-numeric", comparators=(ASCII_NUMERIC,))
