"""What a run may ask the world, and what it may hear.

Pure. A request is a value; whoever drives the machine finds the answer. A later extension adds its
request and answer types to the unions.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lookup:
    """Asks a look-up table for the value of a key (vnd.columba.lookup). Answers: Found, Missing, Unavailable."""

    table: str
    key: str


@dataclass(frozen=True, slots=True)
class Found:
    """The table knows the key."""

    value: str


@dataclass(frozen=True, slots=True)
class Missing:
    """The table answered: it does not know the key."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No answer: a temporary failure of the run, never "not found"."""

    text: str


Request = Lookup
Answer = Found | Missing | Unavailable
