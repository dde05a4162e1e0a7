"""Rules of administrators that hold for a time: mails that match a query are not tried.

A rule is a document `rule/<id>` in the queue's store, so that every process of every node obeys it, also for mail
that comes later. Rules that are over are forgotten by whoever meets them. Deadlines go on: what expires is reported.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from columba.common.clock import Clock
from columba.common.errors import ConditionError, NotFoundError, RefusedError
from columba.common.log.event import Event
from columba.queue.document import Map, RecordError, build, flat, pack, unpack
from columba.queue.query import Facts, Query, QueryError, parse
from columba.queue.store.base import ABSENT
from columba.queue.store.calls import StoreCalls

RULES: Final = "rule/"
RULES_MAX: Final = 1000
_LIMIT: Final = 64 * 1024


class RuleRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule as it is stored. until_s is wall clock."""

    v: int = 1
    id: str
    query: str
    until_s: float
    reason: str = ""
    made_s: float = 0.0
    extra: Map = {}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with its query read."""

    record: RuleRecord
    query: Query


class Rules:
    """The rules that this process knows."""

    def __init__(self, store: StoreCalls, clock: Clock, event: Event) -> None:
        self._store, self._clock, self._event = store, clock, event
        self._rules: dict[str, Rule] = {}
        self.on_change: Callable[[set[float]], None] = _ignore  # the ends of rules that were ended

    @property
    def all(self) -> list[RuleRecord]:
        """Return the rules that hold now, the oldest first."""
        now_s = self._clock.wall_s()
        rules = [rule.record for rule in self._rules.values() if rule.record.until_s > now_s]
        return sorted(rules, key=lambda record: record.made_s)

    def until_s(self, facts: Callable[[], Facts]) -> float:
        """Return until when a mail is not tried; 0: it may be. The facts are asked for only when there are rules."""
        if not self._rules:
            return 0.0
        known, now_s = facts(), self._clock.wall_s()
        ends = [rule.record.until_s for rule in self._rules.values() if rule.query.matches(known)]
        return max((end_s for end_s in ends if end_s > now_s), default=0.0)

    async def add(self, record: RuleRecord) -> None:
        """Make a rule, durably; RefusedError when there are too many. Raises StoreError, QueryError."""
        query = parse(record.query)
        if len(self._rules) >= RULES_MAX:
            raise RefusedError(f"there are {RULES_MAX} rules already")
        with suppress(ConditionError):  # another process was told the same, and was faster
            await self._store.put(RULES + record.id, pack(flat(record)), ABSENT)
        self._rules[record.id] = Rule(record, query)
        self.on_change(set())

    async def remove(self, id: str) -> RuleRecord:
        """End a rule; NotFoundError when there is none. Raises StoreError."""
        rule = self._rules.get(id)
        if rule is None:
            raise NotFoundError(f"there is no rule {id}")
        await self._store.delete(RULES + id)
        del self._rules[id]
        self.on_change({rule.record.until_s})
        return rule.record

    async def look(self) -> None:
        """Learn what others made and ended, and forget what is over. Raises StoreError."""
        before, ended = set(self._rules), set[float]()
        there: set[str] = set()
        async for keys in self._store.pages(RULES):
            for key in keys:
                there.add(key.removeprefix(RULES))
        for id in sorted(there - before)[:RULES_MAX]:
            await self._read(id)
        for id, rule in list(self._rules.items()):
            if rule.record.until_s <= self._clock.wall_s():
                await self._store.delete(RULES + id)
                del self._rules[id]
            elif id not in there and id in before:
                ended.add(rule.record.until_s)
                del self._rules[id]
        if set(self._rules) != before:
            self.on_change(ended)

    async def _read(self, id: str) -> None:
        try:
            found = await self._store.get(RULES + id)
            record = build(unpack(found.data, _LIMIT), RuleRecord)
            self._rules[id] = Rule(record, parse(record.query))
        except NotFoundError:
            return
        except (RecordError, QueryError) as error:
            self._event.warning("A rule can't be read", rule=id, error=str(error))


def _ignore(_ended: set[float]) -> None:
    return
