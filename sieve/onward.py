"""Hand the leaves of a mail on: each group of them that is one mail to the next step is one call.

Mail that leaves goes to dkim-signer, one call for each choice of signatures; local mail goes to delivery, one call for
each destination. A group has one envelope sender and one message: where policy changed either, it is a mail of its own.
What policy holds is stored in the queue instead.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

import msgspec

from columba.common.errors import StoreError
from columba.common.hop.chain import STEP_NS, Chain, Next
from columba.common.hop.destination import destination, is_local
from columba.common.hop.mail import Mail, StepResult, Why, changed, joined, same_for_all
from columba.common.hop.queue_client import QueueClient
from columba.common.ipc import wire
from columba.common.ipc.server import Incoming
from columba.common.log.event import Event
from columba.sieve.bodies import KEPT_S, Bodies
from columba.sieve.branch import DISCARDED, Leaf
from columba.sieve.run.message import Message

UNWRITABLE: Final = Why(451, "4.3.0", "The changed mail can't be stored, try again later")
HELD: Final = Why(250, "2.0.0", "Queued")

Spawn = Callable[[Coroutine[object, object, None], str], "asyncio.Task[None]"]


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps behind this one."""

    chain: Chain
    queue: QueueClient
    dkim: Next
    delivery: Next


@dataclass(frozen=True, slots=True)
class Group:
    """Leaves that are one mail to the next step. key: the destination of a direct delivery, "" for dkim-signer."""

    key: str
    sign: tuple[wire.Sign, ...]
    sender: bytes | None
    ret: Literal["", "FULL", "HDRS"]
    hold: str
    message: Message | None
    leaves: list[Leaf]

    @property
    def recipients(self) -> tuple[wire.Recipient, ...]:
        """Return the recipients."""
        return tuple(leaf.recipient for leaf in self.leaves)


