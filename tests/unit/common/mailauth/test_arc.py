"""ARC: chains that dkimpy seals are whole, and what is done to them is seen."""

import base64
import time

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from columba.common.limits import ARC_SETS
from columba.common.mail.header import Header, split_message
from columba.common.mailauth.arc import ArcResult, check_arc, read_chain, seal_digests
from columba.common.mailauth.result import Verdict
from tests.fakes.zone import Zone, bodies

KEY = generate_private_key(65537, 1024)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
DER = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
RECORD = "v=DKIM1; p=" + base64.b64encode(DER).decode()
MAIL = (
    b"From: Ann <a@example.org>\r\nSubject: hello\r\nTo: list@lists.example\r\n\r\nHello  you\r\n"
)


def names(n: str) -> str:
    return f"sel._domainkey.{n}"


def sealed(message: bytes, domain: bytes, said: bytes) -> bytes:
    """Seal a mail as this domain, which found what is said."""
    found = b"Authentication-Results: %b; %b\r\n" % (domain, said) + message
    fields = dkim.arc_sign(found, b"sel", domain, PEM, domain, timestamp=1_700_000_000)
    assert fields, "dkimpy did not seal"
    return b"".join(fields) + found


def check(message: bytes, zone: Zone | None = None) -> ArcResult:
    header, body = split_message(message)
    zone = zone or Zone({(names(n), "txt"): (RECORD,) for n in ("lists.example", "two.example")})
    zone.body = bodies([body])
    return zone.drive(check_arc(header))


ONE = sealed(MAIL, b"lists.example", b"spf=pass smtp.mailfrom=a@example.org")
TWO = sealed(b"Received: x\r\n" + ONE, b"two.example", b"arc=pass")


def test_no_chain() -> None:
    assert check(MAIL) == ArcResult(Verdict.NONE)


def test_a_chain_of_one() -> None:
    found = check(ONE)
    assert (found.verdict, found.sealer) == (Verdict.PASS, "lists.example"), found


def test_a_chain_of_two() -> None:
    found = check(TWO)
    assert (found.verdict, found.sealer) == (Verdict.PASS, "two.example"), found
    # The second one may have changed the mail; the first may have changed nothing of its own set.
    assert check(TWO.replace(b"d=lists.example", b"d=no.example")).verdict is Verdict.FAIL
    assert check(TWO.replace(b"cv=pass", b"cv=none")).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Hello", b"Hallo"),
        (b"Subject: hello", b"Subject: other"),
        (b"ARC-Seal", b"X-Seal"),
        (b"ARC-Message-Signature", b"X-Message-Signature"),
        (b"ARC-Authentication-Results: i=1", b"ARC-Authentication-Results: i=2"),
        (b"ARC-Authentication-Results: i=1", b"ARC-Authentication-Results: i=x"),
        (b"cv=none", b"cv=pass"),
        (b"cv=none", b"cv=fail"),
        (b"cv=none", b"cv=other"),
        (b"spf=pass", b"spf=fail"),
        (b"d=lists.example", b"d=two.example"),
        (b"d=lists.example", b"d=no.example"),
    ],
)
def test_changes_break_it(old: bytes, new: bytes) -> None:
    assert old in ONE
    assert check(ONE.replace(old, new)).verdict is Verdict.FAIL


def test_no_answer_is_temperror() -> None:
    zone = Zone({}, frozenset({names("lists.example")}))
    assert check(ONE, zone).verdict is Verdict.TEMPERROR


def test_a_set_twice_is_no_chain() -> None:
    header, _ = split_message(ONE)
    seal = header.get("ARC-Seal")
    assert seal is not None
    assert check(seal.raw + ONE).verdict is Verdict.FAIL


def test_too_many_sets() -> None:
    seals = b"".join(b"ARC-Seal: i=%d; cv=none\r\n" % n for n in range(1, ARC_SETS + 2))
    assert check(seals + MAIL).verdict is Verdict.FAIL


FIELDS = st.lists(
    st.sampled_from(
        [b"i=1;", b"i=2;", b"i=;", b"i=99999999999;", b"a=rsa-sha256;", b"cv=none;", b"d=x;", b"s=y;",
         b"b=AAAA;", b"bh=AAAA;", b"h=from;", b"h=arc-seal;", b"t=1;", b"\xff", b"=;"]
    )
)  # fmt: skip


@given(FIELDS, FIELDS, FIELDS)
def test_any_fields(seal: list[bytes], message: list[bytes], results: list[bytes]) -> None:
    header = Header(
        b"ARC-Seal: %b\r\nARC-Message-Signature: %b\r\nARC-Authentication-Results: %b\r\n"
        % (b" ".join(seal), b" ".join(message), b" ".join(results))
    )
    zone = Zone({("y._domainkey.x", "txt"): (RECORD,)})
    zone.body = bodies([b""])
    assert zone.drive(check_arc(header)).verdict is Verdict.FAIL


def test_the_longest_chain_takes_no_time() -> None:
    filler = b"".join(b"\r\n %b" % (b"x" * 900) for _ in range(4))
    sets = b"".join(
        b"ARC-Seal: i=%d; cv=%b; a=rsa-sha256; d=lists.example; s=sel; b=AAAA; t=1\r\n"
        b"ARC-Message-Signature: i=%d; a=rsa-sha256; d=x; s=y; h=from; b=AAAA; bh=AAAA\r\n"
        b"ARC-Authentication-Results: i=%d; x%b\r\n"
        % (n, b"none" if n == 1 else b"pass", n, n, filler)
        for n in range(1, ARC_SETS + 1)
    )
    chain = read_chain(Header(sets))
    assert not isinstance(chain, ArcResult)
    start = time.perf_counter()
    assert len(set(seal_digests(chain))) == ARC_SETS
    assert time.perf_counter() - start < 0.1
