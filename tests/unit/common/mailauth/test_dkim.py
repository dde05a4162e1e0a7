"""Checking signatures: dkimpy signs, we check, and what is hostile takes no time."""

import base64
import time

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from columba.common.limits import DKIM_SIGNATURES
from columba.common.mail.header import Field, Header, split_message
from columba.common.mailauth.canonical import hash_body
from columba.common.mailauth.dkim import (
    Checked,
    DkimResult,
    Signature,
    body_mismatch,
    check_dkim,
    header_digest,
    read_signature,
    verify_digest,
)
from columba.common.mailauth.result import BodyForm, Verdict
from tests.fakes.zone import Zone, bodies

RSA = generate_private_key(65537, 2048)
SMALL = generate_private_key(65537, 1024)
ED = Ed25519PrivateKey.generate()
PEM = RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
DER = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
PKCS1 = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
RECORD = b"v=DKIM1; k=rsa; p=" + base64.b64encode(DER)
ED_SEED = base64.b64encode(ED.private_bytes_raw())
ED_RECORD = b"v=DKIM1; k=ed25519; p=" + base64.b64encode(ED.public_key().public_bytes_raw())
MAIL = (
    b"From: Anna <a@example.org>\r\nSubject:  two\r\n\twords \r\nSubject: again\r\nTo: b@example.net\r\n\r\n"
    b"Hello \t World  \r\n\r\n two\r\n\r\n\r\n"
)


def sign(
    message: bytes, form: bytes = b"relaxed/relaxed", *, ed: bool = False, length: bool = False
) -> bytes:
    headers, bodies = form.split(b"/")
    field = dkim.sign(
        message, b"sel", b"Example.org", ED_SEED if ed else PEM, canonicalize=(headers, bodies),
        signature_algorithm=b"ed25519-sha256" if ed else b"rsa-sha256", length=length,
    )  # fmt: skip
    assert isinstance(field, bytes)
    return field + message


def check(message: bytes, record: bytes = RECORD, size: int = 7) -> Checked:
    """Check the only signature of a mail; any name has this record."""
    header, body = split_message(message)
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    name = ("sel._domainkey.example.org", "txt")
    zone = Zone({name: (record.decode("utf-8", "surrogateescape"),)}, body=bodies(chunks))
    (result,) = zone.drive(check_dkim(header))
    return Checked(result.verdict, result.reason)


@pytest.mark.parametrize(
    "form", [b"relaxed/relaxed", b"simple/simple", b"simple/relaxed", b"relaxed/simple"]
)
@pytest.mark.parametrize("body", [None, b"", b"\r\n\r\n", b"x\r\n", b"\r\nx\r\n\r\n"])
def test_what_dkimpy_signs_passes(form: bytes, body: bytes | None) -> None:
    message = MAIL if body is None else MAIL[: MAIL.index(b"\r\n\r\n") + 4] + body
    assert check(sign(message, form)) == Checked(Verdict.PASS)
    assert check(sign(message, form, ed=True), ED_RECORD) == Checked(Verdict.PASS)


def test_names() -> None:
    header, _ = split_message(sign(MAIL))
    signature = read_signature(header.fields[0])
    assert isinstance(signature, Signature)
    assert signature.domain == "example.org"
    assert signature.record_name == "sel._domainkey.example.org"


@pytest.mark.parametrize(
    ("old", "new", "result"),
    [
        (b"Hello", b"Hallo", Verdict.FAIL),
        (b"words", b"swords", Verdict.FAIL),
        (b"s=sel", b"s=sol", Verdict.PERMERROR),
        (b"c=relaxed/relaxed", b"c=relaxed/other", Verdict.PERMERROR),
        (b"a=rsa-sha256", b"a=rsa-sha1", Verdict.PERMERROR),
        (b"a=rsa-sha256", b"a=ed25519-sha256", Verdict.PERMERROR),
        (b"v=1", b"v=2", Verdict.PERMERROR),
        (b"from :", b"", Verdict.PERMERROR),
        (b"bh=", b"x=1; bh=", Verdict.PERMERROR),
        (b"bh=", b"xh=", Verdict.PERMERROR),
    ],
)
def test_changes_are_seen(old: bytes, new: bytes, result: Verdict) -> None:
    message = sign(MAIL).replace(b"from : ", b"from :")
    message = (
        message.replace(b": from", b"").replace(b":\r\n from", b"") if old == b"from :" else message
    )
    assert old in message
    assert check(message.replace(old, new)).verdict is result


SMALL_DER = SMALL.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("record", "result"),
    [
        (b"p=" + base64.b64encode(DER), Verdict.PASS),
        (b"v=DKIM1; p=" + base64.b64encode(PKCS1), Verdict.PASS),
        (RECORD + b"; s=email; h=sha1:sha256; t=s", Verdict.PASS),
        (RECORD + b"; s=other", Verdict.PERMERROR),
        (RECORD + b"; h=sha1", Verdict.PERMERROR),
        (b"v=DKIM2; p=" + base64.b64encode(DER), Verdict.PERMERROR),
        (b"v=DKIM1; k=rsa; p=", Verdict.PERMERROR),
        (b"v=DKIM1; k=rsa; p=AAAA", Verdict.PERMERROR),
        (b"v=DKIM1; k=rsa; p=!", Verdict.PERMERROR),
        (b"nonsense", Verdict.PERMERROR),
        (ED_RECORD, Verdict.PERMERROR),
        (ED_RECORD.replace(b"ed25519", b"rsa"), Verdict.PERMERROR),
        (b"p=" + base64.b64encode(SMALL_DER), Verdict.FAIL),
    ],
    ids=[str(number) for number in range(13)],  # the keys are new in each run
)
def test_key_records(record: bytes, result: Verdict) -> None:
    assert check(sign(MAIL), record).verdict is result


