"""File a recipient's mail into a Maildir, off the loop, and say what that means for the recipient."""

from collections.abc import Mapping
from typing import Final

from columba.common.clock import left_s
from columba.common.errors import ConfigError, StoreError
from columba.common.hop.mail import Why
from columba.common.ipc import wire
from columba.common.off_loop import OffLoop
from columba.common.smtp.codes import ascii_line
from columba.delivery.commitment import Commitment
from columba.delivery.content import Content
from columba.delivery.job import LATE, UNREADABLE, Result
from columba.delivery.maildir import Filing, Letter, Maildirs
from columba.delivery.outcome import Decision, Verdict
from columba.delivery.placement import BadMailboxError, base_name, folder_name
from columba.delivery.settings import MailboxSection

DISK_S: Final = 600.0  # the call's deadline is kept by the step; a thread can't be stopped
LOCAL: Final = "maildir"
_DECISIONS: Final = {
    Filing.SAVED: Decision(Verdict.DELIVERED, Why(250, "2.0.0", "Saved in the mailbox")),
    Filing.OVER_QUOTA: Decision(Verdict.TEMPORARY, Why(452, "4.2.2", "The mailbox is full")),
    Filing.LOOPED: Decision(
        Verdict.FAILED, Why(554, "5.4.6", "This mail was delivered to this mailbox before (loop)")
    ),
    Filing.NO_SPACE: Decision(
        Verdict.TEMPORARY, Why(452, "4.3.1", "Insufficient system storage"), alert=True
    ),
    Filing.LATE: LATE,
}
# What folders are for where the configuration has no `mailbox` sections: the names that clients make.
_USES: Final[Mapping[str, tuple[str, ...]]] = {
    "\\archive": ("Archive", "Archives"),
    "\\drafts": ("Drafts",),
    "\\junk": ("Junk", "Spam"),
    "\\sent": ("Sent", "Sent Messages"),
    "\\trash": ("Trash", "Deleted Messages"),
}
_BROKEN: Final = Why(451, "4.3.0", "The mailbox can't be written now")


class Filer:
    """Files mails of one process."""

    def __init__(self, maildirs: Maildirs, hostname: str, off_loop: OffLoop) -> None:
        self._maildirs, self._hostname, self._off_loop = maildirs, hostname, off_loop

    async def file(
        self,
        handoff: wire.Handoff,
        recipient: wire.Recipient,
        content: Content,
        commitment: Commitment,
    ) -> list[Result]:
        """Return the one result."""
        route = recipient.route or wire.Route(kind="maildir")
        letter = Letter(
            content=content,
            sender=handoff.envelope.sender,
            address=recipient.address,
            path=route.path,
            folder=route.folder,
            create=route.create,
            use=route.use,
            flags=route.flags,
            base=base_name(
                handoff.envelope.arrived_s, handoff.id, recipient.number, self._hostname
            ),
        )
        hop = f"{LOCAL}:{route.path}" + (f"/{route.folder}" if route.folder else "")
        return [Result(await self._save(letter, commitment), hop)]

    async def ask(self, asked: wire.FolderAsk) -> wire.FolderTold:
        """Tell whether a folder is there."""
        try:
            exists = await self._off_loop.run(
                left_s(asked.deadline_ns),
                self._maildirs.has_folder,
                asked.path,
                asked.folder,
                asked.use,
            )
        except (OSError, TimeoutError) as error:
            return wire.FolderTold(problem=ascii_line(f"the mailbox can't be read: {error}"))
        return wire.FolderTold(exists=exists)

    async def _save(self, letter: Letter, commitment: Commitment) -> Decision:
        try:
            filing = await self._off_loop.run(DISK_S, self._maildirs.save, letter, commitment)
        except BadMailboxError as error:
            why = Why(451, "4.3.5", ascii_line(str(error)))
            return Decision(Verdict.TEMPORARY, why, alert=True)
        except StoreError:
            return UNREADABLE
        except (OSError, TimeoutError) as error:
            why = Why(_BROKEN.code, _BROKEN.enhanced, ascii_line(f"{_BROKEN.text}: {error}"))
            return Decision(Verdict.TEMPORARY, why, alert=True, own_words=_BROKEN.text)
        return _DECISIONS[filing]


def special_uses(sections: Mapping[str, MailboxSection]) -> Mapping[str, tuple[str, ...]]:
    """Return special uses in lower case, and the folders that have them. Raises ConfigError."""
    if not sections:
        return _USES
    found: dict[str, tuple[str, ...]] = {}
    for name, section in sections.items():
        try:
            folder_name(name)
        except BadMailboxError as error:
            raise ConfigError(f"mailbox {name}: {error}") from error
        for use in section.special_use:
            if not use.startswith("\\"):
                raise ConfigError(f"mailbox {name}: special_use {use} lacks its backslash")
            found[use.lower()] = (*found.get(use.lower(), ()), name)
    return found
