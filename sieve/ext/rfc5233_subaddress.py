"""subaddress (RFC 5233): :user and :detail.

Pure. The delimiters come from the limits of the run; the leftmost of them splits. An address without
one has no detail.
"""

from typing import Final

from columba.sieve.core.matching import ADDRESS_PART
from columba.sieve.lang.words import AddressPart, Extension, Tag


def split_local(local: str, delimiters: str) -> tuple[str, str | None]:
    """Return user and detail of a local part; detail is None without a delimiter."""
    places = [at for delimiter in delimiters if (at := local.find(delimiter)) >= 0]
    if not places:
        return local, None
    at = min(places)
    return local[:at], local[at + 1 :]


_TAGS: Final = (
    Tag(
        "user",
        ADDRESS_PART,
        meaning=AddressPart(lambda local, _, marks: split_local(local, marks)[0]),
    ),
    Tag(
        "detail",
        ADDRESS_PART,
        meaning=AddressPart(lambda local, _, marks: split_local(local, marks)[1]),
    ),
)
SUBADDRESS: Final = Extension("subaddress", joins=((":localpart", _TAGS),))
