"""index (RFC 5260 §6): :index and :last choose one field of those that header, address and date look at.

Pure. core/fields.py does the choosing.
"""

from typing import Final

from columba.sieve.core.fields import INDEX_TAGS
from columba.sieve.lang.words import Extension

INDEX: Final = Extension(
    "index", joins=(("header", INDEX_TAGS), ("address", INDEX_TAGS), ("date", INDEX_TAGS))
)
