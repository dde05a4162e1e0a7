"""Put a mail into a Maildir: written in tmp, fsynced, renamed into new, the directory fsynced.

Only after that is it `saved`. All mailboxes belong to one user (virtual users under one uid). Everything
here blocks: the service calls it off the loop. Line ends on disk are LF, as every Maildir reader expects.
What a mail's outcome is to the client is not decided here.
Sources: RFC 5321 §4.4 (Return-Path), Maildir, Maildir++; promises §13.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

from columba.common.files import NO_SPACE, make_folders, sync_folder, write_synced
from columba.common.mail.header import Header
from columba.delivery import placement, quota
from columba.delivery.commitment import Commitment
from columba.delivery.content import Content

PARTS: Final = ("tmp", "new", "cur")


class Filing(Enum):
    """How it ended."""

    SAVED = "saved"
    OVER_QUOTA = "over quota"
    LOOPED = "looped"
    NO_SPACE = "no space"
    LATE = "late"  # the deadline came first; nothing was saved


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail for one mailbox."""

    content: Content
    sender: bytes
    address: bytes
    path: str  # of the mailbox below the root
    folder: str
    create: bool
    flags: tuple[str, ...]
    base: str  # placement.base_name
    use: str = ""  # a folder of this special use is taken before `folder`


@dataclass(frozen=True, slots=True)
class Maildirs:
    """The mail root and what holds for all mailboxes. quota_bytes 0 = no limit.

    uses: special uses in lower case, to the names of their folders (RFC 8579).
    """

    root: Path
    quota_bytes: int = 0
    uses: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def has_folder(self, path: str, folder: str, use: str) -> bool:
        """Tell whether a mail would be filed in a folder; "" is any of that use. Raises OSError.

        use: one that the folder must have too, if it is not "". Of INBOX it is true before the first mail, which
        makes it. A name that can't be one is none.
        """
        try:
            own = self._mailbox(path)
            name = placement.folder_name(folder)
        except placement.BadMailboxError:
            return False
        if not use:
            return not name or _is_writable(own / name)
        named = [placement.folder_name(each) for each in self.uses.get(use.lower(), ())]
        return any(_is_writable(own / each) for each in named if not folder or each == name)

    def save(self, letter: Letter, commitment: Commitment) -> Filing:
        """Save a mail. Raises placement.BadMailboxError, OSError (then nothing is known to be saved)."""
        own = self._mailbox(letter.path)
        name = placement.folder_name(letter.folder)
        header = Header(letter.content.header)
        if _has_looped(header, letter.address):
            return Filing.LOOPED
        content = letter.content.with_header(_final_header(header, letter.sender, letter.address))
        try:
            _make_maildir(own)
            if self.quota_bytes and not quota.has_room(own, content.size, self.quota_bytes):
                return Filing.OVER_QUOTA
            folder = self._used(own, letter.use) or _folder(own, name, letter.create)
            filing, size = _write(folder, content, letter, commitment)
        except OSError as error:
            if error.errno in NO_SPACE:
                return Filing.NO_SPACE
            raise
        if filing is Filing.SAVED and self.quota_bytes:
            quota.add(own, size)
        return filing

    def _used(self, own: Path, use: str) -> Path | None:
        """RFC 8579 §4: the first folder of a special use that is there; None: the one that is named."""
        folders = (own / placement.folder_name(each) for each in self.uses.get(use.lower(), ()))
        return next((folder for folder in folders if _is_writable(folder)), None)

    def _mailbox(self, path: str) -> Path:
        """Return the directory of a mailbox; one inside another mailbox is refused.

        The mailboxes of users named tmp, new and cur make no Maildir of the folder that they stand in, or who sends
        three mails to a domain that takes every name could close it.
        """
        parts = placement.mailbox_parts(path)
        for n in range(1, len(parts)):
            above = self.root.joinpath(*parts[:n])
            if _is_maildir(above) and not all(_is_maildir(above / part) for part in PARTS):
                raise placement.BadMailboxError(f"{path!r} lies inside another mailbox")
        return self.root.joinpath(*parts)


def _is_maildir(directory: Path) -> bool:
    return all((directory / part).is_dir() for part in PARTS)


def _is_writable(directory: Path) -> bool:
    """Tell whether it is a Maildir that this process can file into."""
    return os.access(directory / "tmp", os.W_OK) and (directory / "cur").is_dir()


def _has_looped(header: Header, address: bytes) -> bool:
    ours = address.lower()
    return any(field.value.strip().lower() == ours for field in header.get_all("Delivered-To"))


def _final_header(header: Header, sender: bytes, address: bytes) -> bytes:
    """RFC 5321 §4.4: final delivery adds the one Return-Path, a foreign one goes."""
    cleaned = header.remove("Return-Path")
    own = b"Return-Path: <" + sender + b">\r\n", b"Delivered-To: " + address + b"\r\n"
    return b"".join(own) + cleaned.raw


def _make_maildir(directory: Path) -> None:
    for part in PARTS:
        make_folders(directory / part, 0o700)


def _folder(own: Path, name: str, create: bool) -> Path:
    """Return the folder's directory; one that is not there and may not be made is INBOX (RFC 5228 §4.1)."""
    if not name:
        return own
    directory = own / name
    if not (directory / "cur").is_dir() and not create:
        return own
    _make_maildir(directory)
    marker = directory / "maildirfolder"
    with contextlib.suppress(FileExistsError):
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    return directory


def _write(
    folder: Path, content: Content, letter: Letter, commitment: Commitment
) -> tuple[Filing, int]:
    temporary = folder / "tmp" / f"{letter.base}.P{os.getpid()}R{os.urandom(4).hex()}"
    lines = _UnixLines()
    write_synced(temporary, lines.convert(content.chunks()))
    part, name = placement.file_name(letter.base, lines.size, content.size, letter.flags)
    if not commitment.enter():
        temporary.unlink()
        return Filing.LATE, 0
    temporary.rename(folder / part / name)
    sync_folder(folder / part)
    return Filing.SAVED, lines.size


class _UnixLines:
    """Turns CRLF into LF, also where a chunk ends between the two; counts what comes out."""

    def __init__(self) -> None:
        self.size = 0

    def convert(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the chunks with LF as line end."""
        held = b""
        for chunk in chunks:
            data = held + chunk
            held = b"\r" if data.endswith(b"\r") else b""
            out = data[: len(data) - len(held)].replace(b"\r\n", b"\n")
            self.size += len(out)
            yield out
        self.size += len(held)
        yield held
