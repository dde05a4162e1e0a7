"""How a setting is declared: once, with name, type, unit, default and help.

Pure. A service declares a frozen dataclass; each field's default is `setting(KIND, "default text", "help")`.
Values reach a process only as such typed objects: durations are seconds (float), sizes are octets (int),
`unlimited` is UNLIMITED. Files of documentation, checks and `--help` are made from the same declarations.
A PATH is relative to the file that it stands in, and names what is read: a reload notices when it was changed.
What is written is a STR. `named(Class, "help")` declares a list of named sections (`inet_listener smtp { … }`):
dict[str, Class].
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar

UNLIMITED: Final = (1 << 63) - 1
T = TypeVar("T")


class Kind(Enum):
    """The types of dovecot.conf's values."""

    BOOL = "bool"
    UINT = "uint"
    OCTAL = "octal"
    SIZE = "size"
    TIME = "time"
    PORT = "port"
    ENUM = "enum"
    STR = "str"
    PATH = "path"
    STRLIST = "strlist"


@dataclass(frozen=True, slots=True)
class Declared:
    """What is known of a setting beside its name and Python type."""

    kind: Kind
    default: str
    help: str
    choices: tuple[str, ...] = ()
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """A list of named sections, each of the given settings class."""

    section: type
    help: str


def setting(
    kind: Kind, default: str, help: str, choices: tuple[str, ...] = (), secret: bool = False
) -> Any:  # noqa: ANN401  # the field's own annotation gives the type, as dataclasses.field does
    """Declare a setting of a frozen dataclass."""
    declared = Declared(kind, default, " ".join(help.split()), choices, secret)
    return dataclasses.field(kw_only=True, metadata={"setting": declared})


def named(section: type[T], help: str) -> Any:  # noqa: ANN401  # as above
    """Declare a list of named sections: the field's type is dict[str, section]."""
    make: Callable[[], dict[str, T]] = dict
    declared = Named(section, " ".join(help.split()))
    return dataclasses.field(default_factory=make, kw_only=True, metadata={"setting": declared})


def declarations(cls: type) -> dict[str, Declared | Named]:
    """Return what a settings class declares, by name, base classes first."""
    return {
        each.name: each.metadata["setting"]
        for each in dataclasses.fields(cls)
        if "setting" in each.metadata
    }
