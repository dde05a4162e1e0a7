"""Ask a hop whether it takes mail for a recipient: MAIL, RCPT, RSET over the connections that mails use.

A hop is found, connected and logged in to as for a mail, so that what it says is what a mail would hear. The
connection goes back to the cache; with `holds` it waits longer there, for the mail that is on its way. A refusal
of MAIL says nothing about the recipient: that is a temporary answer.
"""

from dataclasses import replace
from typing import Final

from columba.common.clock import SystemClock
from columba.common.hop.mail import Why
from columba.common.ipc import wire
from columba.common.ipc.spool import BodySource
from columba.common.smtp.codes import ascii_line
from columba.delivery import form
from columba.delivery.attempt import Attempts, Tools, Try, Ways, is_stale
from columba.delivery.commitment import Commitment
from columba.delivery.content import Content
from columba.delivery.exchange import HopError
from columba.delivery.job import Job, Result
from columba.delivery.outcome import Decision, Stage, Verdict
from columba.delivery.session import Session
from columba.delivery.target import NoTargetError, target_of

HELD_NS: Final = (
    300_000_000_000  # RFC 5321 §4.5.3.2: a client may take so long between RCPT and the end of data
)
TAKEN: Final = Decision(Verdict.DELIVERED, Why(250, "2.1.5", "The recipient is accepted"))
_NUMBER: Final = "1"


class Asking(Attempts):
    """Attempts that end after RCPT."""

    async def _send(
        self, this: Try, part: Job, session: Session
    ) -> tuple[list[Result] | None, set[str]]:
        """Ask instead of sending."""
        label = session.endpoint.label
        try:
            said = await session.ask(
                form.transaction(part, session.extensions), self._patience(part)
            )
        except HopError as error:
            if is_stale(session, error):
                return None, set()
            return [Result(replace(_unsure(str(error)), next_host=True), label)], set()
        finally:
            session.heard()
        session.uses += 1
        (one,) = said
        if one is None:
            return [Result(TAKEN, label)], set()
        if one.stage is not Stage.RCPT:
            words = one.reply.one_line() if one.reply is not None else one.reason
            return [Result(_unsure(f"{label} does not take our MAIL: {words}"), label)], set()
        return [Result(self._decide(one, label), label)], set()


class Callouts:
    """Answers CallOut."""

    def __init__(self, tools: Tools, ways: Ways, mx_port: int) -> None:
        self._asking, self._holding = Asking(tools, ways), Asking(tools, ways, HELD_NS)
        self._mx_port = mx_port

    async def ask(self, asked: wire.CallOut) -> wire.CalledOut:
        """Return what the hop says about the recipient; 4xx when nothing is known."""
        recipient = wire.Recipient(number=_NUMBER, address=asked.recipient, route=asked.route)
        try:
            target = target_of(recipient, self._mx_port)
        except NoTargetError as error:
            return wire.CalledOut(code=550, enhanced="5.1.3", text=str(error))
        job = Job(
            target=target,
            recipients=(recipient,),
            envelope=wire.Envelope(sender=asked.sender),
            content=Content(b"", BodySource(0)),
            commitment=Commitment(SystemClock(), asked.deadline_ns),
            deadline_ns=asked.deadline_ns,
            is_client=True,
        )
        (result,) = await (self._holding if asked.holds else self._asking).run(job)
        why = result.decision.why
        return wire.CalledOut(code=why.code, enhanced=why.enhanced, text=why.text, hop=result.hop)


def _unsure(text: str) -> Decision:
    return Decision(Verdict.TEMPORARY, Why(451, "4.4.0", ascii_line(text)))
