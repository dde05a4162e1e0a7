"""Find the answers that running scripts ask for: tables, dicts, the DNS, next hops, mailboxes.

What is known in this process is answered at once; several questions of one request are asked at the same time. No
answer takes longer than its timeout, nor than the time that is left for the call: then it is Unavailable, and the
client hears 451.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from columba.common.clock import from_now, left_s
from columba.common.dict.base import Dict
from columba.common.dns.resolver import RecordType, Resolver
from columba.common.errors import ColumbaError, UnavailableError
from columba.common.log.event import Event
from columba.common.lookup.base import UNSURE, Table
from columba.common.off_loop import OffLoop
from columba.sieve.inquiring import Hashes, Inquirer, in_memory
from columba.sieve.names import client_name, record_text
from columba.sieve.run.machine import Failed, Finished, Machine, Outcome
from columba.sieve.run.requests import (
    Answer,
    Callout,
    ClientName,
    DictAdd,
    DictGet,
    DictNew,
    Each,
    Found,
    Inquire,
    Lookup,
    MailboxExists,
    Metadata,
    Missing,
    Question,
    Records,
    Request,
    Resolve,
    Said,
    Several,
    SpecialUse,
    Unavailable,
)

STEP_S: Final = 60.0  # for a thread; the script itself has its own limit of CPU time
NO_TIME: Final = Unavailable("no time is left to ask")
NO_STORE: Final = Unavailable("there is no mail store to ask")


class Callouts(Protocol):
    """Asks next hops about recipients."""

    async def ask(self, asked: Callout, timeout_s: float) -> Answer:
        """Return Said or Unavailable."""
        ...


class Stores(Protocol):
    """Knows mailboxes (mailboxes.py)."""

    async def ask(self, asked: MailboxExists | SpecialUse | Metadata, timeout_s: float) -> Answer:
        """Return Found, Missing or Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Who is asked beside tables. dicts: by name, "" holds the server's own marks."""

    dicts: Mapping[str, Dict] = field(default_factory=dict)
    dict_timeout_s: float = 5.0
    resolver: Resolver | None = None
    dns_timeout_s: float = 5.0
    list_timeout_s: float = 2.0  # of lists in the DNS
    mailauth_timeout_s: float = 20.0  # of one check of a mail's origin
    callouts: Callouts | None = None
    callout_timeout_s: float = 30.0
    stores: Stores | None = None
    event: Event | None = None


