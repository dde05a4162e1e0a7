"""What an administrator may ask and order of one queue process.

Orders work on records under our own leases, by conditional writes like everything else. Long answers come in pages,
and the process goes on with its work between them. A query names the mails (query.py); `id` and `all` are short for
one. Which change an order means stands in orders.py, what a row shows in rows.py.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

from columba.common.admin import Row
from columba.common.errors import NotFoundError, RefusedError, StoreError
from columba.common.idforms import is_id, made_s
from columba.common.ids import new_id
from columba.queue import rows
from columba.queue.orders import LATEST_S, Change, order
from columba.queue.plan import SWEEP, destination_of
from columba.queue.query import AtMost, Everything, Query, parse
from columba.queue.record import Record
from columba.queue.report import say_result
from columba.queue.rows import Moment
from columba.queue.rules import RuleRecord, Rules
from columba.queue.schedule import WATCH
from columba.queue.shelf import Shelved, owner_of
from columba.queue.stock import Stock
from columba.queue.transfer import Transfer

_PAGE: Final = 100
_AT_ONCE: Final = 32
_SKEW_S: Final = 60.0  # clocks go backward too
_ORDERS: Final = frozenset({"flush", "hold", "release", "delete", "bounce", "reroute", "retry-at"})


class Control:
    """Answers the admin socket."""

    def __init__(self, stock: Stock, rules: Rules, transfer: Transfer) -> None:
        self._stock, self._rules, self._transfer = stock, rules, transfer
        rules.on_change = stock.resume

    async def ask(self, command: str, request: dict[str, object]) -> list[Row]:
        """Return the rows of an answer; NotFoundError, RefusedError, StoreError, QueryError."""
        match command:
            case "summary":
                return rows.summary_of(self._ages())
            case "rules":
                return [_rule_row(record) for record in self._rules.all]
            case "suspend":
                return [_rule_row(await self._suspend(request))]
            case "resume":
                return await self._resume(request)
            case "import-begin" | "import-data" | "import-end":
                return await self._transfer.take(command, request)
            case _:
                raise RefusedError(f"the queue knows no command {command!r}")

    def pages(self, command: str, request: dict[str, object]) -> AsyncIterator[list[Row]] | None:
        """Return the pages of a long answer, None for a command with a short one. Raises QueryError, RefusedError."""
        if command == "list":
            return self._list(_query_of({"query": "", **request}))
        if command == "count":
            return self._count(_query_of(request))
        if command in _ORDERS:
            change, query = order(command, request, self._stock.now_s), _query_of(request)
            if isinstance(query, Everything) and request.get("all") is not True:
                raise RefusedError("an order for all mails says so: all")
            return self._change(query, change, is_flush=command == "flush")
        if command == "show":
            return self._show(_query_of(request))
        if command in {"cat", "export"}:
            return self._export(_query_of(request))
        return None

    async def _list(self, query: Query) -> AsyncIterator[list[Row]]:
        async for page in self._found(query):
            yield [
                rows.row_of(each, self._moment(each.key))
                if isinstance(each, Shelved)
                else rows.unreadable_row(*each)
                for each in page
            ]

    async def _show(self, query: Query) -> AsyncIterator[list[Row]]:
        """Yield what is known of each recipient; of mails that are named by id also when they are done."""
        ids = query.ids()
        if ids is None:
            async for page in self._found(query):
                yield [
                    row for each in page if isinstance(each, Shelved) for row in self._details(each)
                ]
            return
        for id in sorted(ids):
            parts = await self._named(id)
            yield [row for each in parts for row in self._details(each)]

    def _details(self, shelved: Shelved) -> list[Row]:
        moment = self._moment(shelved.key)
        return [rows.detail_of(shelved, p, moment) for p in shelved.record.recipients]

    async def _count(self, query: Query) -> AsyncIterator[list[Row]]:
        async for page in self._found(query):
            people = sum(len(each.record.pending) for each in page if isinstance(each, Shelved))
            yield [{"messages": len(page), "recipients": people}]

    async def _change(
        self, query: Query, change: Change, *, is_flush: bool
    ) -> AsyncIterator[list[Row]]:
        async for page in self._found(query):
            changed: list[Row] = []
            for old in page:
                if isinstance(old, Shelved):
                    new = await self._changed(old, change, is_flush=is_flush)
                    changed.append({"id": new.name, "pending": len(new.pending)})
            yield changed

    async def _changed(self, old: Shelved, change: Change, *, is_flush: bool) -> Record:
        new = await self._stock.shelf.update(old.key, change)
        say_result(self._stock.event, old.record, new.record, self._stock.now_s)
        if is_flush:
            for destination in {destination_of(person) for person in new.record.active}:
                self._stock.schedule.reopen(destination)
        self._stock.plan(new)
        return new.record

    async def _export(self, query: Query) -> AsyncIterator[list[Row]]:
        async for page in self._found(query):
            for each in (each for each in page if isinstance(each, Shelved)):
                async for chunk in self._transfer.give(each):
                    yield [chunk]

    async def _found(self, query: Query) -> AsyncIterator[list[Shelved | tuple[str, str]]]:
        """Yield pages of the records that wait and match, and (key, why) of those that can't be read."""
        ids = query.ids()
        if ids is not None:
            keys = [part.key for id in sorted(ids) for part in await self._named(id)]
        else:
            keys = list(self._stock.schedule)
        for start in range(0, len(keys), _PAGE):
            known = [key for key in keys[start : start + _PAGE] if self._may_match(key, query)]
            page = await self._matching(known, query)
            if page:
                yield page
            await asyncio.sleep(0)

    def _may_match(self, key: str, query: Query) -> bool:
        """Tell whether a record is to be read: not one that is known to be done, or by its key not to match."""
        item = self._stock.schedule.item(key)
        if item is not None and item.destination == SWEEP:
            return False
        name = key.rpartition("/")[2]
        born = made_s(name)
        facts: dict[str, tuple[str, ...] | float | AtMost] = {
            "id": (name.partition(".")[0], name),
            "owner": (owner_of(key),),
        }
        if born:  # a report has the time of the mail that it is about, so that it is younger
            facts["age"] = AtMost(self._stock.now_s - born + _SKEW_S)
        return query.matches(facts) is not False

    async def _matching(self, keys: Sequence[str], query: Query) -> list[Shelved | tuple[str, str]]:
        room = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._load(key, room)) for key in keys]
        found: list[Shelved | tuple[str, str]] = []
        for task in tasks:
            each = task.result()
            match each:
                case None:
                    continue
                case Shelved():
                    facts = rows.facts_of(each, self._moment(each.key))
                    matches = each.record.pending and query.matches(facts)
                case _:
                    matches = query.matches(rows.unreadable_facts(*each))
            if matches:
                found.append(each)
        return found

    async def _load(self, key: str, room: asyncio.Semaphore) -> Shelved | tuple[str, str] | None:
        async with room:
            try:
                return await self._stock.shelf.find(key)
            except StoreError as error:
                return key, str(error)

    async def _named(self, id: str) -> list[Shelved]:
        if not is_id(id.partition(".")[0]):
            raise RefusedError("not a message id")
        parts = await self._stock.all_parts(id.partition(".")[0])
        if not parts:
            raise NotFoundError(f"{id} is not in this queue")
        return parts

    def _moment(self, key: str) -> Moment:
        stock = self._stock
        return Moment(stock.now_s, stock.schedule.is_flying(key), key in stock.suspended)

    def _ages(self) -> list[tuple[str, float]]:
        """Return (destination, age) of all that waits, from memory: an id tells when its mail came."""
        schedule, now_s = self._stock.schedule, self._stock.now_s
        found = []
        for key in schedule:
            item = schedule.item(key)
            goes_to = item.destination if item is not None else schedule.begun_as(key)
            if goes_to not in {SWEEP, WATCH}:
                found.append((goes_to, max(0.0, now_s - made_s(key.rpartition("/")[2]))))
        return found

    async def _suspend(self, request: dict[str, object]) -> RuleRecord:
        text, until_s = str(request.get("query", "")), request.get("until")
        if not text.strip():
            raise RefusedError("a rule needs a query")
        if not isinstance(until_s, int | float) or not self._stock.now_s < until_s < LATEST_S:
            raise RefusedError("a rule needs a time in the future at which it ends")
        id = str(request.get("rule") or new_id())
        if not is_id(id):
            raise RefusedError("not the id of a rule")
        reason = " ".join(str(request.get("reason") or "").split())[:400]
        record = RuleRecord(
            id=id, query=text, until_s=float(until_s), reason=reason, made_s=time.time()
        )
        await self._rules.add(record)
        self._stock.event.info("Suspended", rule=id, query=text, until=round(record.until_s))
        return record

    async def _resume(self, request: dict[str, object]) -> list[Row]:
        asked = str(request.get("rule", ""))
        ended = [r for r in self._rules.all if request.get("all") is True or r.id == asked]
        if not ended and request.get("all") is not True:
            raise NotFoundError(f"there is no rule {asked}")
        for record in ended:
            await self._rules.remove(record.id)
            self._stock.event.info("Resumed", rule=record.id, query=record.query)
        return [_rule_row(record) for record in ended]


def _query_of(request: dict[str, object]) -> Query:
    """Return what a request names: `query`, `id`, or `all`; RefusedError when it names nothing."""
    if request.get("all") is True:
        if str(request.get("query") or request.get("id") or "").strip():
            raise RefusedError("the request names mails, and all of them")
        return parse("")
    id = request.get("id")
    if id is not None:
        if not is_id(str(id).partition(".")[0]):
            raise RefusedError("not a message id")
        return parse(f"id={id}")
    query = request.get("query")
    if query is None:
        raise RefusedError("the request names no mails")
    return parse(str(query))


def _rule_row(record: RuleRecord) -> Row:
    return {
        "rule": record.id,
        "query": record.query,
        "until": round(record.until_s),
        "reason": record.reason,
        "made": round(record.made_s),
    }
