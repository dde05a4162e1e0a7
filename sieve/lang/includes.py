"""Scripts that include others: what one compilation knows of them.

Pure. Whoever starts the compilation gives a function that finds scripts; each is compiled once, and one that
would include itself is an error.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from columba.sieve.lang.errors import CompileErrors
from columba.sieve.run.code import Code


@dataclass(frozen=True, slots=True)
class Loaded:
    """A script that was found; name is what errors call it, and the same for the same script."""

    octets: bytes
    name: str


Loader = Callable[[str, str], Loaded | None]  # location ("personal", "global") and name
Read = Callable[[str], bytes | None]  # a file, None if it is not there
CompileOne = Callable[[Loaded], Code | CompileErrors]

_SUFFIX: Final = ".sieve"


@dataclass(slots=True)
class Includes:
    """What all scripts of one compilation share. open: the names of those being compiled, outermost first."""

    load: Loader
    compile: CompileOne
    open: list[str]
    known: dict[str, Code] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)  # by any of them

    def with_required(self, names: set[str]) -> frozenset[str]:
        """Note what one more script requires, and return what all do so far."""
        self.required |= names
        return frozenset(self.required)


def loader_beside(script: str, read: Read) -> Loader:
    """Return what finds included scripts: NAME.sieve or NAME beside the one that includes them.

    Both locations, personal and global, are that folder: policy has no persons.
    """
    folder = script.rpartition("/")[0]

    def load(location: str, name: str) -> Loaded | None:
        for path in (f"{folder}/{name}{_SUFFIX}", f"{folder}/{name}"):
            octets = read(path)
            if octets is not None:
                return Loaded(octets, path)
        return None

    return load