class Answers:
    """Drives machines to their end."""

    def __init__(
        self, tables: Mapping[str, Table], timeout_s: float, sources: Sources | None = None
    ) -> None:
        self._tables, self._timeout_s = tables, timeout_s
        self._sources = known = sources or Sources()
        self._inquirer = Inquirer(known.resolver, known.dns_timeout_s, known.mailauth_timeout_s)

    async def finish(
        self,
        machine: Machine,
        found: list[str] | None = None,
        until_ns: int = 0,
        off_loop: OffLoop | None = None,
        hashes: Hashes | None = None,
    ) -> Outcome:
        """Run a machine to its end, answering what it asks; keys that tables know are added to `found`.

        until_ns: CLOCK_MONOTONIC, when everything must be answered; 0: each answer has its own timeout alone.
        off_loop: runs the script in a thread, for messages that are too big to be looked through on the loop;
        raises TimeoutError. hashes: gives those of the body; without it, the message has its body in memory.
        """
        if not machine.run.wall_s:
            machine.run.wall_s = time.time()
        step = machine.step() if off_loop is None else await _step(machine, None, off_loop)
        while not isinstance(step, Finished | Failed):
            answer = self._at_once(step)
            if isinstance(step, Inquire):
                found_by = hashes or in_memory(machine.run.received)
                await self._inquirer.make(step, found_by, until_ns)
                answer = Found(step.name)
            elif answer is None:
                answer = await self._answer(step, until_ns)
            if found is not None:
                found += confirmed(step, answer)
            if off_loop is None:
                step = machine.step(answer)
            else:
                step = await _step(machine, answer, off_loop)
        return step

    def close(self) -> None:
        """Close the tables and dicts."""
        for table in self._tables.values():
            table.close()
        for each in self._sources.dicts.values():
            each.close()

    def _at_once(self, asked: Request) -> Answer | None:
        """Return an answer that is in memory, else None."""
        if not isinstance(asked, Lookup):
            return None
        table = self._tables.get(asked.table)
        if table is None:
            return Unavailable(f"there is no table {asked.table!r}")
        try:
            value = table.peek(asked.key)
        except UnavailableError as error:
            return Unavailable(str(error))
        if value is UNSURE:
            return None
        return Missing() if value is None else Found(value)

    async def _answer(self, asked: Request, until_ns: int) -> Answer:
        if until_ns and time.monotonic_ns() >= until_ns:
            return NO_TIME
        match asked:
            case Lookup():
                return await self._look_up(asked, until_ns)
            case Several(questions):
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(self._one(q, until_ns)) for q in questions]
                return Each(tuple(task.result() for task in tasks))
            case Callout():
                return await self._call_out(asked, until_ns)
            case DictGet() | DictAdd() | DictNew() | Resolve():
                return await self._one(asked, until_ns)
            case ClientName(ip=ip):
                return Found(await self._client_name(ip, until_ns))
            case MailboxExists() | SpecialUse() | Metadata() if self._sources.stores is not None:
                timeout_s = within(self._timeout_s, until_ns)
                return await self._sources.stores.ask(asked, timeout_s)
            case _:
                return NO_STORE

    async def _look_up(self, asked: Lookup, until_ns: int) -> Answer:
        try:
            timeout_s = within(self._timeout_s, until_ns)
            value = await self._tables[asked.table].get(asked.key, timeout_s)
        except UnavailableError as error:
            return Unavailable(str(error))
        return Missing() if value is None else Found(value)

    async def _one(self, asked: Question | DictNew, until_ns: int) -> Answer:
        if isinstance(asked, Resolve):
            return await self._resolve(asked, until_ns)
        store = self._sources.dicts.get(asked.dict)
        if store is None:
            return Unavailable(f"there is no dict {asked.dict!r}")
        try:
            return await _ask_dict(store, asked, within(self._sources.dict_timeout_s, until_ns))
        except UnavailableError as error:
            return Unavailable(str(error))

    async def _client_name(self, ip: str, until_ns: int) -> str:
        resolver = self._sources.resolver
        if resolver is None:
            return "unknown"
        timeout_s = within(self._sources.dns_timeout_s, until_ns)
        return await client_name(resolver, ip, from_now(timeout_s))

    async def _resolve(self, asked: Resolve, until_ns: int) -> Answer:
        sources = self._sources
        if sources.resolver is None:
            return Unavailable("there is no name server to ask")
        timeout_s = sources.list_timeout_s if asked.list_zone else sources.dns_timeout_s
        until = from_now(within(timeout_s, until_ns))
        answer = await sources.resolver.query(asked.name, RecordType(asked.type.upper()), until)
        if answer.is_temporary:
            if asked.list_zone and sources.event is not None:
                sources.event.warning(
                    "DNS list does not answer", zone=asked.list_zone, error=answer.reason
                )
            return Unavailable(answer.reason or answer.status.value)
        values = tuple(record_text(record) for record in answer.records)
        return Records(values, answer.secure) if values else Missing()

    async def _call_out(self, asked: Callout, until_ns: int) -> Answer:
        sources = self._sources
        if sources.callouts is None:
            return Unavailable("callouts are not possible here")
        try:
            return await sources.callouts.ask(asked, within(sources.callout_timeout_s, until_ns))
        except ColumbaError as error:
            return Unavailable(str(error))


async def _step(machine: Machine, answer: Answer | None, off_loop: OffLoop) -> Request | Outcome:
    return await off_loop.run(STEP_S, machine.step, answer)


async def _ask_dict(store: Dict, asked: DictGet | DictAdd | DictNew, timeout_s: float) -> Answer:
    match asked:
        case DictGet(key=key):
            value = await store.get(key, timeout_s)
            return Missing() if value is None else Found(value)
        case DictAdd(key=key, amount=amount, expires_s=expires_s):
            return Found(str(await store.increment(key, amount, timeout_s, expires_s)))
        case DictNew(key=key, value=value, expires_s=expires_s):
            return Found(await store.set_new(key, value, timeout_s, expires_s))


def confirmed(asked: Request, answer: Answer) -> tuple[str, ...]:
    """Return what an answer proves (promises §2): the key of a table, the recipient that a hop has just accepted."""
    match asked, answer:
        case Lookup(key=key), Found():
            return (key,)
        case Callout(recipient=recipient), Said(code=code, is_remembered=False) if code < 400:
            return (recipient,)
    return ()


def within(timeout_s: float, until_ns: int) -> float:
    """Return a timeout cut to what is left until an instant; 0 is no instant."""
    return min(timeout_s, left_s(until_ns)) if until_ns else timeout_s
