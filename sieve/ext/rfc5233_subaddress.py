"""subaddress (RFC 5233): :user and :detail.

Pure. The parts are split at the leftmost of the delimiters. An address without one has no detail.
"""

from typing import Final

from columba.sieve.core.matching import ADDRESS_PART
from columba.sieve.lang.words import AddressPart, Extension, Tag

DEFAULT_DELIMITERS: Final = "+"


def split_local(local: str, delimiters: str) -> tuple[str, str | None]:
    """Return user and detail of a local part; detail is None without a delimiter."""
    places = [at for delimiter in delimiters if (at := local.find(delimiter)) >= 0]
    if not places:
        return local, None
    at = min(places)
    return local[:at], local[at + 1 :]


def subaddress(delimiters: str) -> Extension:
    """Return the extension for a set of delimiters, each a single character."""
    user = AddressPart(lambda local, domain: split_local(local, delimiters)[0])
    detail = AddressPart(lambda local, domain: split_local(local, delimiters)[1])
    tags = (
        Tag("user", ADDRESS_PART, meaning=user),
        Tag("detail", ADDRESS_PART, meaning=detail),
    )
    return Extension("subaddress", joins=((":localpart", tags),))
