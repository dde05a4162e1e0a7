"""What a queued mail was signed with serves, or is replaced."""

from dataclasses import replace
from pathlib import Path

import msgspec

from columba.common.hop.mail import Mail
from columba.common.ipc import wire
from columba.common.mail.header import Header
from columba.delivery.signer.keys import KeyRing, KeyType, generate
from columba.delivery.signer.resign import ours, serves
from tests.unit.delivery.signer.test_step import RING, FakeChain, check, make_mail, make_step

OLD = KeyRing([generate("example.org", "old", KeyType.ED25519)])


async def signed(folder: Path, ring: KeyRing = RING, lifetime_s: int = 0) -> Mail:
    """Return a mail as the queue hands it back after a try."""
    chain, step = FakeChain(kinds={b"b@example.net": "deferred"}), make_step(FakeChain(), folder)
    step = make_step(chain, folder)
    step._signing = replace(step._signing, keys=ring, lifetime_s=lifetime_s)
    result = await step.run(make_mail())
    ((sent, _),) = chain.came
    ((variant, header),) = result.variants
    assert sent.handoff.signed == variant.sign_selectors
    handoff = msgspec.structs.replace(
        sent.handoff, step="delivery", origin="queue", signed=variant.sign_selectors
    )
    return Mail(handoff, header, sent.body)


async def test_a_signature_that_serves_is_left_alone(tmp_path: Path) -> None:
    mail, chain = await signed(tmp_path, lifetime_s=7 * 86_400), FakeChain()
    result = await make_step(chain, tmp_path).run(mail)
    ((sent, _),) = chain.came
    assert sent.header == mail.header
    assert result.variants == ()


async def test_a_retired_selector_is_replaced(tmp_path: Path) -> None:
    mail = await signed(tmp_path, OLD)
    chain = FakeChain(kinds={b"b@example.net": "deferred"})
    result = await make_step(chain, tmp_path).run(mail)
    ((sent, _),) = chain.came
    header = Header(sent.header)
    assert header.count("DKIM-Signature") == 2, "the two keys of today"
    assert b"s=old" not in sent.header
    check(sent.header + b"\r\n" + sent.body)
    ((variant, kept),) = result.variants
    assert (variant.sign_selectors, kept) == (sent.handoff.signed, sent.header)


async def test_a_signature_near_its_end_is_replaced(tmp_path: Path) -> None:
    mail, chain = await signed(tmp_path, lifetime_s=3600), FakeChain()
    await make_step(chain, tmp_path).run(mail)
    ((sent, _),) = chain.came
    assert sent.header != mail.header
    assert Header(sent.header).count("DKIM-Signature") == 2


async def test_without_a_key_an_old_signature_is_better_than_none(tmp_path: Path) -> None:
    mail, chain = await signed(tmp_path), FakeChain()
    step = make_step(chain, tmp_path)
    step._signing = replace(step._signing, keys=KeyRing([]))
    result = await step.run(mail)
    assert [o.kind for o in result.outcomes] == ["delivered"]
    assert chain.came[0][0].header == mail.header


async def test_others_signatures_are_none_of_ours(tmp_path: Path) -> None:
    mail = await signed(tmp_path)
    theirs = b"DKIM-Signature: v=1; d=other.example;\r\n s=r; x=1; b=AAAA\r\n"
    header = Header(theirs + mail.header)
    assert len(ours(header, mail.handoff.signed)) == 2
    assert serves(header, mail.handoff.signed, RING, 0.0)
    assert not serves(Header(theirs), mail.handoff.signed, RING, 0.0), "none of ours is there"


async def test_another_domain_that_policy_names_later_signs_anew(tmp_path: Path) -> None:
    """The queue's route stage may choose otherwise than that of the first try."""
    ring = KeyRing([generate(d, "k", KeyType.ED25519) for d in ("example.org", "example.com")])
    mail, chain = await signed(tmp_path, ring), FakeChain()
    for sign, wanted in (("example.org", 1), ("example.com", 1)):
        handoff = msgspec.structs.replace(mail.handoff, sign=(wire.Sign(domain=sign),))
        step = make_step(chain, tmp_path)
        step._signing = replace(step._signing, keys=ring)
        await step.run(Mail(handoff, mail.header, mail.body))
        sent, _ = chain.came[-1]
        fields = Header(sent.header).get_all("DKIM-Signature")
        assert len(fields) == wanted and f"d={sign};".encode() in fields[0].value
        assert (sent.header == mail.header) is (sign == "example.org")
