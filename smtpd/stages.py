"""Ask sieve-filter for the verdict of a stage before data.

A stage without a script costs no call. sieve-filter keeps no state between calls: the session's variables
travel with the call and come back with the verdict. A filter that is busy, dead or silent means 451.
"""

import time
from typing import Literal

from columba.common.errors import PeerError
from columba.common.ipc import wire
from columba.common.ipc.calls import Caller
from columba.common.log.event import Event
from columba.common.smtp import codes
from columba.smtpd.session import Session
from columba.smtpd.settings import Settings
from columba.smtpd.transaction import Transaction

StageName = Literal["connect", "helo", "auth", "mail", "rcpt"]


class Stages:
    """The stages of one process. `has` tells whether a stage has a script."""

    def __init__(self, settings: Settings, caller: Caller, event: Event) -> None:
        scripts: dict[StageName, str] = {
            "connect": settings.sieve_connect,
            "helo": settings.sieve_helo,
            "auth": settings.sieve_auth,
            "mail": settings.sieve_mail,
            "rcpt": settings.sieve_rcpt,
        }
        self._scripted = frozenset(name for name, path in scripts.items() if path)
        self._timeout_ns = int(settings.stage_timeout * 1e9)
        self._caller, self._event = caller, event

    def has(self, stage: StageName) -> bool:
        """Tell whether the stage has a script."""
        return stage in self._scripted

    async def ask(
        self,
        stage: StageName,
        session: Session,
        transaction: Transaction | None = None,
        recipient: bytes = b"",
        *,
        original: bytes = b"",
        errors: int = 0,
    ) -> wire.Verdict:
        """Return the verdict; its variables, and the client's name if a script asked for it, are in the session.

        original: what the client's RCPT said, if that is another; errors: of its commands so far.
        """
        deadline_ns = time.monotonic_ns() + self._timeout_ns
        request = wire.Stage(
            stage=stage,
            deadline_ns=deadline_ns,
            client=session.client(errors=errors),
            id=transaction.id if transaction else "",
            sender=transaction.sender if transaction else b"",
            recipient=recipient,
            original=original,
            number=str(transaction.count + 1) if transaction and recipient else "",
            recipients=len(transaction.recipients) if transaction else 0,
            variables=session.variables,
        )
        try:
            answer = await self._caller.call("sieve", request, until_ns=deadline_ns)
        except PeerError as error:
            self._event.warning("No verdict", stage=stage, session=session.id, error=str(error))
            return _unavailable()
        if not isinstance(answer.reply, wire.Verdict):
            kind = type(answer.reply).__name__
            self._event.warning("No verdict", stage=stage, session=session.id, error=kind)
            return _unavailable()
        if answer.reply.variables:
            session.variables = answer.reply.variables
        if answer.reply.ptr:
            session.name, session.ptr = answer.reply.name or "", answer.reply.ptr
        return answer.reply


def _unavailable() -> wire.Verdict:
    busy = codes.FILTER_UNAVAILABLE
    return wire.Verdict(action="reply", code=busy.code, enhanced=busy.enhanced, text=busy.lines[0])
