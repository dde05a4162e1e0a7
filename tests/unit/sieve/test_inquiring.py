"""Checks of a mail's origin in the service: once for a mail, in time, and without the body in memory."""

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from columba.common.dns.resolver import Answer, MxRecord, Record, RecordType
from columba.common.errors import StoreError
from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.common.mailauth.canonical import hash_body
from columba.common.mailauth.result import BodyForm, Verdict
from columba.common.mailauth.spf import SpfResult
from columba.common.off_loop import OffLoop
from columba.sieve.answers import Answers, Sources
from columba.sieve.bodies import Bodies
from columba.sieve.engine import Finished, Inputs, begin
from columba.sieve.ext.columba_mailauth import MEMO, remember, remembered
from columba.sieve.lang.stage import Stage
from columba.sieve.run.message import Message, message_of
from columba.sieve.run.state import Run
from tests.fakes.resolver import FakeResolver, Question
from tests.fakes.sieve import compiled, envelope_of

MAIL = b"From: a@d.example\r\nDKIM-Signature: %b\r\n\r\nHello\r\n"
SIGNED = (
    b"v=1; a=rsa-sha256; c=relaxed/simple; d=d.example; s=s; h=from; b=AAAA; "
    b"bh=NM5a0Lq/Gq7wO4ERj7ZqZF1PaXe4DYp0pPzYWS5bkzM="
)
CLIENT = {"remote-ip": "192.0.2.1", "vnd.columba.helo": "mx.d.example", "host": "us.example"}
RECORDS: dict[Question, tuple[Record, ...]] = {
    ("d.example", RecordType.TXT): (b"v=spf1 mx -all", b"site=1"),
    ("d.example", RecordType.MX): (MxRecord(10, "mx.d.example"),),
    ("mx.d.example", RecordType.A): ("192.0.2.1",),
    ("_dmarc.d.example", RecordType.TXT): (b"v=DMARC1; p=reject",),
}
ASKS = 'require ["vnd.columba.mailauth", "variables", "environment"];\n'


async def ran(
    text: str,
    resolver: FakeResolver | None,
    *,
    stage: Stage = Stage.DATA,
    message: Message | None = None,
    variables: Mapping[str, str] | None = None,
    until_ns: int = 0,
    timeout_s: float = 20.0,
) -> tuple[Mapping[str, str], Run]:
    """Run a script and return its variables."""
    machine = begin(
        compiled(ASKS + text, stage),
        Inputs(
            clock=lambda: 0,
            message=message or message_of(MAIL % SIGNED),
            envelope=envelope_of("<a@d.example>", "<b@us.example>"),
            environment=CLIENT,
            variables=variables or {},
        ),
    )
    sources = Sources(resolver=resolver, mailauth_timeout_s=timeout_s)
    outcome = await Answers({}, 1, sources).finish(machine, until_ns=until_ns)
    assert isinstance(outcome, Finished), outcome
    return outcome.variables, machine.run


DMARC = 'if dmarc :as "d" :matches "*" { set "r" "${1}"; }'


async def test_each_question_is_asked_once() -> None:
    resolver = FakeResolver(RECORDS)
    found, _ = await ran('if not spf "fail" {' + DMARC + "}" + DMARC * 2, resolver)
    assert found["d"] == "dmarc=pass policy.dmarc=reject header.from=d.example"
    assert len(resolver.asked) == len(set(resolver.asked))
    names = {name for name, _ in resolver.asked}
    assert names == {"d.example", "mx.d.example", "_dmarc.d.example"}, (
        "body differs: no key is asked"
    )


async def test_who_asks_nothing_costs_nothing() -> None:
    resolver = FakeResolver(RECORDS)
    found, run = await ran('if false { if spf "pass" { stop; } }', resolver)
    assert not resolver.asked and run.inquiry is None and found == {}


