"""What a run wants to be remembered, once its mail was delivered or queued.

Pure values. Nothing is written while a script runs; docs/decisions/0010-effects.md says when it is, and how often.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from columba.common.dict.base import number

MARKS: Final = ""  # the dict of this server's own marks: duplicates, replies sent


@dataclass(frozen=True, slots=True)
class Effect:
    """A write to a dict: set to value, add amount, or unset. expires_s counts from the commit; 0 = never."""

    kind: Literal["set", "add", "unset"]
    key: str
    dict: str = MARKS
    value: str = ""
    amount: int = 1
    expires_s: int = 0


def written(effects: Iterable[Effect], dict: str, key: str, known: str | None) -> str | None:
    """Return the value that a key has after effects of the same run; known: what the dict has, None if nothing."""
    value = known
    for effect in effects:
        if (effect.dict, effect.key) != (dict, key):
            continue
        match effect.kind:
            case "set":
                value = effect.value
            case "unset":
                value = None
            case "add":
                value = str(number(value) + effect.amount)
    return value
