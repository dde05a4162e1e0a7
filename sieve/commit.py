"""Do what scripts decided to be remembered or sent, once their recipients are accepted.

Each effect happens once per (message id, recipient number, effect), in whichever process and however often the mail
is tried (docs/decisions/0010-effects.md). A write that fails is logged, for the mail itself was delivered; a mail that
can't be stored makes the client hear 451.
"""

import time
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

import msgspec

from columba.common.clock import left_s
from columba.common.dict.base import Add, Change, Dict, Drop, Put
from columba.common.errors import UnavailableError
from columba.common.hop.mail import ACCEPTED, Mail, Why, same_for_all
from columba.common.hop.queue_client import QueueClient
from columba.common.idforms import derived_id
from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.sieve.expand import Todo
from columba.sieve.mailing import Mailing, Origin, mailing
from columba.sieve.run.effects import MARKS

NOT_STORED: Final = Why(451, "4.3.0", "A mail about yours can't be stored, try again later")
LEAST_S: Final = 0.2
_AT_ONCE: Final = 1000


class Committer:
    """Commits effects. dicts: by name, "" is that of our own marks."""

    def __init__(
        self,
        dicts: Mapping[str, Dict],
        queue: QueueClient,
        origin: Origin,
        timeout_s: float,
        event: Event,
    ) -> None:
        self._dicts, self._queue, self._origin = dicts, queue, origin
        self._timeout_s, self._event = timeout_s, event

    async def commit(
        self, handoff: wire.Handoff, todo: Iterable[Todo], outcomes: Iterable[wire.Outcome]
    ) -> tuple[wire.Outcome, ...]:
        """Commit what is due by these outcomes; return further ones, that must be told beside them."""
        known = tuple(outcomes)
        more: tuple[wire.Outcome, ...] = ()
        silent: set[str] = set()
        for each in todo:
            outcome = accepted(each.number, known)
            if outcome is None:
                continue
            until_ns = handoff.deadline_ns
            await self.write(handoff.id, each.number or "0", each.writes, until_ns, silent)
            if each.run is not None:
                more += await self._send_all(handoff, each, outcome)
        return more

    async def write(
        self,
        id: str,
        number: str,
        writes: Iterable[wire.Effect],
        until_ns: int,
        silent: set[str] | None = None,
    ) -> None:
        """Make writes that are due by until_ns, each dict's in one step.

        id "": of no mail, nothing marks that they were made. silent: dicts that did not answer for the same mail; past
        until_ns they are not waited for again, or the answer would be late by the number of recipients.
        """
        by_dict: dict[str, list[wire.Effect]] = {}
        for effect in writes:
            by_dict.setdefault(effect.dict, []).append(effect)
        silent = set() if silent is None else silent
        for name, effects in by_dict.items():
            changes = [_change(effect) for effect in effects]
            mark = f"{id or time.time_ns()}/{number}/{_hash(effects)}"
            try:
                store = self._dicts[name]
                if name in silent and left_s(until_ns) < LEAST_S:
                    raise UnavailableError("it did not answer before")
                await store.commit(mark, changes, self._left_s(until_ns))
            except (KeyError, UnavailableError) as error:
                silent.add(name)
                self._event.warning(
                    "An effect is lost", id=id or None, dict=name or "marks", error=str(error)
                )

    async def _send_all(
        self, handoff: wire.Handoff, todo: Todo, outcome: wire.Outcome
    ) -> tuple[wire.Outcome, ...]:
        assert todo.run is not None
        for n, entry in enumerate(todo.entries):
            id = derived_id(handoff.id, todo.number, entry.action.name, str(n))
            made = mailing(todo.run, entry, self._origin, id)
            if made is None or not await self._is_due(made, id, handoff):
                continue
            problem = await self._store(made, id, handoff.deadline_ns)
            if not problem and made.copy is not None:
                problem = await self._file(made, todo, outcome, id, handoff.deadline_ns)
            if problem:
                self._event.error(
                    "A mail could not be stored", id=handoff.id, mail=id, error=problem
                )
                await self._forget(made)
                if handoff.origin == "client":
                    return _told(outcome)
                continue
            self._event.info(
                "Sent by policy",
                id=handoff.id,
                mail=id,
                action=entry.action.name,
                to=", ".join(to.decode("utf-8", "replace") for to in made.recipients),
            )
        return ()

    def _left_s(self, until_ns: int) -> float:
        """Return how long a dict may take: the answer to the client must not be late for it."""
        return max(LEAST_S, min(self._timeout_s, left_s(until_ns)))

    async def _is_due(self, made: Mailing, id: str, about: wire.Handoff) -> bool:
        """Tell whether a mail was not yet sent to this one lately; a dict that does not answer means no."""
        if not made.once:
            return True
        try:
            first = await self._dicts[MARKS].set_new(
                made.once, id, self._left_s(about.deadline_ns), made.period_s
            )
        except (KeyError, UnavailableError) as error:
            self._event.warning("Not answered", id=about.id, error=str(error))
            return False
        return first == id

    async def _forget(self, made: Mailing) -> None:
        if not made.once:
            return
        try:
            await self._dicts[MARKS].delete(made.once, self._timeout_s)
        except UnavailableError as error:
            self._event.warning("An effect is lost", dict="marks", error=str(error))

    async def _store(self, made: Mailing, id: str, until_ns: int) -> str:
        people = tuple(
            wire.Recipient(number=str(n), address=to)
            for n, to in enumerate(made.recipients[:_AT_ONCE], 1)
        )
        return await self._intake(made, id, "route", people, until_ns)

    async def _file(
        self, made: Mailing, todo: Todo, outcome: wire.Outcome, id: str, until_ns: int
    ) -> str:
        """RFC 8580: store a copy in the user's own Maildir."""
        assert made.copy is not None
        home = todo.home
        if home is None or home.kind != "maildir":
            self._event.warning(":fcc needs a route to a maildir", mail=id)
            return ""
        folder = "" if made.copy.mailbox.upper() == "INBOX" else made.copy.mailbox
        route = msgspec.structs.replace(
            home,
            folder=folder,
            create=made.copy.creates,
            use=made.copy.special_use,
            flags=made.copy.flags or (),
        )
        person = wire.Recipient(number="1", address=outcome.address, route=route, pinned=True)
        return await self._intake(made, derived_id(id, "fcc"), "delivery", (person,), until_ns)

    async def _intake(
        self,
        made: Mailing,
        id: str,
        step: wire.StepName,
        people: tuple[wire.Recipient, ...],
        until_ns: int,
    ) -> str:
        """Return "" when the queue has the mail, else why not."""
        if not people:
            return ""
        is_utf8 = not all(address.isascii() for address in (made.sender, *made.recipients))
        handoff = wire.Handoff(
            id=id,
            step=step,
            deadline_ns=until_ns,
            envelope=wire.Envelope(
                sender=made.sender,
                size=len(made.header) + 2 + len(made.body),
                arrived_s=time.time(),
                body8=not made.body.isascii(),
                smtputf8=is_utf8,
            ),
            client=wire.Client(trusted=True),
            recipients=people,
            body=wire.Body(size=len(made.body)),
            may_queue="yes",
            kind="generated",
        )
        mail = Mail(handoff, made.header, made.body)
        stored = await self._queue.store(mail, wire.Intake(handoff=handoff), until_ns)
        return stored if isinstance(stored, str) else ""


