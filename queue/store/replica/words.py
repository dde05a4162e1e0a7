"""What members of a replicated store say to each other.

Pure. A request is frames: call id (8 octets), one of these Structs in MessagePack, and for Accept and Piece the
content; a reply is call id, Struct, and the content where one was asked for. Every key is a register of its own,
decided by Paxos with a changing value (Rystsov: CASPaxos, 2018): a Ballot orders the tries, the highest wins.
"""

from typing import Annotated, Final

import msgspec

NAME_LIMIT: Final = 100  # characters of a member's name
_TEXT: Final = msgspec.Meta(
    max_length=750
)  # keys are shorter (store/base.py), and so is all else that is a name
Number = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
Text = Annotated[str, _TEXT]
Ballot = tuple[Number, Text]  # (number, proposer): compared as tuples are
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

    etag: Text = ""
    size: Number = 0
    present: bool = False
    blob: Text = ""
    write: Text = ""


class Read(Word, frozen=True, tag="read"):
    """Asks for what a member has accepted for a key; with its content, if that is not large."""

    key: Text
    with_content: bool = False


class Prepare(Word, frozen=True, tag="prepare"):
    """Asks for the promise to accept nothing older than the ballot, and for what was accepted."""

    key: Text
    ballot: Ballot


class Accept(Word, frozen=True, tag="accept"):
    """Asks to accept a version. keep: its content is that of this ballot, which the member has accepted.

    then: promise this ballot at once, so that the same proposer need not prepare its next change.
    """

    key: Text
    ballot: Ballot
    version: Version
    keep: Ballot = NEVER
    then: Ballot = NEVER


class Names(Word, frozen=True, tag="names"):
    """Asks for the first keys that begin with prefix and are greater than after."""

    prefix: Text
    after: Text = ""
    limit: Number = NAMES_LIMIT


class Fetch(Word, frozen=True, tag="fetch"):
    """Asks for a part of the content that was accepted under a ballot."""

    key: Text
    ballot: Ballot
    offset: Number = 0


class Piece(Word, frozen=True, tag="piece"):
    """Brings a part of a content before the Accept that names it."""

    blob: Text
    offset: Number
    is_last: bool = False


class Changes(Word, frozen=True, tag="changes"):
    """Asks for what was accepted since a number of the member's own."""

    after: Number = 0
    limit: Number = NAMES_LIMIT


class Join(Word, frozen=True, tag="join"):
    """Says that a member whose folder is new will vote, and asks whether one of its name has before."""

    name: Text


class Joined(Word, frozen=True, tag="joined"):
    """The name is on disk. is_known: it was before."""

    is_known: bool


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

    key: Text
    accepted: Ballot
    present: bool


class Listed(Word, frozen=True, tag="listed"):
    """The answer to Names. more: others may follow behind the last one."""

    names: tuple[Name, ...]
    more: bool


class Change(Word, frozen=True):
    """A key that changed at a member, with the number of that change."""

    number: Number
    key: Text
    accepted: Ballot
    version: Version
    promised: Ballot = NEVER


class Changed(Word, frozen=True, tag="changed"):
    """The answer to Changes. ledger: its random name, as a new one counts its changes anew."""

    changes: tuple[Change, ...]
    ledger: Text = ""
    votes: bool = True


Request = Read | Prepare | Accept | Names | Fetch | Piece | Changes | Join
Reply = Known | Refused | Done | Lacking | Failed | Listed | Changed | Joined

ENCODER: Final = msgspec.msgpack.Encoder()
REQUESTS: Final = msgspec.msgpack.Decoder(Request)
REPLIES: Final = msgspec.msgpack.Decoder(Reply)
