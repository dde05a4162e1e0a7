"""SASLprep: make names and passwords that look alike equal before they are hashed or compared.

Pure. Source: RFC 4013, the profile of stringprep (RFC 3454) for user names and passwords; unassigned code
points are refused as in stored strings. Text that is ASCII goes through unchanged.
"""

import stringprep
import unicodedata
from collections.abc import Callable
from typing import Final

from columba.common.errors import RemoteProtocolError

_Table = Callable[[str], bool]
_FORBIDDEN: Final[tuple[_Table, ...]] = (
    stringprep.in_table_a1,
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def saslprep(text: str) -> str:
    """Return the prepared text. Raises RemoteProtocolError for what RFC 4013 §2.3 and §2.4 forbid."""
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(c) else c for c in text if not stringprep.in_table_b1(c)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    if any(table(c) for c in prepared for table in _FORBIDDEN):
        raise RemoteProtocolError("a character that no name or password may hold")
    if any(map(stringprep.in_table_d1, prepared)):
        _check_right_to_left(prepared)
    return prepared


def _check_right_to_left(text: str) -> None:
    """RFC 3454 §6: no left-to-right letters beside, and right-to-left ones at both ends."""
    ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    if any(map(stringprep.in_table_d2, text)) or not ends:
        raise RemoteProtocolError("text of both directions in a name or password")
