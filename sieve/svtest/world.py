"""The pretended mail store and SMTP server of the tester.

Everything is in memory. A folder's name is as scripts write it; INBOX is always there.
"""

from dataclasses import dataclass, field
from typing import Final

from columba.common.errors import ColumbaError
from columba.sieve.ext.rfc5228_fileinto import mailbox_problem
from columba.sieve.run.envelope import Path
from columba.sieve.run.result import INBOX

_SEPARATOR: Final = "."


class FolderError(ColumbaError):
    """A folder that does not exist, or whose name is none."""

    temporary = False


@dataclass(frozen=True, slots=True)
class Sent:
    """What one recipient was sent; sender is the null path for reports."""

    octets: bytes
    sender: Path
    recipient: Path


@dataclass(frozen=True, slots=True)
class Stored:
    """A message in a folder."""

    octets: bytes
    flags: tuple[str, ...] = ()


@dataclass(slots=True)
class World:
    """All that lasts beyond one result; outbox index 0 is the oldest."""

    folders: dict[str, list[Stored]] = field(default_factory=lambda: {INBOX: []})
    outbox: list[Sent] = field(default_factory=list)
    uses: dict[str, str] = field(default_factory=dict)
    annotations: dict[tuple[str, str], str] = field(default_factory=dict)

    def create(self, name: str) -> None:
        """Create a folder; one that exists stays as it is. Raises FolderError."""
        self.folders.setdefault(folder_name(name), [])

    def with_use(self, use: str) -> str:
        """Return the folder of a special use (RFC 8579), or ""."""
        return self.uses.get(use.lower(), "")

    def has(self, name: str) -> bool:
        """Tell whether a folder is there."""
        try:
            return folder_name(name) in self.folders
        except FolderError:
            return False

    def has_use(self, name: str, use: str) -> bool:
        """Tell whether a folder, or any if name is "", has a special use."""
        found = self.with_use(use)
        return bool(found) and (not name or (self.has(name) and folder_name(name) == found))

    def annotate(self, mailbox: str, annotation: str, value: str) -> None:
        """Set an annotation of a folder, of the server if that is "". Raises FolderError."""
        name = folder_name(mailbox) if mailbox else ""
        self.annotations[name, annotation.lower()] = value

    def annotation(self, mailbox: str, annotation: str) -> str | None:
        """Return an annotation, None if it is not set or its folder is not there."""
        if mailbox and not self.has(mailbox):
            return None
        name = folder_name(mailbox) if mailbox else ""
        return self.annotations.get((name, annotation.lower()))

    def folder(self, name: str) -> list[Stored]:
        """Return the messages of a folder, the oldest first. Raises FolderError."""
        messages = self.folders.get(folder_name(name))
        if messages is None:
            raise FolderError(f"folder {name} does not exist")
        return messages


def folder_name(name: str) -> str:
    """Return the one spelling of a folder's name. Raises FolderError if it can't be one."""
    if mailbox_problem(name) or "" in name.split("/") or "" in name.split(_SEPARATOR):
        raise FolderError("invalid folder name")
    first, dot, rest = name.partition(_SEPARATOR)
    return (INBOX if first.upper() == INBOX else first) + dot + rest
