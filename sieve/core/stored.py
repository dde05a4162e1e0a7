"""What answers of the mail store mean to tests.

Pure.
"""

from columba.sieve.lang.errors import Position
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.requests import Answer, Found, Unavailable


def value_of(answer: Answer, place: Position) -> str | None:
    """Return what is there, None for nothing; a store that does not answer ends the run with a temporary error."""
    if isinstance(answer, Unavailable):
        raise ScriptFailure(f"the mail store does not answer: {answer.text}", place)
    return answer.value if isinstance(answer, Found) else None
