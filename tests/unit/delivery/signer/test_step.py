"""The signing step: what goes on to delivery, and what it answers."""

import asyncio
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import dkim
import msgspec
import pytest

from columba.common.clock import SystemClock
from columba.common.hop.admission import Admission
from columba.common.hop.chain import Chain, Next
from columba.common.hop.mail import Mail, StepResult, Why, same_for_all
from columba.common.ids import new_id
from columba.common.ipc import wire
from columba.common.ipc.calls import OnCall
from columba.common.ipc.spool import open_body, spool_name
from columba.common.log.event import Event
from columba.common.log.level import Level
from columba.common.mail.header import Header
from columba.common.off_loop import OffLoop
from columba.delivery.signer.keys import KeyRing, KeyType, generate
from columba.delivery.signer.rework import Reworker
from columba.delivery.signer.step import Signing, SigningStep

RING = KeyRing(
    [generate("example.org", "r", KeyType.RSA_2048), generate("example.org", "e", KeyType.ED25519)]
)
HEADER = b"From: a@example.org\r\nTo: b@example.net\r\nSubject: hi\r\n"
SECOND = 1_000_000_000


def no_log(level: Level, text: str) -> None:
    assert level < Level.FATAL


@dataclass
class FakeChain(Chain):
    """Delivery, as the step sees it: keeps what came, answers by address."""

    kinds: dict[bytes, wire.OutcomeKind] = field(default_factory=dict)
    came: list[tuple[Mail, str]] = field(default_factory=list)
    given_up: list[tuple[str, Why]] = field(default_factory=list)

    async def hand_over(
        self,
        mail: Mail,
        to: Next,
        *,
        own_deadline_ns: int,
        key: str = "",
        on_call: OnCall | None = None,
    ) -> StepResult:
        assert to.step == "delivery"
        await asyncio.sleep(0)
        self.came.append((mail, key))
        outcomes = tuple(
            wire.Outcome(
                number=r.number, kind=self.kinds.get(r.address, "delivered"), address=r.address
            )
            for r in mail.handoff.recipients
        )
        return StepResult(outcomes, took_ms=(("delivery", 1.0),))

    async def give_up(
        self, mail: Mail, step: wire.StepName, why: Why, own_deadline_ns: int
    ) -> StepResult:
        self.given_up.append((step, why))
        return StepResult(same_for_all(mail.handoff.recipients, "refused", why))


def make_mail(
    addresses: tuple[bytes, ...] = (b"b@example.net",), body: bytes = b"Hello \r\n"
) -> Mail:
    handoff = wire.Handoff(
        id=new_id(),
        step="dkim",
        deadline_ns=time.monotonic_ns() + 60 * SECOND,
        envelope=wire.Envelope(sender=b"a@example.org"),
        client=wire.Client(trusted=True),
        recipients=tuple(
            wire.Recipient(number=str(n), address=a, route=wire.Route(kind="mx")) for n, a in enumerate(addresses, 1)
        ),
        body=wire.Body(size=len(body)),
        kind="submitted",
    )  # fmt: skip
    return Mail(handoff, HEADER, body)


def make_step(chain: FakeChain, spool: Path) -> SigningStep:
    admission = Admission(100, 500.0, 0)
    signing = Signing(RING, "example.org", spool, 0)
    event = Event(no_log)
    to = Next("delivery", "delivery", admission)
    off_loop = OffLoop(1, "test")
    reworker = Reworker(spool, "dkim.0.1", off_loop)
    return SigningStep(
        signing, chain, to, reworker=reworker, off_loop=off_loop, clock=SystemClock(), event=event
    )


def check(message: bytes) -> None:
    for number, key in enumerate(RING.active("example.org")):
        record = key.txt_record().encode()
        assert dkim.DKIM(message).verify(idx=number, dnsfunc=lambda name, timeout=5, r=record: r)


async def test_every_key_of_the_domain_signs_and_nothing_else_changes(tmp_path: Path) -> None:
    chain, mail = FakeChain(), make_mail()
    result = await make_step(chain, tmp_path).run(mail)
    assert [o.kind for o in result.outcomes] == ["delivered"]
    assert [step for step, _ in result.took_ms] == ["delivery", "dkim"]
    ((sent, key),) = chain.came
    assert key == "mx:example.net"
    assert sent.header.endswith(HEADER)
    assert Header(sent.header).count("DKIM-Signature") == 2
    assert sent.body == mail.body
    check(sent.header + b"\r\n" + sent.body)


async def test_a_spooled_body_is_read_from_its_file(tmp_path: Path) -> None:
    chain, body = FakeChain(), b"A line of text, \t and blanks \r\n" * 40000
    mail = spooled(make_mail(body=b""), tmp_path, body)
    await make_step(chain, tmp_path).run(mail)
    ((sent, _),) = chain.came
    assert sent.handoff.body == mail.handoff.body
    check(sent.header + b"\r\n" + body)


async def test_a_body_that_is_not_there_is_given_up(tmp_path: Path) -> None:
    chain, mail = FakeChain(), make_mail()
    lost = wire.Body(size=5, spool=spool_name(mail.handoff.id, 1, "smtpd.0.1"))
    handoff = msgspec.structs.replace(mail.handoff, body=lost)
    result = await make_step(chain, tmp_path).run(replace(mail, handoff=handoff))
    assert [o.kind for o in result.outcomes] == ["refused"]
    assert [step for step, _ in chain.given_up] == ["dkim"]
    assert not chain.came


