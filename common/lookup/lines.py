"""Read tables written as lines: `key value`, comments, continuation; and passwd-files.

Pure: text goes in, a mapping comes out. Keys are compared without regard to case. A line that starts with a blank
continues the one before (as in Postfix's tables). A key given twice: the first line holds, the second is an error,
as nobody can have meant both.
"""

from collections.abc import Mapping

from columba.common.errors import ConfigError


def parse_lines(text: str, file: str) -> Mapping[str, str]:
    """Return the entries of a `key value` table; raises ConfigError with file and line."""
    entries: dict[str, str] = {}
    for number, line in logical_lines(text):
        key, _, value = " ".join(line.split()).partition(" ")
        _add(entries, key, value.strip(), file, number)
    return entries


def parse_passwd(text: str, file: str) -> Mapping[str, str]:
    """Return the users of a passwd-file (name:password:uid:gid:gecos:home:shell:extra); the value is the home."""
    entries: dict[str, str] = {}
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if line and not line.startswith("#"):
            fields = line.split(":")
            _add(entries, fields[0], fields[5] if len(fields) > 5 else "", file, number)
    return entries


def parse_inline(text: str) -> Mapping[str, str]:
    """Return the entries of `key=value,key,…`; raises ConfigError."""
    entries: dict[str, str] = {}
    for part in text.split(","):
        key, _, value = part.partition("=")
        if key.strip():
            _add(entries, key.strip(), value.strip(), "", 0)
    return entries


def _add(entries: dict[str, str], key: str, value: str, file: str, line: int) -> None:
    lower = key.lower()
    if not lower:
        raise ConfigError("An entry has no key", file, line)
    if lower in entries:
        raise ConfigError(f"The key {key!r} is given twice", file, line)
    entries[lower] = value


def logical_lines(text: str) -> list[tuple[int, str]]:
    """Return the lines that are no comments, with their numbers; a continued one is joined by a blank."""
    lines: list[tuple[int, str]] = []
    for number, raw in enumerate(text.split("\n"), 1):
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        if raw[0] in " \t" and lines:
            lines[-1] = lines[-1][0], f"{lines[-1][1]} {raw.strip()}"
        else:
            lines.append((number, raw.strip()))
    return lines
