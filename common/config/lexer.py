"""Cut the text of a configuration file into logical lines.

Pure. It knows comments, quotes, continuations and here-documents of Dovecot's 2.4 dialect, and nothing of
what a setting means. A blank line or a comment inside a continuation is an error: joined silently,
it would throw away what stands before it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from columba.common.errors import ConfigError

LINE_MAX = 65536  # octets of a logical line
SPACE = " \t"


class Form(Enum):
    """How a value was written, which decides how it is expanded."""

    LITERAL = "literal"
    QUOTED = "quoted"
    VARIABLE = "variable"  # holds $SET:… or $ENV:… tokens
    FILE = "file"  # <path


@dataclass(frozen=True, slots=True)
class Assign:
    """`key = value`."""

    line: int
    key: str
    value: str
    form: Form


@dataclass(frozen=True, slots=True)
class Open:
    """`key {` or `key name {`."""

    line: int
    key: str
    name: str


@dataclass(frozen=True, slots=True)
class Close:
    """`}`."""

    line: int


@dataclass(frozen=True, slots=True)
class Include:
    """`!include PATTERN`; `required` is False for `!include_try`."""

    line: int
    pattern: str
    required: bool


Statement = Assign | Open | Close | Include


def statements(text: str, file: str) -> Iterator[Statement]:
    """Yield the statements of a file; raises ConfigError with file and line.

    The line of a statement is the last physical line of it.
    """
    lines = iter(enumerate(text.split("\n"), 1))
    pending = ""
    for number, raw in lines:
        stripped = raw.strip(SPACE + "\r")
        content = strip_comment(stripped).rstrip(SPACE)
        if not content:
            if pending:
                raise ConfigError("A continued line is followed by an empty one", file, number)
            continue
        if content.endswith("\\"):
            pending += content[:-1].rstrip(SPACE) + " "
            if len(pending) > LINE_MAX:
                raise ConfigError("Line is too long", file, number)
            continue
        logical, pending = pending + content, ""
        if "\0" in logical:
            raise ConfigError("NUL character in line", file, number)
        statement = _statement(logical, file, number)
        if isinstance(statement, Assign) and statement.form is Form.LITERAL:
            mark = statement.value
            if mark.startswith("<<") and mark[2:].strip(SPACE):
                body = _heredoc(lines, mark[2:].strip(SPACE), file, number)
                statement = Assign(number, statement.key, body, Form.QUOTED)
        yield statement
    if pending:
        raise ConfigError("The last line is continued", file, text.count("\n") + 1)


def strip_comment(line: str) -> str:
    """Return the line without its comment; `#` inside quotes is text."""
    index = 0
    while index < len(line):
        char = line[index]
        if char == "#":
            return line[:index]
        index = _after_quoted(line, index) if char in "'\"" else index + 1
    return line


def ambiguous_comments(text: str) -> Iterator[int]:
    """Yield the numbers of lines where a comment begins without a space before it."""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(SPACE)
        kept = strip_comment(line)
        if kept and len(kept) < len(line) and kept[-1] not in SPACE:
            yield number


def _after_quoted(line: str, start: int) -> int:
    """Return the index behind a quoted run, or behind its first quote if it never ends."""
    quote, index = line[start], start + 1
    while index < len(line):
        if line[index] == "\\":
            index += 2
            continue
        if line[index] == quote:
            return index + 1
        index += 1
    return start + 1


def _statement(line: str, file: str, number: int) -> Statement:
    if line == "}":
        return Close(number)
    for word, required in (("!include_try", False), ("!include", True)):
        if line.startswith(word) and line[len(word) : len(word) + 1] in ("", " ", "\t"):
            pattern = _unquoted(line[len(word) :].strip(SPACE), file, number)
            if not pattern:
                raise ConfigError(f"{word} needs a file name", file, number)
            return Include(number, pattern, required)
    key, rest = _key(line, file, number)
    if rest.startswith("="):
        value, form = _value(rest[1:].strip(SPACE), file, number)
        return Assign(number, key, value, form)
    return _open(key, rest, file, number)


def _key(line: str, file: str, number: int) -> tuple[str, str]:
    if line[0] == '"':
        end = _after_quoted(line, 0)
        if end > 1:
            return _unquoted(line[:end], file, number), line[end:].lstrip(SPACE)
    end = 0
    while end < len(line) and line[end] not in SPACE + "=":
        end += 1
    if end == 0:
        raise ConfigError("Expecting a setting's name before '='", file, number)
    return line[:end], line[end:].lstrip(SPACE)


def _open(key: str, rest: str, file: str, number: int) -> Open:
    if "{" not in rest:
        raise ConfigError("Expecting '=' or '{'", file, number)
    if not rest.endswith("{"):
        raise ConfigError("Garbage after '{'", file, number)
    name = rest[:-1].rstrip(SPACE)
    if name and name[0] in "'\"":
        return Open(number, key, _unquoted(name, file, number))
    if "{" in name:
        raise ConfigError("Garbage after '{'", file, number)
    if " " in name or "\t" in name:
        raise ConfigError(f"A section has one name, quote it: {name}", file, number)
    return Open(number, key, name)


def _value(text: str, file: str, number: int) -> tuple[str, Form]:
    if text.startswith("<") and not text.startswith("<<"):
        return text[1:].strip(SPACE), Form.FILE
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return _unquoted(text, file, number), Form.QUOTED
    if "$" in text:
        return text, Form.VARIABLE
    return text, Form.LITERAL


def _unquoted(text: str, file: str, number: int) -> str:
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"":
        return text
    out, index, inner = [], 0, text[1:-1]
    while index < len(inner):
        char = inner[index]
        if char == "\\":
            index += 1
            char = inner[index : index + 1]
            if char not in ('"', "'", "\\"):
                raise ConfigError(f"Unknown escape sequence \\{char}", file, number)
        out.append(char)
        index += 1
    return "".join(out)


def _heredoc(lines: Iterator[tuple[int, str]], mark: str, file: str, number: int) -> str:
    body: list[str] = []
    for _, raw in lines:
        if raw.rstrip("\r") == mark:
            return "".join(body)
        body.append(raw + "\n")
    raise ConfigError(f"Missing {mark}", file, number)
