"""What running scripts are answered: at once, at the same time, in time, or not at all."""

import asyncio
import time
from collections.abc import Mapping, Sequence

import pytest

from columba.common.dict.base import Change
from columba.common.dict.memory import MemoryDict
from columba.common.dns.resolver import Answer as DnsAnswer
from columba.common.dns.resolver import MxRecord, Record, RecordType, TlsaRecord
from columba.common.errors import UnavailableError
from columba.common.log.event import Event
from columba.common.lookup.base import UNSURE, Peeked, Table
from columba.common.lookup.tables import InlineTable
from columba.sieve.answers import Answers, Sources
from columba.sieve.engine import Failed, Finished, Inputs, Outcome, begin
from columba.sieve.lang.stage import Stage
from columba.sieve.names import record_text
from columba.sieve.run.envelope import Envelope, parse_path
from columba.sieve.run.requests import Answer, Callout, Said
from tests.fakes.resolver import FakeResolver
from tests.fakes.sieve import compiled

CLIENT = {"remote-ip": "192.0.2.1"}


class Slow:
    """A table that takes its time, and says how many ask it at the same time."""

    def __init__(self, takes_s: float, value: str | None = "v") -> None:
        self._takes_s, self._value = takes_s, value

    def peek(self, key: str) -> Peeked:
        return UNSURE

    async def get(self, key: str, timeout_s: float) -> str | None:
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.sleep(self._takes_s)
        except TimeoutError as error:
            raise UnavailableError("late") from error
        return self._value

    def close(self) -> None:
        """Hold nothing."""


class Broken(MemoryDict):
    """A dict that does not answer."""

    async def get(self, key: str, timeout_s: float) -> str | None:
        raise UnavailableError("the dict is down")

    async def increment(self, key: str, amount: int, timeout_s: float, expires_s: int = 0) -> int:
        raise UnavailableError("the dict is down")

    async def commit(self, mark: str, changes: Sequence[Change], timeout_s: float) -> bool:
        raise UnavailableError("the dict is down")


class Hops:
    """Next hops that answer from a dictionary."""

    def __init__(self, said: Mapping[str, Answer]) -> None:
        self._said = said

    async def ask(self, asked: Callout, timeout_s: float) -> Answer:
        return self._said[asked.recipient]


async def ran(
    text: str,
    tables: Mapping[str, Table] | None = None,
    sources: Sources | None = None,
    until_ns: int = 0,
    found: list[str] | None = None,
) -> Outcome:
    script = compiled(text, Stage.RCPT)
    envelope = Envelope(
        parse_path("<me@far.example>"), tuple(filter(None, [parse_path("<ann@x>")]))
    )
    machine = begin(script, Inputs(clock=time.monotonic_ns, environment=CLIENT, envelope=envelope))
    return await Answers(tables or {}, 0.2, sources).finish(machine, found, until_ns)


async def test_what_is_in_memory_is_answered_without_waiting() -> None:
    text = 'require ["vnd.columba.lookup"]; if lookup "t" ["x", "a"] { stop; }'
    tables = {"t": InlineTable({"a": "1"})}
    found: list[str] = []
    work = ran(text, tables, found=found)
    with pytest.raises(StopIteration) as ended:
        work.send(None)  # a coroutine that waits for something would yield here
    assert isinstance(ended.value.value, Finished)
    assert found == ["a"]


async def test_a_late_table_is_an_error_of_the_run() -> None:
    outcome = await ran('require "vnd.columba.lookup"; if lookup "t" "a" { stop; }', {"t": Slow(5)})
    assert isinstance(outcome, Failed)
    assert "look-up table 't' does not answer: late" in outcome.error.text


async def test_the_call_s_own_deadline_cuts_all() -> None:
    text = 'require "vnd.columba.lookup"; if lookup "t" "a" { stop; }'
    began = time.monotonic()
    outcome = await ran(text, {"t": Slow(5)}, until_ns=time.monotonic_ns() + 20_000_000)
    assert isinstance(outcome, Failed)
    assert time.monotonic() - began < 0.15
    outcome = await ran(text, {"t": Slow(0)}, until_ns=1)
    assert isinstance(outcome, Failed)
    assert "no time is left" in outcome.error.text


async def test_lists_are_asked_at_the_same_time_and_silence_is_logged() -> None:
    asked: list[float] = []

    class Resolver(FakeResolver):
        async def query(self, name: str, kind: RecordType, deadline_ns: int) -> DnsAnswer:
            asked.append(time.monotonic())
            await asyncio.sleep(0.05)
            return await super().query(name, kind, deadline_ns)

    lines: list[str] = []
    records: dict[tuple[str, RecordType], tuple[Record, ...]] = {
        ("1.2.0.192.b.example", RecordType.A): ("127.0.0.2",)
    }
    resolver = Resolver(records, fail=frozenset({"1.2.0.192.c.example"}))
    sources = Sources(resolver=resolver, event=Event(lambda level, line: lines.append(line)))
    text = """require ["vnd.columba.dnsbl", "vnd.columba.smtp"];
        if dnsbl ["a.example", "b.example", "c.example"] { reply "554 5.7.1 listed"; }"""
    outcome = await ran(text, sources=sources)
    assert isinstance(outcome, Finished)
    assert outcome.refusal is not None
    assert len(asked) == 3
    assert max(asked) - min(asked) < 0.04
    assert [line for line in lines if "DNS list does not answer: zone=c.example" in line]


async def test_a_dict_that_is_down_is_451_and_never_a_missing_value() -> None:
    sources = Sources(dicts={"default": Broken()})
    for words in (
        'require "vnd.columba.dict"; if dict_get "default" "k" { stop; }',
        'require "vnd.columba.dict"; dict_increment :tries "default" "k";',
        'require "vnd.columba.ratelimit"; if ratelimit "k" "1/h" { stop; }',
        'require "vnd.columba.greylist"; if greylist { stop; }',
    ):
        outcome = await ran(words, sources=sources)
        assert isinstance(outcome, Failed), words
        assert "the dict is down" in outcome.error.text


async def test_a_recipient_counts_as_confirmed_only_if_the_hop_has_just_said_so() -> None:
    text = 'require "vnd.columba.callout"; if callout :mx { stop; }'
    for said, confirmed in (
        (Said(250), ["ann@x"]),
        (Said(250, is_remembered=True), []),
        (Said(550), []),
    ):
        found: list[str] = []
        await ran(text, sources=Sources(callouts=Hops({"ann@x": said})), found=found)
        assert found == confirmed


async def test_nothing_is_asked_where_nobody_can_be() -> None:
    for words in (
        'require "vnd.columba.dns"; if dns "a" "x.example" { stop; }',
        'require "vnd.columba.callout"; if callout :mx { stop; }',
        'require "vnd.columba.dict"; if dict_get "default" "k" { stop; }',
    ):
        assert isinstance(await ran(words), Failed), words


def test_records_as_scripts_see_them() -> None:
    records: list[Record] = [
        MxRecord(10, "mx"),
        MxRecord(0, ""),
        TlsaRecord(3, 1, 1, b"\x0a"),
        b"v=1 \xff",
        "192.0.2.1",
    ]
    shown = [record_text(record) for record in records]
    assert shown == ["10 mx", "0 .", "3 1 1 0a", "v=1 \udcff", "192.0.2.1"]
