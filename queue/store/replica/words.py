"""What members of a replicated store say to each other.

Pure. A request is frames: call id (8 octets), one of these Structs in MessagePack, and for Accept and Piece the
content; a reply is call id, Struct, and the content where one was asked for. Every key is a register of its own,
decided by Paxos with a changing value (Rystsov: CASPaxos, 2018): a Ballot orders the tries, the highest wins.
"""

from typing import Final

import msgspec

Ballot = tuple[int, str]  # (number, proposer): compared as tuples are
NEVER: Final[Ballot] = (0, "")
PIECE: Final = 1 << 18  # octets of a content in one message
INLINE: Final = PIECE  # larger contents are sent before, in pieces
FRAME_LIMIT: Final = PIECE + 4096
NAMES_LIMIT: Final = 2000


class Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of all: immutable, defaults are not sent. Each subclass says frozen=True again for mypy."""


class Version(Word, frozen=True):
    """One content of a key. present = False: the key was removed, or never was. blob: sent before in pieces.

    write is new for each put, so that who wrote it knows it again.
    """

    etag: str = ""
    size: int = 0
    present: bool = False
    blob: str = ""
    write: str = ""


class Read(Word, frozen=True, tag="read"):
    """Asks for what a member has accepted for a key; with its content, if that is not large."""

    key: str
    with_content: bool = False


class Prepare(Word, frozen=True, tag="prepare"):
    """Asks for the promise to accept nothing older than the ballot, and for what was accepted."""

    key: str
    ballot: Ballot


class Accept(Word, frozen=True, tag="accept"):
    """Asks to accept a version. keep: its content is that of this ballot, which the member has accepted.

    then: promise this ballot at once, so that the same proposer need not prepare its next change.
    """

    key: str
    ballot: Ballot
    version: Version
    keep: Ballot = NEVER
    then: Ballot = NEVER


class Names(Word, frozen=True, tag="names"):
    """Asks for the first keys that begin with prefix and are greater than after."""

    prefix: str
    after: str = ""
    limit: int = NAMES_LIMIT


class Fetch(Word, frozen=True, tag="fetch"):
    """Asks for a part of the content that was accepted under a ballot."""

    key: str
    ballot: Ballot
    offset: int = 0


class Piece(Word, frozen=True, tag="piece"):
    """Brings a part of a content before the Accept that names it."""

    blob: str
    offset: int
    is_last: bool = False


class Changes(Word, frozen=True, tag="changes"):
    """Asks for what was accepted since a number of the member's own."""

    after: int = 0
    limit: int = NAMES_LIMIT


class Known(Word, frozen=True, tag="known"):
    """What a member has for a key: the answer to Read, and, as a promise, to Prepare. A witness has no content."""

    accepted: Ballot = NEVER
    version: Version = Version()
    has_content: bool = False


class Refused(Word, frozen=True, tag="refused"):
    """The member has promised this later ballot to somebody else."""

    promised: Ballot


class Done(Word, frozen=True, tag="done"):
    """It is done, durably."""


class Lacking(Word, frozen=True, tag="lacking"):
    """The member has no such content (any more)."""


class Failed(Word, frozen=True, tag="failed"):
    """The member can't write or read."""

    text: str
    is_full: bool = False


class Name(Word, frozen=True):
    """A key in a list, with the ballot of what it has."""

    key: str
    accepted: Ballot
    present: bool


class Listed(Word, frozen=True, tag="listed"):
    """The answer to Names. more: others may follow behind the last one."""

    names: tuple[Name, ...]
    more: bool


class Change(Word, frozen=True):
    """A key that changed at a member, with the number of that change."""

    number: int
    key: str
    accepted: Ballot
    version: Version


class Changed(Word, frozen=True, tag="changed"):
    """The answer to Changes."""

    changes: tuple[Change, ...]


Request = Read | Prepare | Accept | Names | Fetch | Piece | Changes
Reply = Known | Refused | Done | Lacking | Failed | Listed | Changed

ENCODER: Final = msgspec.msgpack.Encoder()
REQUESTS: Final = msgspec.msgpack.Decoder(Request)
REPLIES: Final = msgspec.msgpack.Decoder(Reply)
