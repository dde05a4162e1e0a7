"""What an administrator may ask and order: list, show, flush, hold, release, delete.

Orders work on records under our own leases, by conditional writes like everything else. A message is named by its
id; its parts follow. Rows are plain values for the tool's formatters.
"""

from collections.abc import Callable
from typing import Final

from columba.common.admin import Row
from columba.common.errors import NotFoundError, RefusedError, StoreError
from columba.common.idforms import is_id
from columba.queue import message, outcome
from columba.queue.document import Map
from columba.queue.plan import NEVER_S, due_s
from columba.queue.record import DELETED, Recipient, Record, changed, tombstone, with_recipients
from columba.queue.report import say_result
from columba.queue.shelf import Shelved, owner_of
from columba.queue.stock import Stock

_ROWS: Final = 10_000
HOLD_ASKED: Final = "held by the administrator"


class Control:
    """Answers the admin socket."""

    def __init__(self, stock: Stock) -> None:
        self._stock = stock

    async def ask(self, command: str, request: dict[str, object]) -> list[Row]:
        """Return the rows of an answer; NotFoundError, RefusedError, StoreError."""
        match command:
            case "list":
                return await self._list()
            case "show":
                return [_detail(s, p) for s in await self._named(request) for p in _people(s)]
            case "flush":
                return await self._change(request, self._flushed)
            case "hold":
                return await self._change(request, lambda r: outcome.held(r, HOLD_ASKED))
            case "release":
                return await self._change(request, _released)
            case "delete":
                return await self._change(request, self._deleted)
            case _:
                raise RefusedError(f"the queue knows no command {command!r}")

    async def _list(self) -> list[Row]:
        rows = []
        for key in list(self._stock.schedule)[:_ROWS]:
            try:
                shelved = await self._stock.shelf.find(key)
            except StoreError as error:
                self._stock.event.warning("A record can't be read", key=key, error=str(error))
                continue
            if shelved is not None and shelved.record.pending:
                rows.append(self._row(shelved))
        return sorted(rows, key=lambda row: str(row["id"]))

    def _row(self, shelved: Shelved) -> Row:
        record, now_s = shelved.record, self._stock.now_s
        last = max(record.pending, key=lambda person: person.at_s)
        reply = message.reply_of(last) if last.reply else None
        return {
            "id": record.name,
            "state": self._state(shelved),
            "size": len(record.header) + 2 + record.body_size,
            "age": round(now_s - record.created_s),
            "next": max(0, round(due_s(record) - now_s)),
            "attempts": record.attempts,
            "sender": _text(record.envelope.get("sender")),
            "recipients": [_address(person) for person in record.pending],
            "step": record.step,
            "reason": record.hold or (f"{reply.code} {reply.text}" if reply else ""),
        }

    def _state(self, shelved: Shelved) -> str:
        record = shelved.record
        if self._stock.schedule.is_flying(shelved.key):
            return "active"
        if record.hold or not (record.active or record.owed):
            return "held"
        doubts = [person.doubt_s for person in record.active]
        return "doubt" if doubts and min(doubts) > self._stock.now_s else "waiting"

    async def _named(self, request: dict[str, object]) -> list[Shelved]:
        id = str(request.get("id", "")).partition(".")[0]
        if not is_id(id):
            raise RefusedError("not a message id")
        parts = await self._stock.all_parts(id)
        if not parts:
            raise NotFoundError(f"{id} is not in this queue")
        return parts

    async def _change(
        self, request: dict[str, object], change: Callable[[Record], Record]
    ) -> list[Row]:
        """Change one message, or with "all" every one that this process has; return a row for each record."""
        if request.get("all") is True:
            keys = list(self._stock.schedule)
        else:
            keys = [shelved.key for shelved in await self._named(request)]
        rows: list[Row] = []
        for key in keys:
            old = await self._stock.shelf.find(key)
            if old is None or not old.record.pending:
                continue
            new = await self._stock.shelf.update(key, change)
            say_result(self._stock.event, old.record, new.record, self._stock.now_s)
            self._stock.plan(new)
            rows.append({"id": new.record.name, "pending": len(new.record.pending)})
        return rows

    def _flushed(self, record: Record) -> Record:
        """Due now; what is in doubt stays in doubt, because trying it now could deliver it twice."""
        return changed(record, due_s=self._stock.now_s) if record.pending else record

    def _deleted(self, record: Record) -> Record:
        now_s = self._stock.now_s
        gone = [
            Recipient(number=p.number, spec=p.spec, state=DELETED, at_s=now_s)
            for p in record.pending
        ]
        new = with_recipients(record, gone)
        return record if record.is_tombstone else tombstone(new, now_s)


def _released(record: Record) -> Record:
    people = [
        Recipient(number=p.number, spec=p.spec, hold_n=p.hold_n + 1, reply=p.reply, at_s=p.at_s)
        for p in record.pending
        if p.hold
    ]
    return outcome.held(with_recipients(record, people), "") if record.hold or people else record


def _people(shelved: Shelved) -> tuple[Recipient, ...]:
    return shelved.record.recipients


def _detail(shelved: Shelved, person: Recipient) -> Row:
    record, reply = shelved.record, message.reply_of(person)
    due = due_s(record)
    return {
        "id": record.name,
        "owner": owner_of(shelved.key),
        "number": person.number,
        "recipient": _address(person),
        "state": person.state if not person.hold else f"{person.state}, held: {person.hold}",
        "sender": _text(record.envelope.get("sender")),
        "step": record.step,
        "attempts": record.attempts,
        "created": round(record.created_s),
        "due": None if due >= NEVER_S else round(due),
        "expires": round(record.expires_s),
        "in_doubt_until": round(person.doubt_s) or None,
        "route": reply.route,
        "hop": reply.hop,
        "reply": f"{reply.code} {reply.enhanced} {reply.text}".strip() if person.reply else "",
        "part": person.child,
    }


def _address(person: Recipient) -> str:
    return _text(person.spec.get("address"))


def _text(value: Map | object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
