"""Read configuration files from disk.

The master's checker reads them with `read_tree`; a service process sees none of that (handed.py).
"""

import glob
import os
import socket
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from columba.common.config.lexer import Include
from columba.common.config.parser import File, Parser, Section
from columba.common.config.resolve import Resolver, Schema, World
from columba.common.errors import ConfigError

DEFAULT_PATH: Final = "/etc/columba/columba.conf"
BUILTIN_FILE: Final = "<built-in>"
FILE_MAX: Final = 1 << 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tree:
    """What was read."""

    root: Section
    warnings: list[str]


def read_tree(path: str, builtin: str = "") -> Tree:
    """Return the tree of a configuration file, laid over built-in text; raises ConfigError."""
    parser = Parser(_include)
    if builtin:
        parser.parse(builtin, BUILTIN_FILE, versioned=False)
    path = os.path.abspath(path)
    try:
        text = read_file(path)
    except OSError as error:
        raise ConfigError(f"Can't open configuration file {path}: {error.strerror}") from error
    parser.parse(text, path)
    return Tree(parser.root, parser.warnings)


def read_file(path: str) -> str:
    """Return the text of a file of at most 1 MiB; raises OSError, ConfigError."""
    with open(path, "rb") as file:
        data = file.read(FILE_MAX + 1)
    if len(data) > FILE_MAX:
        raise ConfigError(f"File is larger than {FILE_MAX} octets", path)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError("Text is not UTF-8", path, line) from error


def system_world() -> World:
    """Return this machine's environment."""
    system = {"cpu_count": str(os.cpu_count() or 1), "hostname": socket.getfqdn()}
    return World(os.environ, system, read_file)


def defaults(cls: type[T], **changed: object) -> T:
    """Return a settings object of defaults with some values changed; for tools and tests."""
    world = World({}, {"cpu_count": "1", "hostname": "localhost"}, read_file)
    schema = Schema(cls, _NoService, {}, cls)
    values = Resolver(Section(), schema, world).resolve(cls, (Section(),))
    return msgspec.convert({**values, **changed}, cls)


class _NoService:
    """A service section without settings."""

    __dataclass_fields__: dict[str, object] = {}  # noqa: RUF012  # none, and never changed


def _include(statement: Include, file: File) -> list[tuple[str, str]]:
    pattern = os.path.join(os.path.dirname(file), statement.pattern)
    paths = sorted({path for each in _braces(pattern) for path in glob.glob(each)})
    if not paths and statement.required:
        raise ConfigError(f"!include {statement.pattern}: No matches", file, statement.line)
    out = []
    for path in paths:
        try:
            out.append((path, read_file(path)))
        except OSError as error:
            if statement.required:
                text = f"Couldn't open include file {path}: {error.strerror}"
                raise ConfigError(text, file, statement.line) from error
    return out


def _braces(pattern: str) -> list[str]:
    """Expand {a,b} of a pattern."""
    before, brace, rest = pattern.partition("{")
    inner, closing, after = rest.partition("}")
    if not brace or not closing:
        return [pattern]
    return [each for word in inner.split(",") for each in _braces(f"{before}{word}{after}")]
