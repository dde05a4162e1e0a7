"""Build the tree of sections and values from a file's statements.

Pure: what `!include` names is read by the caller's function. The same section twice is one section, the last value
wins, and each value knows its file and line. What names mean is decided in resolve.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NewType

from columba.common.config.lexer import (
    Assign,
    Close,
    Form,
    Include,
    Open,
    ambiguous_comments,
    statements,
)
from columba.common.errors import ConfigError

VERSION_KEY: Final = "columba_config_version"
VERSIONS: Final = ("1.0",)
INCLUDE_DEPTH: Final = 20
SECTION_DEPTH: Final = 8

File = NewType("File", str)
# Given the pattern and the file that includes: (path, text) of each match in alphabetical order.
Reader = Callable[[Include, File], list[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Value:
    """A value as written, with where it was written."""

    text: str
    form: Form
    file: str
    line: int

    def error(self, text: str) -> ConfigError:
        """Return an error that points here."""
        return ConfigError(text, self.file, self.line)


@dataclass(slots=True)
class Section:
    """Values and named sections; `sections` is keyed by kind, then name."""

    kind: str = ""
    name: str = ""
    file: str = ""
    line: int = 0
    values: dict[str, Value] = field(default_factory=dict)
    sections: dict[str, dict[str, "Section"]] = field(default_factory=dict)

    def section(self, kind: str, name: str, file: str, line: int) -> "Section":
        """Return the section of that name, made if it is new."""
        named = self.sections.setdefault(kind, {})
        if name not in named:
            named[name] = Section(kind, name, file, line)
        return named[name]

    def error(self, text: str) -> ConfigError:
        """Return an error that points at the section's beginning."""
        return ConfigError(text, self.file, self.line)


class Parser:
    """Reads files one after the other into one tree."""

    def __init__(self, reader: Reader) -> None:
        self.root = Section()
        self.warnings: list[str] = []
        self._reader = reader
        self._stack: list[tuple[Section, str, int]] = [(self.root, "", 0)]
        self._files: list[str] = []

    def parse(self, text: str, file: str, versioned: bool = True) -> None:
        """Read a whole file into the tree; raises ConfigError.

        `versioned` demands columba_config_version as the first setting.
        """
        if versioned:
            self.root.file = file
        self._read(text, file)
        if versioned and VERSION_KEY not in self.root.values:
            raise ConfigError(f"The first setting must be {VERSION_KEY}", file, 1)
        if len(self._stack) > 1:
            section, opened, line = self._stack[-1]
            raise ConfigError(
                f"Missing '}}' (section {section.kind} started at {opened}:{line})", file
            )

    def _read(self, text: str, file: str) -> None:
        if file in self._files or len(self._files) >= INCLUDE_DEPTH:
            raise ConfigError(f"Recursive include file: {file}", self._files[-1])
        self._files.append(file)
        for number in ambiguous_comments(text):
            self.warnings.append(
                f"{file} line {number}: Ambiguous '#' character in line, treating it as comment."
                " Add a space before it to remove this warning."
            )
        for statement in statements(text, file):
            match statement:
                case Assign():
                    self._assign(statement, file)
                case Open():
                    self._open(statement, file)
                case Close():
                    self._close(statement, file)
                case Include():
                    for path, content in self._reader(statement, File(file)):
                        self._read(content, path)
        self._files.pop()

    def _assign(self, statement: Assign, file: str) -> None:
        section = self._stack[-1][0]
        earlier = section.values.get(statement.key)
        value = Value(statement.value, statement.form, file, statement.line)
        if section is self.root:
            self._check_version(statement, value, earlier)
        if value.form is Form.VARIABLE:
            value = _with_earlier(statement.key, value, earlier)
        section.values[statement.key] = value

    def _check_version(self, statement: Assign, value: Value, earlier: Value | None) -> None:
        if statement.key != VERSION_KEY:
            if value.file == self.root.file and VERSION_KEY not in self.root.values:
                raise value.error(f"The first setting must be {VERSION_KEY}")
            return
        if value.text not in VERSIONS:
            supported = ", ".join(VERSIONS)
            raise value.error(
                f"Invalid {VERSION_KEY}: Currently supported versions are: {supported}"
            )
        if earlier is not None and earlier.text != value.text:
            raise value.error(f"{VERSION_KEY} value can't be changed once set")

    def _open(self, statement: Open, file: str) -> None:
        if self.root.file == file and VERSION_KEY not in self.root.values:
            raise ConfigError(f"The first setting must be {VERSION_KEY}", file, statement.line)
        if len(self._stack) > SECTION_DEPTH:
            raise ConfigError("Sections are nested too deep", file, statement.line)
        parent = self._stack[-1][0]
        section = parent.section(statement.key, statement.name, file, statement.line)
        self._stack.append((section, file, statement.line))

    def _close(self, statement: Close, file: str) -> None:
        if len(self._stack) == 1:
            raise ConfigError("Unexpected '}'", file, statement.line)
        self._stack.pop()


def _with_earlier(key: str, value: Value, earlier: Value | None) -> Value:
    """Expand `k = $SET:k more` with the value that k had before."""
    tokens = value.text.split(" ")
    token = f"$SET:{key}"
    if token not in tokens:
        return value
    before = "" if earlier is None else earlier.text
    text = " ".join(before if t == token else t for t in tokens).strip()
    form = Form.VARIABLE if "$" in text else Form.LITERAL
    return Value(text, form, value.file, value.line)