def test_a_part_of_the_body_is_not_enough() -> None:
    assert check(sign(MAIL, length=True)) == Checked(
        Verdict.POLICY, "l= leaves a part of the body unsigned"
    )


@pytest.mark.parametrize("form", ["relaxed", "simple"])
def test_a_megabyte_of_blanks_takes_no_time(form: BodyForm) -> None:
    header, body = split_message(sign(MAIL, f"{form}/{form}".encode()))
    signature = read_signature(header.fields[0])
    assert isinstance(signature, Signature)
    start = time.perf_counter()
    for evil in (
        b" " * 1_000_000,
        b" " * 1_000_000 + b"\r\n",
        b"\r\n" * 500_000,
        b" \r\n" * 300_000,
    ):
        chunks = [evil[at : at + 65536] for at in range(0, len(evil), 65536)]
        found = body_mismatch(signature, {form: hash_body(form, chunks)})
        assert found is not None and found.verdict is Verdict.FAIL
    assert time.perf_counter() - start < 1
    assert body_mismatch(signature, {form: hash_body(form, [body])}) is None


@pytest.mark.parametrize(
    "evil",
    [
        b"b" + b" " * 7000,
        b"h=" + b" " * 7000,
        b"b" + b"\r\n " * 2300,
        b"; b = " * 1000,
        b"=;" * 3500,
    ],
)
def test_hostile_signatures_take_no_time(evil: bytes) -> None:
    base = sign(MAIL)
    header, _ = split_message(base)
    raw = header.fields[0].raw
    start = time.perf_counter()
    for field in (
        raw[:-2] + b"; " + evil + b"\r\n",
        raw.replace(b" v=1;", b" " + evil + b"; v=1;"),
    ):
        signature = read_signature(Field(field))
        if isinstance(signature, Signature):
            header_digest(signature, header)
    assert read_signature(Field(raw[:-2] + b" " * 9000 + b"\r\n")) == Checked(
        Verdict.PERMERROR, "signature is too long"
    )
    assert time.perf_counter() - start < 1


TAGS = [b"v=1", b"a=rsa-sha256", b"b=AAAA", b"bh=AAAA", b"d=x", b"h=from", b"s=y", b"=", b"l=1",
        b"x=99999999999", b"i=@x", b"\xff", b"c=simple"]  # fmt: skip


@given(st.lists(st.sampled_from(TAGS)), st.binary(max_size=50))
def test_any_field_and_record(tags: list[bytes], record: bytes) -> None:
    field = Field(b"DKIM-Signature: " + b"; ".join(tags) + b"\r\n")
    signature = read_signature(field)
    if isinstance(signature, Signature):
        digest = header_digest(signature, Header(field.raw + b"From: x\r\n"))
        told = record.decode("utf-8", "surrogateescape")
        zone = Zone({(signature.record_name, "txt"): (told,)})
        assert zone.drive(verify_digest(signature, digest)).verdict is not Verdict.PASS


def test_every_signature_has_its_result_up_to_a_limit() -> None:
    other = sign(MAIL).partition(b"From:")[0].replace(b"Example.org", b"other.example")
    header, body = split_message(other + sign(MAIL, b"simple/simple"))
    name = ("sel._domainkey.example.org", "txt")
    zone = Zone({name: (RECORD.decode(),)}, frozenset({"sel._domainkey.other.example"}))
    zone.body = bodies([body])
    found = zone.drive(check_dkim(header))
    assert [(r.domain, r.verdict) for r in found] == [
        ("other.example", Verdict.TEMPERROR),
        ("example.org", Verdict.PASS),
    ]
    many = Header(header.fields[1].raw * 50 + MAIL)
    assert len(zone.drive(check_dkim(many))) == DKIM_SIGNATURES


def test_a_body_that_cannot_be_read_is_temporary() -> None:
    header, _ = split_message(sign(MAIL))
    assert Zone().drive(check_dkim(header))[0].verdict is Verdict.TEMPERROR


def test_a_key_in_test_fails_nobody() -> None:
    assert check(sign(MAIL), RECORD + b"; t=y").verdict is Verdict.PASS
    changed = sign(MAIL).replace(b"words", b"swords")
    assert check(changed, RECORD + b"; t=y:s").verdict is Verdict.NEUTRAL


def test_a_mail_without_signatures() -> None:
    assert Zone().drive(check_dkim(Header(MAIL))) == ()


def test_what_is_no_signature_has_no_domain() -> None:
    field = b"DKIM-Signature: v=1; a=rsa-sha256; d=x; i=x; s=y; h=from; b=AAAA; bh=AAAA\r\n"
    (found,) = Zone().drive(check_dkim(Header(field)))
    assert isinstance(found, DkimResult)
    assert found.verdict is Verdict.PERMERROR
