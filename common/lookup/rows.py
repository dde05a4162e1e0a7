"""From rows of a database to the value of a key.

Pure.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from columba.common.errors import UnavailableError
from columba.common.lookup.base import JOINT, VALUE_MAX

ROWS: Final = 1000  # that are read of one answer


def value_of(rows: Iterable[Sequence[object]]) -> str | None:
    """Return the first column of the rows, joined; None if there is no row, or only empty ones (NULL).

    Raises UnavailableError for a value that is too long.
    """
    found = [text_of(row[0]) for row in rows if row and row[0] is not None]
    return joined(found)


def joined(found: Sequence[str]) -> str | None:
    """Return several values as one, None for none. Raises UnavailableError for one that is too long."""
    if not found:
        return None
    value = JOINT.join(found)
    if len(value) > VALUE_MAX:
        raise UnavailableError(f"the value is longer than {VALUE_MAX} characters")
    return value


def text_of(value: object) -> str:
    """Return a value of a database as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
