"""Reports about a mail that the chain finished while its client waits: durable before the 250 (promises §2).

One about the recipients that failed while others were accepted, and those about deliveries, where the sender asked
for them and no later hop reports (RFC 3461 §5.2.2).
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from columba.common.errors import StoreError
from columba.common.ipc import wire
from columba.common.ipc.spool import open_body
from columba.common.off_loop import OffLoop
from columba.queue import message, outcome, reports
from columba.queue.bounce import Bounces
from columba.queue.intake import Intake
from columba.queue.policy import Policy
from columba.queue.record import INLINE_LIMIT, Record, changed
from columba.queue.stock import Stock

_READ_S = 10.0


class Live:
    """Makes DSNs for smtpd, before its 250."""

    def __init__(
        self,
        stock: Stock,
        bounces: Bounces,
        policy: Policy,
        intake: Intake,
        off_loop: OffLoop,
        spool: Path,
    ) -> None:
        self._stock, self._bounces, self._intake = stock, bounces, intake
        self._policy = policy
        self._off_loop, self._spool = off_loop, spool

    async def bounce(
        self, request: wire.Bounce, parts: Sequence[bytes]
    ) -> wire.Stored | wire.NotStored:
        """Answer Stored when the DSN is durable, or when none is due. Asking twice makes one.

        For a sender who may not be told (backscatter), the failed recipients are held instead.
        """
        if request.handoff.may_queue != "yes":
            return await self._intake.store(held(request), parts)
        owners = self._stock.owners
        holding = owners.main
        if holding is None or not owners.is_held(holding):
            return wire.NotStored(text="the queue has no lease")
        try:
            record = await self._failed(request, parts)
            dsns = []
            for due in reports.due(record):
                form = await self._policy.form(record, due)
                dsns.append(await self._bounces.store(holding.owner, record, due, form))
        except (StoreError, TimeoutError) as error:
            return wire.NotStored(text=str(error) or "the spool is too slow")
        if not owners.is_held(holding):
            return wire.NotStored(text="the queue lost its lease")
        for dsn in dsns:
            if dsn is not None:
                self._stock.plan(dsn)
        return wire.Stored()

    async def _failed(self, request: wire.Bounce, parts: Sequence[bytes]) -> Record:
        """Return the mail as a record whose recipients have failed; it is not stored itself."""
        message.check(request.handoff)
        header, inline = (*parts, b"", b"")[:2]
        now_s, policy = self._stock.now_s, self._stock.policy
        intake = wire.Intake(handoff=request.handoff)
        record = message.record_of(intake, header, b"", now_s, policy)
        outcomes = [msgspec.structs.replace(each, kind="failed") for each in request.failed]
        outcomes += request.delivered
        record = outcome.apply(record, outcomes, (), now_s, policy).record
        source = await self._off_loop.run(
            _READ_S, open_body, self._spool, request.handoff.body, inline
        )
        with source:
            if source.size > INLINE_LIMIT:
                return changed(record, body_key="too large to go back")
            body = await self._off_loop.run(_READ_S, b"".join, source.chunks())
        return changed(record, body=body)


def held(request: wire.Bounce) -> wire.Intake:
    """Return the intake that holds the failed recipients for an administrator."""
    people = tuple(
        wire.Recipient(number=each.number, address=each.address, original=each.original)
        for each in request.failed
    )
    handoff = msgspec.structs.replace(request.handoff, recipients=people)
    return wire.Intake(handoff=handoff, hold=outcome.HOLD_FAILED, replies=request.failed)
