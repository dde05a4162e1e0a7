"""RFC 5228 without its optional extensions, as one Extension that is always on.

Pure.
"""

from typing import Final

from columba.sieve.core import actions, control, tests
from columba.sieve.lang.words import Extension
from columba.sieve.run.compare import ASCII_CASEMAP, OCTET, UNICODE_CASEMAP

CORE: Final = Extension(
    name="",
    words=(*control.WORDS, *tests.WORDS, *actions.WORDS),
    comparators=(OCTET, ASCII_CASEMAP, UNICODE_CASEMAP),
)
