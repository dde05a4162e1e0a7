"""aliases(5): `name: value, value`, with `:include:/path`; commands and files are refused with words.

Pure: what is included comes through a function. The value of an alias is its addresses joined by ", ". A name that
leads to a command (`|…`) or a file (`/…`) does not stop the others: asking for it is a temporary failure that says
why, and the configuration check names its line.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from columba.common.errors import ConfigError, UnavailableError
from columba.common.lookup.base import JOINT

INCLUDE: Final = ":include:"
DEPTH: Final = 5
TARGETS: Final = 10_000
_WORD: Final = re.compile(
    r'\s*((?:"(?:[^"\\]|\\.)*"|[^,"\s])(?:"(?:[^"\\]|\\.)*"|[^,"])*)\s*(?:,|$)'
)
_NO_COMMAND: Final = "commands are not run: a Sieve script or an LMTP server can do that"
_NO_FILE: Final = "mail is not appended to files: a route to a maildir does that"
Include = Callable[[str], str]


class Aliases:
    """Names and their targets."""

    def __init__(self) -> None:
        self._targets: dict[str, str] = {}
        self._refused: dict[str, ConfigError] = {}

    @property
    def mistakes(self) -> tuple[ConfigError, ...]:
        """What is refused, with file and line."""
        return tuple(self._refused.values())

    def find(self, key: str) -> str | None:
        """Return the targets of a name, joined; raises UnavailableError for one that is refused."""
        lower = key.lower()
        if lower in self._refused:
            raise UnavailableError(str(self._refused[lower]))
        return self._targets.get(lower)

    def add(self, name: str, targets: list[str]) -> None:
        """Add an alias."""
        self._targets[name] = JOINT.join(targets)

    def refuse(self, name: str, error: ConfigError) -> None:
        """Add an alias that leads where mail can't go."""
        self._refused[name] = error

    def has(self, name: str) -> bool:
        """Tell whether a name is there."""
        return name in self._targets or name in self._refused


def parse_aliases(lines: Iterable[tuple[int, str]], file: str, include: Include) -> Aliases:
    """Read lines with their numbers; raises ConfigError. include reads a file; it may raise OSError."""
    aliases = Aliases()
    for number, line in lines:
        name, colon, value = _split(line)
        if not colon or not name:
            raise ConfigError("a line is a name, a colon and addresses", file, number)
        if aliases.has(name):
            raise ConfigError(f"The alias {name!r} is given twice", file, number)
        try:
            aliases.add(name, _targets(value, include, DEPTH))
        except (ConfigError, OSError) as error:
            why = error.text if isinstance(error, ConfigError) else str(error)
            aliases.refuse(name, ConfigError(f"alias {name}: {why}", file, number))
    return aliases


def _split(line: str) -> tuple[str, str, str]:
    if line.startswith('"'):
        name, _, rest = line[1:].partition('"')
        colon, value = rest.lstrip()[:1], rest.lstrip()[1:]
        return name.strip().lower(), colon if colon == ":" else "", value
    name, colon, value = line.partition(":")
    return name.strip().lower(), colon, value


def _targets(text: str, include: Include, depth: int) -> list[str]:
    found: list[str] = []
    end = 0
    while end < len(text.rstrip(" ,")):
        match = _WORD.match(text, end)
        if match is None:
            raise ConfigError(f"{text[end : end + 40]!r} is no list of addresses")
        end = match.end()
        found += _target(match[1].strip(), include, depth)
    if not found:
        raise ConfigError("it has no addresses")
    if len(found) > TARGETS:
        raise ConfigError(f"it has more than {TARGETS} addresses")
    return found


def _target(word: str, include: Include, depth: int) -> list[str]:
    bare = word[1:-1].replace('\\"', '"') if word.startswith('"') and word.endswith('"') else word
    if bare.startswith("|"):
        raise ConfigError(_NO_COMMAND)
    if bare.startswith("/"):
        raise ConfigError(_NO_FILE)
    if not bare.lower().startswith(INCLUDE):
        # "\name" says: no further alias. Each target is routed by itself here, so the mark has no meaning.
        return [word.removeprefix("\\")]
    path = bare[len(INCLUDE) :].strip()
    if not path.startswith("/") or depth == 0:
        raise ConfigError(f"{bare!r} needs an absolute path, and may not include itself")
    lines = [line for line in include(path).splitlines() if not line.lstrip().startswith("#")]
    text = ", ".join(line.strip().rstrip(",") for line in lines if line.strip(" ,"))
    return _targets(text, include, depth - 1) if text else []
