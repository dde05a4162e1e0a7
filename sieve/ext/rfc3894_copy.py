"""copy (RFC 3894): :copy for fileinto and redirect leaves the implicit keep as it is.

Pure.
"""

from typing import Final

from columba.sieve.lang.words import Extension, Tag

_COPY: Final = (Tag("copy"),)
COPY: Final = Extension("copy", joins=(("fileinto", _COPY), ("redirect", _COPY)))
