"""The end of a run by an error of its script.

Pure.
"""

from columba.common.errors import ColumbaError
from columba.sieve.lang.errors import Position


class ScriptFailure(ColumbaError):
    """A run-time error. The machine turns it into a value; nothing outside the engine sees it."""

    def __init__(self, text: str, place: Position) -> None:
        super().__init__(text)
        self.text = text
        self.place = place
