"""How much a mailbox holds, counted by the file `maildirsize` of Maildir++.

The file's first line is the quota it was counted for, each further one "octets messages" of a change; one
write appends a line, so that several writers need no lock. A reader that deletes mail may not know the
file: before a mail is refused, the mailbox is counted anew. All calls block: call them off the loop.
Source: Maildir++ quota extension (the courier-mta description of maildirsize).
"""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILE: Final = "maildirsize"
FILE_MAX: Final = 5120  # octets; a longer file is made anew
_SIZE: Final = re.compile(r",S=([0-9]{1,18})(?:[,:]|$)")
_LINE: Final = re.compile(r" *(-?[0-9]{1,18}) +(-?[0-9]{1,18}) *")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a mailbox holds, with all its folders but the trash."""

    size_bytes: int
    messages: int


def has_room(mailbox: Path, size_bytes: int, limit_bytes: int) -> bool:
    """Tell whether size_bytes more fit into the limit. Raises OSError."""
    known = _read(mailbox, limit_bytes)
    if known is not None and known.size_bytes + size_bytes <= limit_bytes:
        return True
    counted = count(mailbox)
    _write(mailbox, limit_bytes, counted)
    return counted.size_bytes + size_bytes <= limit_bytes


def add(mailbox: Path, size_bytes: int) -> None:
    """Note one more message; a file that is not there stays so (the next count makes it)."""
    with contextlib.suppress(OSError):
        fd = os.open(mailbox / FILE, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            os.write(fd, f"{size_bytes:>12} {1:>12}\n".encode())
        finally:
            os.close(fd)


def count(mailbox: Path) -> Usage:
    """Count every mail by the S= of its name, else by its size on disk. Raises OSError."""
    sizes = list(_sizes(mailbox))
    return Usage(sum(sizes), len(sizes))


def _sizes(mailbox: Path) -> Iterator[int]:
    folders = [mailbox, *(f for f in mailbox.glob(".*") if f.name != ".Trash")]
    for folder in folders:
        for part in ("cur", "new"):
            yield from _sizes_in(folder / part)


def _sizes_in(directory: Path) -> Iterator[int]:
    try:
        entries = list(os.scandir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        found = _SIZE.search(entry.name)
        if found:
            yield int(found[1])
            continue
        with contextlib.suppress(FileNotFoundError):  # a reader moved it
            yield entry.stat(follow_symlinks=False).st_size


def _read(mailbox: Path, limit_bytes: int) -> Usage | None:
    """Return the sum of the file's lines; None when it must be made anew."""
    try:
        with (mailbox / FILE).open("rb") as file:
            text = file.read(FILE_MAX + 1).decode("ascii", "replace")
    except OSError:
        return None
    head, *lines = text.split("\n")
    found = [_LINE.fullmatch(line) for line in lines if line]
    if len(text) > FILE_MAX or head != f"{limit_bytes}S" or None in found:
        return None
    pairs = [(int(m[1]), int(m[2])) for m in found if m is not None]
    return Usage(sum(size for size, _ in pairs), sum(number for _, number in pairs))


def _write(mailbox: Path, limit_bytes: int, usage: Usage) -> None:
    temporary = mailbox / "tmp" / f"{FILE}.{os.getpid()}.{os.urandom(4).hex()}"
    temporary.write_text(f"{limit_bytes}S\n{usage.size_bytes:>12} {usage.messages:>12}\n")
    temporary.rename(mailbox / FILE)
