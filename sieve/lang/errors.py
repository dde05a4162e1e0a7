"""Where in a script something is, and what is wrong there.

Pure. Columns count characters from 1. `render` shows an error as compilers do, with the line and a caret.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final

from columba.common.errors import ConfigError

BEFORE: Final = 80  # characters of a line that are shown before and behind a mistake
BEHIND: Final = 80


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a script; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """Return "file:line:column"."""
        return f"{self.file}:{self.line}:{self.column}"


class Source:
    """The text of a script. Octets that are no UTF-8 are surrogates, so that they survive."""

    __slots__ = ("_starts", "name", "text")

    def __init__(self, octets: bytes, name: str) -> None:
        text = octets.decode("utf-8", "surrogateescape")
        self.text = text.removeprefix("\ufeff")
        self.name = name
        self._starts: list[int] | None = None

    def position(self, at: int) -> Position:
        """Return the place of an offset into text."""
        starts = self._line_starts()
        line = bisect_right(starts, at)
        return Position(self.name, line, at - starts[line - 1] + 1)

    def excerpt(self, position: Position) -> tuple[str, int]:
        """Return what stands around a place on its line, and the index of the place in it."""
        start = self._line_starts()[position.line - 1]
        at = start + position.column - 1
        begin = max(start, at - BEFORE)
        end = self.text.find("\n", at, at + BEHIND)
        return self.text[begin : end if end >= 0 else at + BEHIND].rstrip("\r"), at - begin

    def _line_starts(self) -> list[int]:
        if self._starts is None:
            starts, at = [0], self.text.find("\n")
            while at >= 0:
                starts.append(at + 1)
                at = self.text.find("\n", at + 1)
            self._starts = starts
        return self._starts


@dataclass(frozen=True, slots=True)
class ScriptError:
    """One mistake. `text` stands alone: no place, no full stop. `source` is for the caret, None if not at hand.

    is_warning: the script compiles nevertheless.
    """

    text: str
    position: Position
    source: Source | None = field(default=None, repr=False, compare=False)
    is_warning: bool = False

    def render(self) -> str:
        """Return "file:line:column: error: text", the line and a caret below it."""
        head = f"{self.position}: {'warning' if self.is_warning else 'error'}: {self.text}"
        if self.source is None:
            return head
        line, at = self.source.excerpt(self.position)
        shown = "".join(c if c == "\t" or c.isprintable() else "?" for c in line)
        indent = "".join("\t" if c == "\t" else " " for c in shown[:at])
        return f"{head}\n  {shown}\n  {indent}^"


@dataclass(frozen=True, slots=True)
class CompileErrors:
    """Why a script does not compile: the mistakes in order of discovery, at least one.

    `phase` is what failed: "parsing" or "validation". warnings are never counted.
    """

    name: str
    phase: str
    errors: tuple[ScriptError, ...]
    warnings: tuple[ScriptError, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The bare texts, with the closing entry that says which phase failed."""
        return (*(error.text for error in self.errors), f"{self.phase} failed")

    def render(self) -> str:
        """Return all errors with carets, and a last line that counts them."""
        count = len(self.errors)
        last = f"{self.name}: {self.phase} failed: {count} error{'s' if count > 1 else ''}"
        shown = sorted((*self.warnings, *self.errors), key=lambda each: each.position.line)
        return "\n".join([*(each.render() for each in shown), last])

    def as_config_error(self) -> ConfigError:
        """Return the first mistake as the exception that stops a start."""
        first = self.errors[0]
        place = first.position
        return ConfigError(first.text, place.file, place.line, place.column)


class ErrorLog:
    """Collects the mistakes of one compilation."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._errors: list[ScriptError] = []
        self._warnings: list[ScriptError] = []

    def warn(self, at: int, text: str) -> None:
        """Note what is probably wrong at an offset of the source, but is no error."""
        place = self._source.position(at)
        self._warnings.append(ScriptError(text, place, self._source, is_warning=True))

    @property
    def warnings(self) -> tuple[ScriptError, ...]:
        """What was warned of."""
        return tuple(self._warnings)

    def add(self, at: int, text: str) -> None:
        """Note a mistake at an offset of the source."""
        place = self._source.position(at)
        self._errors.append(ScriptError(text, place, self._source))

    def adopt(self, errors: CompileErrors) -> None:
        """Take over the mistakes of an included script."""
        self._errors.extend(errors.errors)
        self._warnings.extend(errors.warnings)

    def taken(self, phase: str) -> CompileErrors:
        """Return what was noted; there must be something."""
        return CompileErrors(self._source.name, phase, tuple(self._errors), self.warnings)

    def __len__(self) -> int:
        return len(self._errors)