def accepted(number: str, outcomes: Iterable[wire.Outcome]) -> wire.Outcome | None:
    """Return the first outcome by which a recipient, any if number is "", was delivered, queued or discarded.

    What an earlier try reached counts too: its effects may have been lost with it.
    """
    below = number + "."
    for outcome in outcomes:
        is_his = not number or outcome.number == number or outcome.number.startswith(below)
        if is_his and outcome.kind in ACCEPTED:
            return outcome
    return None


def _told(outcome: wire.Outcome) -> tuple[wire.Outcome, ...]:
    """Return what makes the client hear 451 while the outcome itself goes to the fence."""
    person = wire.Recipient(
        number=f"{outcome.number}.0", address=outcome.address, original=outcome.original
    )
    return same_for_all([person], "refused", NOT_STORED, step="sieve")


def _change(effect: wire.Effect) -> Change:
    match effect.kind:
        case "set":
            return Put(effect.key, effect.value, effect.expires_s)
        case "add":
            return Add(effect.key, effect.amount, effect.expires_s)
        case "unset":
            return Drop(effect.key)


def _hash(effects: Iterable[wire.Effect]) -> str:
    """Name effects by what they do to which key: a value may differ when the stage is run again."""
    text = "\0".join(f"{e.kind} {e.key}" for e in effects)
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