async def test_a_big_body_past_its_time_is_given_up(tmp_path: Path) -> None:
    chain, mail = FakeChain(), make_mail(body=b"x\r\n" * 100_000)
    handoff = msgspec.structs.replace(mail.handoff, deadline_ns=time.monotonic_ns() + SECOND)
    result = await make_step(chain, tmp_path).run(replace(mail, handoff=handoff))
    assert [o.code for o in result.outcomes] == [451]
    assert not chain.came


async def test_each_destination_is_called_once(tmp_path: Path) -> None:
    chain = FakeChain()
    mail = make_mail((b"a@x.example", b"b@Y.example", b"c@X.example"))
    result = await make_step(chain, tmp_path).run(mail)
    assert sorted(o.number for o in result.outcomes) == ["1", "2", "3"]
    assert {key: len(sent.handoff.recipients) for sent, key in chain.came} == {
        "mx:x.example": 2,
        "mx:y.example": 1,
    }
    assert len({sent.header for sent, _ in chain.came}) == 1


async def test_what_is_deferred_names_the_signed_mail(tmp_path: Path) -> None:
    chain = FakeChain(kinds={b"a@x.example": "deferred"})
    mail = make_mail((b"a@x.example", b"b@y.example"))
    result = await make_step(chain, tmp_path).run(mail)
    by_number = {o.number: o for o in result.outcomes}
    assert (by_number["1"].variant, by_number["2"].variant) == (1, 0)
    ((variant, header),) = result.variants
    assert variant.sign_selectors == ("r._domainkey.example.org", "e._domainkey.example.org")
    assert header == chain.came[0][0].header


@pytest.mark.parametrize(
    ("kind", "origin", "outcome", "code"),
    [
        ("submitted", "client", "failed", 550),
        ("received", "client", "refused", 451),
        ("received", "queue", "deferred", 451),
    ],
)
async def test_nothing_leaves_without_a_signature(
    tmp_path: Path, kind: str, origin: str, outcome: str, code: int
) -> None:
    chain, mail = FakeChain(), make_mail()
    handoff = msgspec.structs.replace(mail.handoff, kind=kind, origin=origin)
    step = make_step(chain, tmp_path)
    step._signing = replace(step._signing, keys=KeyRing([]))
    result = await step.run(replace(mail, handoff=handoff))
    assert [(o.kind, o.code) for o in result.outcomes] == [(outcome, code)]
    assert not chain.came


class SevenBitChain(FakeChain):
    """A delivery whose hop takes no octet above 127."""

    spool: Path

    async def hand_over(
        self,
        mail: Mail,
        to: Next,
        *,
        own_deadline_ns: int,
        key: str = "",
        on_call: OnCall | None = None,
    ) -> StepResult:
        with open_body(self.spool, mail.handoff.body, mail.body) as source:
            body = b"".join(source.chunks())
        check(mail.header + b"\r\n" + body)
        kind: wire.OutcomeKind = "delivered" if body.isascii() else "rework"
        self.kinds = dict.fromkeys((r.address for r in mail.handoff.recipients), kind)
        return await super().hand_over(
            mail, to, own_deadline_ns=own_deadline_ns, key=key, on_call=on_call
        )


def spooled(mail: Mail, folder: Path, body: bytes) -> Mail:
    name = spool_name(mail.handoff.id, 1, "smtpd.0.1")
    (folder / name).write_bytes(body)
    reference = wire.Body(size=len(body), spool=name)
    return replace(mail, handoff=msgspec.structs.replace(mail.handoff, body=reference), body=b"")


@pytest.mark.parametrize("body", ["grün\r\n".encode(), "grün\r\n".encode() * 20_000])
async def test_our_own_mail_goes_once_more_in_seven_bits(tmp_path: Path, body: bytes) -> None:
    chain = SevenBitChain()
    chain.spool = tmp_path
    mail = spooled(make_mail(body=b""), tmp_path, body)
    result = await make_step(chain, tmp_path).run(mail)
    assert [o.kind for o in result.outcomes] == ["delivered"]
    assert len(chain.came) == 2
    assert b"quoted-printable" in chain.came[1][0].header
    assert os.listdir(tmp_path) == [mail.handoff.body.spool]


async def test_foreign_mail_is_not_rewritten(tmp_path: Path) -> None:
    chain = SevenBitChain()
    chain.spool = tmp_path
    mail = make_mail(body="grün\r\n".encode())
    handoff = msgspec.structs.replace(mail.handoff, kind="received")
    result = await make_step(chain, tmp_path).run(replace(mail, handoff=handoff))
    assert [(o.kind, o.enhanced) for o in result.outcomes] == [("failed", "5.6.3")]


async def test_a_hop_that_never_has_enough(tmp_path: Path) -> None:
    chain = FakeChain(kinds={b"a@x.example": "rework"})
    result = await make_step(chain, tmp_path).run(make_mail((b"a@x.example", b"b@y.example")))
    assert sorted((o.kind, o.enhanced) for o in result.outcomes) == [
        ("delivered", ""),
        ("failed", "5.6.3"),
    ]
    assert len(chain.came) == 3
