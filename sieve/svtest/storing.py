"""Store messages in the pretended folders.

It is all or nothing: if one folder can't take its message, no folder gets one.
"""

from typing import Final

from columba.sieve.run.actions import FileInto, Keep
from columba.sieve.run.flags import internal_flags, split_flags
from columba.sieve.run.message import Message, message_of
from columba.sieve.run.result import INBOX, Entry
from columba.sieve.run.state import Run
from columba.sieve.svtest.suite import Suite
from columba.sieve.svtest.world import FolderError, Stored, folder_name

_WITH: Final = "$HasAttachment"
_WITHOUT: Final = "$HasNoAttachment"


def octets_of(message: Message) -> bytes:
    """Return the whole message."""
    return message.header.raw + b"\r\n" + message.read_body()


def keep(suite: Suite, message: Message, flags: tuple[str, ...] = ()) -> None:
    """Put a message into INBOX."""
    suite.world.folder(INBOX).append(stored(octets_of(message), flags))


def store_all(run: Run, suite: Suite, entries: list[Entry]) -> None:
    """Store into folders, or into none of them. Raises FolderError after noting the error."""
    plan: list[tuple[str, Stored]] = []
    created: list[str] = []
    try:
        for entry in entries:
            action = as_fileinto(entry)
            if action is not None:
                name = _target(suite, action, created)
                flags = internal_flags(run) if action.flags is None else action.flags
                plan.append((name, stored(octets_of(entry.message), flags)))
    except FolderError:
        for name in created:
            del suite.world.folders[name]
        raise
    for name, message in plan:
        suite.world.folder(name).append(message)


def as_fileinto(entry: Entry) -> FileInto | None:
    """Return what an action stores, and where; None if it stores nothing."""
    match entry.action:
        case Keep(flags=flags):
            return FileInto(INBOX, flags=flags)
        case FileInto() as action:
            return action
        case _:
            return None


def _target(suite: Suite, action: FileInto, created: list[str]) -> str:
    """Return the folder of an action, made if it may be. Raises FolderError after noting the error."""
    world = suite.world
    try:
        special = world.with_use(action.special_use) if action.special_use else ""
        if special:
            return special
        name = folder_name(action.mailbox)
        if action.creates and name not in world.folders:
            world.create(name)
            created.append(name)
        world.folder(action.mailbox)
    except FolderError as error:
        suite.errors.append(f"failed to store into mailbox '{action.mailbox}': {error}")
        raise
    return name


def stored(octets: bytes, flags: tuple[str, ...]) -> Stored:
    """Return a message with its flags and the keyword that the store itself adds."""
    parts = message_of(octets).structure.parts
    has = any(part.disposition == "attachment" or part.file_name for part in parts)
    return Stored(octets, split_flags((*flags, _WITH if has else _WITHOUT)))
