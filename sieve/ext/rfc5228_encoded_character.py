"""encoded-character (RFC 5228 §2.4.2.4): a capability of strings; lang/strings.py reads it.

Pure.
"""

from typing import Final

from columba.sieve.lang.words import Extension

ENCODED_CHARACTER: Final = Extension("encoded-character")