class Onward:
    """The way on."""

    def __init__(self, steps: Steps, bodies: Bodies, spawn: Spawn, event: Event) -> None:
        self._steps, self._bodies, self._spawn, self._event = steps, bodies, spawn, event

    async def hand_on(self, mail: Mail, leaves: list[Leaf], call: Incoming) -> StepResult:
        """Return an outcome for each leaf."""
        thrown = [leaf.recipient for leaf in leaves if _kind(leaf) == "discard"]
        early = same_for_all(thrown, "discarded", DISCARDED, step="sieve")
        kept = [leaf for leaf in leaves if _kind(leaf) != "discard"]
        groups = groups_of(kept, mail.handoff)
        if len(groups) == 1:
            result = await self._hand_over(mail, groups[0], call)
        else:
            async with asyncio.TaskGroup() as tasks:
                calls = [tasks.create_task(self._hand_over(mail, g, call)) for g in groups]
            result = joined([each.result() for each in calls])
        return replace(result, outcomes=(*early, *result.outcomes)) if early else result

    async def _hand_over(self, mail: Mail, group: Group, call: Incoming) -> StepResult:
        to = self._steps.delivery if group.key else self._steps.dkim
        handoff = msgspec.structs.replace(
            mail.handoff, sign=group.sign, recipients=group.recipients
        )
        if group.sender is not None or group.ret:
            old = handoff.envelope
            sender = old.sender if group.sender is None else group.sender
            envelope = msgspec.structs.replace(old, sender=sender, ret=group.ret or old.ret)
            handoff = msgspec.structs.replace(handoff, envelope=envelope)
        leaving = Mail(handoff, mail.header, mail.body)
        if group.message is None:
            return await self._pass_on(leaving, group, to, call)
        return await self._changed(leaving, group, group.message, to, call)

    async def _changed(
        self, mail: Mail, group: Group, message: Message, to: Next, call: Incoming
    ) -> StepResult:
        """Hand a changed message on; in a queue run, say what it became, so that it is kept like that."""
        handoff, body = mail.handoff, mail.body
        reference: wire.Body | None = None
        until_ns = handoff.deadline_ns - STEP_NS
        is_queue_run = handoff.origin == "queue"
        if message.is_rewritten:
            octets = message.read_body()
            try:
                reference, body = await self._bodies.as_frame(
                    handoff.id, octets, until_ns, spools=is_queue_run
                )
            except (StoreError, TimeoutError) as error:
                self._event.error("A body can't be spooled", id=handoff.id, error=str(error))
                kind: wire.OutcomeKind = "deferred" if is_queue_run else "refused"
                outcomes = same_for_all(group.recipients, kind, UNWRITABLE, step=mail.handoff.step)
                return StepResult(outcomes)
            handoff = msgspec.structs.replace(handoff, body=reference)
        leaving = Mail(handoff, message.header.raw, body)
        try:
            result = await self._pass_on(leaving, group, to, call)
        finally:
            if reference is not None and reference.spool:
                after_s = KEPT_S if is_queue_run else 0.0
                self._spawn(self._bodies.forget(reference, after_s), "spool")
        return changed(result, wire.Variant(body=reference), leaving.header)

    async def _pass_on(self, mail: Mail, group: Group, to: Next, call: Incoming) -> StepResult:
        own_deadline_ns = mail.handoff.deadline_ns
        if group.hold:
            return await self._hold(mail, group.hold, to.step, own_deadline_ns)
        if to is self._steps.delivery and mail.handoff.step != "delivery":
            own_deadline_ns -= STEP_NS  # delivery's share of the time is the same on both ways
        return await self._steps.chain.hand_over(
            mail,
            to,
            own_deadline_ns=own_deadline_ns,
            key=group.key,
            on_call=call.forward_cancel,
        )

    async def _hold(
        self, mail: Mail, reason: str, step: wire.StepName, until_ns: int
    ) -> StepResult:
        """Store a mail that policy holds; it has passed its data stage, so whose it is does not matter."""
        handoff = msgspec.structs.replace(mail.handoff, step=step)
        if handoff.may_queue == "no":
            handoff = msgspec.structs.replace(handoff, may_queue="hold")
        recipients = handoff.recipients
        intake = wire.Intake(handoff=handoff, hold=reason)
        stored = await self._steps.queue.store(mail, intake, until_ns)
        if isinstance(stored, str):
            self._event.warning("Not held", id=handoff.id, reason=reason, error=stored)
            return StepResult(same_for_all(recipients, "refused", UNWRITABLE, step="sieve"))
        self._event.info("Held by policy", id=handoff.id, reason=reason, count=len(recipients))
        return StepResult(same_for_all(recipients, "queued", HELD, step=step, keeper=stored.keeper))


def groups_of(leaves: Iterable[Leaf], handoff: wire.Handoff) -> list[Group]:
    """Return the calls to make. A hold counts when a mail comes in: what an administrator released goes on.

    What leaves goes through dkim-signer, also in a queue run: a route may lead outside that was local before, and
    a signature may serve no more (promises §6, §14).
    """
    groups: dict[tuple[object, ...], Group] = {}
    for leaf in leaves:
        recipient = leaf.recipient
        is_direct = is_local(recipient.route)
        name = destination(recipient.route, recipient.address) if is_direct else ""
        sign = () if is_direct else leaf.sign
        hold = recipient.wish.hold if recipient.wish and handoff.origin == "client" else ""
        said = recipient.sender, recipient.ret, hold
        key = (name, sign, *said, _content(leaf.message))
        if key not in groups:
            groups[key] = Group(name, sign, *said, leaf.message, [])
        groups[key].leaves.append(leaf)
    return list(groups.values())


def _content(message: Message | None) -> tuple[bytes, bytes] | None:
    """Return what two messages must have in common to be one."""
    if message is None:
        return None
    return message.header.raw, message.read_body() if message.is_rewritten else b""


def _kind(leaf: Leaf) -> str:
    return leaf.recipient.route.kind if leaf.recipient.route is not None else "mx"
