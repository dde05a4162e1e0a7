"""Answer what scripts ask about mailboxes: of Maildirs, through the delivery process that will have the mail.

Stores belong to delivery: it alone looks at the disk. Of a mailbox that is not known to be in a Maildir nothing is
there: no fileinto could reach it (docs/sieve/standard.md). Annotations stand in a dict, if the site has named one.
"""

import time
from typing import Final

from columba.common.dict.base import Dict
from columba.common.errors import PeerError, UnavailableError
from columba.common.hop.destination import destination
from columba.common.ipc import wire
from columba.common.ipc.calls import Caller
from columba.sieve.run.requests import (
    Answer,
    Found,
    MailboxExists,
    Metadata,
    Missing,
    SpecialUse,
    Unavailable,
)

RESERVE_NS: Final = 100_000_000  # delivery's answer comes before we stop waiting
YES: Final = Found("yes")


class Mailboxes:
    """Answers MailboxExists, SpecialUse and Metadata. notes: where annotations are, None for nowhere."""

    def __init__(self, caller: Caller, notes: Dict | None) -> None:
        self._caller, self._notes = caller, notes

    async def ask(self, asked: MailboxExists | SpecialUse | Metadata, timeout_s: float) -> Answer:
        """Return Found, Missing or Unavailable."""
        match asked:
            case MailboxExists(mailbox=folder, home=home):
                return await self._folder(home, folder, "", timeout_s)
            case SpecialUse(use=use, mailbox=folder, home=home):
                return await self._folder(home, folder, use, timeout_s)
            case Metadata():
                return await self._annotation(asked, timeout_s)

    async def _folder(self, home: str, folder: str, use: str, timeout_s: float) -> Answer:
        if not home:
            return Missing()
        until_ns = time.monotonic_ns() + int(timeout_s * 1e9)
        request = wire.FolderAsk(
            path=home, folder=folder, use=use, deadline_ns=until_ns - RESERVE_NS
        )
        key = destination(wire.Route(kind="maildir", path=home), b"")
        try:
            answer = await self._caller.call("delivery", request, until_ns=until_ns, key=key)
        except PeerError as error:
            return Unavailable(f"delivery: {error}")
        if not isinstance(answer.reply, wire.FolderTold):
            return Unavailable("delivery can't tell now")
        if answer.reply.problem:
            return Unavailable(answer.reply.problem)
        return YES if answer.reply.exists else Missing()

    async def _annotation(self, asked: Metadata, timeout_s: float) -> Answer:
        """RFC 5490 §4.1: what a mailbox that is not there says is nothing."""
        if self._notes is None or (asked.mailbox and not asked.home):
            return Missing()
        try:
            value = await self._notes.get(note_key(asked), timeout_s)
        except UnavailableError as error:
            return Unavailable(str(error))
        if value is None:
            return Missing()
        there = (
            YES
            if not asked.mailbox
            else await self._folder(asked.home, asked.mailbox, "", timeout_s)
        )
        return Found(value) if there is YES else there


def note_key(asked: Metadata) -> str:
    """Return the key of an annotation, whose name has no case (RFC 5464 §4.1)."""
    if not asked.mailbox:
        return "server" + asked.annotation.lower()
    folder = "INBOX" if asked.mailbox.upper() == "INBOX" else asked.mailbox
    return f"mailbox/{asked.home}/{folder}{asked.annotation.lower()}"