async def test_the_result_of_spf_goes_on_to_later_stages() -> None:
    resolver = FakeResolver(RECORDS)
    found, _ = await ran('if spf :as "m" "pass" { stop; }', resolver, stage=Stage.MAIL)
    assert found["m"] == "spf=pass smtp.mailfrom=d.example"
    later = FakeResolver()
    again, _ = await ran('if spf :as "n" "pass" { stop; }', later, variables=found)
    assert again["n"] == found["m"] and not later.asked
    other = dict(found, **{MEMO: found[MEMO].replace("192.0.2.1", "192.0.2.2")})
    await ran('if spf "pass" { stop; }', later, variables=other)
    assert later.asked, "another client's result is no answer"


async def test_what_is_remembered_comes_back() -> None:
    _, run = await ran('if spf "pass" { stop; }', FakeResolver(RECORDS))
    assert run.inquiry is not None
    for result in (SpfResult(Verdict.FAIL, "d", "r\x1fs", "e"), SpfResult(Verdict.NONE)):
        back = remembered(remember(result, run.inquiry), run.inquiry)
        assert back is not None and back.verdict is result.verdict
    assert remembered("", run.inquiry) is remembered("a\x1fb", run.inquiry) is None


@pytest.mark.parametrize(
    ("resolver", "until_ns", "timeout_s"),
    [
        (None, 0, 20.0),
        (FakeResolver(RECORDS), 1, 20.0),
        (FakeResolver(RECORDS), 0, 0.0),
        (FakeResolver(RECORDS, silent=frozenset({"d.example", "_dmarc.d.example"})), 0, 20.0),
        (FakeResolver(RECORDS, fail=frozenset({"d.example", "_dmarc.d.example"})), 0, 20.0),
    ],
    ids=["no resolver", "no time in all", "no time for the check", "silent", "broken"],
)
async def test_no_answer_is_temperror(
    resolver: FakeResolver | None, until_ns: int, timeout_s: float
) -> None:
    text = 'if allof (spf "temperror", dmarc "temperror") { set "ok" "1"; }'
    found, _ = await ran(text, resolver, until_ns=until_ns, timeout_s=timeout_s)
    assert found["ok"] == "1"


async def test_a_body_is_not_read_without_time() -> None:
    text = 'if dkim :as "r" "fail" { stop; }'
    found, _ = await ran(text, FakeResolver(RECORDS), timeout_s=0.0)
    assert found["r"] == "dkim=temperror header.d=d.example header.s=s"
    found, _ = await ran(text, None)
    assert found["r"] == "dkim=fail header.d=d.example header.s=s", "the body differs"


class Late(FakeResolver):
    """Needs its whole time for each answer."""

    async def query(self, name: str, kind: RecordType, deadline_ns: int) -> Answer:
        self.left_s = (deadline_ns - time.monotonic_ns()) / 1e9
        return await super().query(name, kind, deadline_ns)


async def test_each_question_has_a_deadline() -> None:
    resolver = Late(RECORDS)
    await ran('if spf "pass" { stop; }', resolver)
    assert 4 < resolver.left_s <= 5, "dns_timeout"
    await ran('if spf "pass" { stop; }', resolver, timeout_s=0.5)
    assert 0 < resolver.left_s <= 0.5, "mailauth_timeout"
    await ran('if spf "pass" { stop; }', resolver, until_ns=time.monotonic_ns() + 10**9)
    assert 0 < resolver.left_s <= 1, "the call's own"


async def test_a_spooled_body_is_hashed_where_it_lies(tmp_path: Path) -> None:
    octets = b"line  of text \r\n" * 9000
    off_loop = OffLoop(1, "test")
    bodies = Bodies(off_loop, tmp_path, "sieve.0.1", Event(lambda _level, _text: None))
    until_ns = time.monotonic_ns() + 10**10
    body, _ = await bodies.as_frame("01HZX3PAZ1B2C3D4E5F6G7H8J9", octets, until_ns)
    forms: tuple[BodyForm, ...] = ("relaxed", "simple")
    assert await bodies.hashes(body, b"", forms, until_ns) == tuple(
        hash_body(form, [octets]).hex() for form in forms
    )
    small = await bodies.hashes(wire.Body(size=1), b"x", forms, until_ns)
    assert small[1] == hash_body("simple", [b"x"]).hex()
    with pytest.raises(StoreError):
        await bodies.hashes(wire.Body(size=1, spool="gone"), b"", forms, until_ns)
    off_loop.close()
