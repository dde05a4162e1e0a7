"""Check the DKIM signatures of a mail, and what ARC signs in the same way.

Pure: a generator that asks for keys and for hashes of the body (result.py). dkimpy reads and checks the tags; its RSA
is pure Python and its canonicalisation takes quadratic time (a mail of blanks stalls it for minutes), so
hashing, comparing and verifying are done here, with cryptography, in linear time. No state of dkimpy is
changed.
Sources: RFC 6376 §3.5, §3.7, §6.1; RFC 8301; RFC 8463; RFC 8617 §4.1 (tags of ARC).
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, cast

import dkim
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from columba.common.limits import DKIM_KEY_BITS, DKIM_SIGNATURE, DKIM_SIGNATURES
from columba.common.mail.header import Field, Header
from columba.common.mailauth.canonical import relaxed_field
from columba.common.mailauth.result import AskBody, AskDns, BodyForm, Check, Verdict, is_domain

DKIM: Final = "DKIM-Signature"
ARC_MESSAGE: Final = "ARC-Message-Signature"
ARC_SEAL: Final = "ARC-Seal"
_MIN_RSA_BITS: Final = 1024  # RFC 8301 §3.2
_B_VALUE: Final = re.compile(rb"(?:(?<=;)|(?<=:))(\s*b\s*=)[^;]*")
_SPACE: Final = re.compile(rb"\s+")
_SEALED: Final = [b"a", b"b", b"cv", b"d", b"i", b"s"]  # RFC 8617 §4.1.3
_SIGNED: Final = [b"a", b"b", b"bh", b"d", b"h", b"s"]
_FORMS: Final = frozenset({b"simple", b"relaxed"})

PublicKey = RSAPublicKey | Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class Signature:
    """What a field says that signs; `tags` are dkimpy's, checked. header_form, body_form: its c=."""

    field: Field
    tags: dict[bytes, bytes]
    header_form: BodyForm = "relaxed"
    body_form: BodyForm = "relaxed"

    @property
    def domain(self) -> str:
        """The d= tag, lower case."""
        return self.tags[b"d"].decode("ascii").lower()

    @property
    def selector(self) -> str:
        """The s= tag."""
        return self.tags[b"s"].decode("ascii")

    @property
    def record_name(self) -> str:
        """The name of the TXT record with its key."""
        return f"{self.selector}._domainkey.{self.domain}"


@dataclass(frozen=True, slots=True)
class Checked:
    """The result for one signature, with the reason when it is no pass."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DkimResult:
    """What one DKIM signature proves: pass, fail, neutral (its key is in test), policy, temperror, permerror.

    domain, selector: its d= and s=, "" if it can't be read.
    """

    verdict: Verdict
    domain: str = ""
    selector: str = ""
    reason: str = ""


def check_dkim(header: Header) -> Check[tuple[DkimResult, ...]]:
    """Check the first signatures of a mail as it was received, up to a limit. Never raises."""
    fields = header.get_all(DKIM)[:DKIM_SIGNATURES]
    read = [read_signature(field) for field in fields]
    signatures = [each for each in read if isinstance(each, Signature)]
    hashes = yield from ask_body(signatures)
    found = []
    for each in read:
        if isinstance(each, Checked):
            found.append(DkimResult(each.verdict, reason=each.reason))
            continue
        checked = body_mismatch(each, hashes)
        if checked is None:
            checked = yield from verify_digest(each, header_digest(each, header))
        found.append(DkimResult(checked.verdict, each.domain, each.selector, checked.reason))
    return tuple(found)


def read_signature(field: Field, kind: str = DKIM) -> Signature | Checked:
    """Return the signature of a field, or why it is none."""
    if len(field.raw) > DKIM_SIGNATURE:
        return Checked(Verdict.PERMERROR, "signature is too long")
    is_dkim, is_seal = kind == DKIM, kind == ARC_SEAL
    try:
        tags = dkim.util.parse_tag_value(field.unfolded)
        wanted = [b"v", *_SIGNED] if is_dkim else _SEALED if is_seal else [b"i", *_SIGNED]
        dkim.validate_signature_fields(tags, wanted, not is_dkim)
        tags[b"d"].decode("ascii")
        tags[b"s"].decode("ascii")
    except (dkim.DKIMException, dkim.util.InvalidTagValueList, ValueError, LookupError) as error:
        return Checked(Verdict.PERMERROR, str(error)[:200])
    if tags[b"a"] not in {b"rsa-sha256", b"ed25519-sha256"}:
        return Checked(Verdict.PERMERROR, "algorithm is not accepted")  # RFC 8301 §3.1
    if is_seal:
        wrong = b"h" in tags  # RFC 8617 §4.1.3
        return Checked(Verdict.PERMERROR, "a seal has no h=") if wrong else Signature(field, tags)
    names = _signed_names(tags)
    if is_dkim and b"from" not in names:
        return Checked(Verdict.PERMERROR, "From is not signed")
    if not is_dkim and b"arc-seal" in names:
        return Checked(Verdict.PERMERROR, "ARC-Seal is signed")  # RFC 8617 §4.1.2
    forms = tags.get(b"c", b"simple/simple").split(b"/")
    if len(forms) > 2 or not _FORMS.issuperset(forms):
        return Checked(Verdict.PERMERROR, "c= is not known")
    head, body = forms[0].decode(), forms[1].decode() if len(forms) > 1 else "simple"
    return Signature(field, tags, cast("BodyForm", head), cast("BodyForm", body))


def ask_body(signatures: Iterable[Signature]) -> Check[Mapping[BodyForm, bytes]]:
    """Ask for the hashes that signatures need; each of the two forms is hashed once."""
    forms = tuple(sorted({each.body_form for each in signatures}))
    if not forms:
        return {}
    told = yield AskBody(forms)
    return {form: bytes.fromhex(text) for form, text in zip(forms, told.records, strict=False)}


def body_mismatch(signature: Signature, hashes: Mapping[BodyForm, bytes]) -> Checked | None:
    """Return what is wrong about the body, None if it is what was signed."""
    if b"l" in signature.tags:
        # RFC 6376 §8.2: anybody could add to the rest.
        return Checked(Verdict.POLICY, "l= leaves a part of the body unsigned")
    if signature.body_form not in hashes:
        return Checked(Verdict.TEMPERROR, "body can't be read now")
    if _unbase64(signature.tags[b"bh"]) != hashes[signature.body_form]:
        return Checked(Verdict.FAIL, "body has changed")
    return None


def header_digest(signature: Signature, header: Header) -> bytes:
    """Return the hash of the fields that a signature signs (RFC 6376 §3.7)."""
    is_relaxed, digest = signature.header_form == "relaxed", hashlib.sha256()
    names = _signed_names(signature.tags)
    left = {name: list(header.get_all(name.decode("latin-1"))) for name in names}
    for name in names:
        if left[name]:
            field = left[name].pop()
            digest.update(relaxed_field(field) if is_relaxed else field.raw)
    digest.update(unsigned_field(signature))
    return digest.digest()


def unsigned_field(signature: Signature) -> bytes:
    """Return the canonical form of a signature with its b= empty and without its last CRLF (RFC 6376 §3.7)."""
    own = Field(_B_VALUE.sub(rb"\1", signature.field.raw.removesuffix(b"\r\n"), count=1) + b"\r\n")
    return (relaxed_field(own) if signature.header_form == "relaxed" else own.raw)[:-2]


def verify_digest(signature: Signature, digest: bytes) -> Check[Checked]:
    """Ask for the key of a signature and return whether it signed that hash."""
    if not is_domain(signature.record_name):
        return Checked(Verdict.PERMERROR, "the key's name is no name")
    told = yield AskDns(signature.record_name, "txt")
    if told.is_temporary:
        return Checked(Verdict.TEMPERROR, "key can't be looked up now")
    if not told.records:
        return Checked(Verdict.PERMERROR, "there is no key")
    # RFC 6376 §3.6.2.2: several records are a mistake; the first is taken.
    record = told.records[0].encode("utf-8", "surrogateescape")
    try:
        tags = dkim.util.parse_tag_value(record)
        key = _public_key(tags, signature.tags)
    except (dkim.util.InvalidTagValueList, UnsupportedAlgorithm, ValueError) as error:
        return Checked(Verdict.PERMERROR, f"key can't be read: {error}"[:200])
    if isinstance(key, str):
        return Checked(Verdict.PERMERROR, key)
    if _is_signed_by(key, _unbase64(signature.tags[b"b"]), digest):
        return Checked(Verdict.PASS)
    is_test = b"t" in tags and _listed(tags, b"t", {b"y"})  # RFC 6376 §3.6.1: as if unsigned
    return Checked(Verdict.NEUTRAL if is_test else Verdict.FAIL, "header has changed")


def _is_signed_by(key: PublicKey, octets: bytes, digest: bytes) -> bool:
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(octets, digest)
        else:
            key.verify(octets, digest, padding.PKCS1v15(), utils.Prehashed(SHA256()))
    except InvalidSignature:
        return False
    return True


def _public_key(record: dict[bytes, bytes], tags: dict[bytes, bytes]) -> PublicKey | str:
    """Return the key of a record, or why it does not serve (RFC 6376 §3.6.1). Raises ValueError."""
    kind = record.get(b"k", b"rsa")
    if record.get(b"v", b"DKIM1") != b"DKIM1" or b"p" not in record:
        return "no key record"
    if not record[b"p"]:
        return "key is revoked"
    if not _listed(record, b"s", {b"*", b"email"}) or not _listed(record, b"h", {b"sha256"}):
        return "key is for other uses"
    if not tags[b"a"].startswith(kind + b"-"):
        return "key is of another kind than the signature"
    # In ARC, i= is a number.
    identity = tags.get(b"i", b"") if b"@" in tags.get(b"i", b"") else b"@" + tags[b"d"]
    is_exact = identity.rpartition(b"@")[2].lower() == tags[b"d"].lower()
    if b"t" in record and _listed(record, b"t", {b"s"}) and not is_exact:
        return "key is not for subdomains"
    octets = base64.b64decode(_SPACE.sub(b"", record[b"p"]))
    if kind == b"ed25519":
        return Ed25519PublicKey.from_public_bytes(octets)
    key = load_der_public_key(octets)
    if not isinstance(key, RSAPublicKey):
        return "key is of another kind than the record says"
    if key.key_size > DKIM_KEY_BITS:
        return "key is too long"
    return key if key.key_size >= _MIN_RSA_BITS else "key is too short"


def _listed(record: dict[bytes, bytes], tag: bytes, wanted: set[bytes]) -> bool:
    """Tell whether a colon-separated list has one of these, or is not there."""
    return tag not in record or not wanted.isdisjoint(
        item.strip() for item in record[tag].split(b":")
    )


def _signed_names(tags: dict[bytes, bytes]) -> list[bytes]:
    return [name.strip().lower() for name in tags[b"h"].split(b":")]


def _unbase64(value: bytes) -> bytes:
    try:
        return base64.b64decode(_SPACE.sub(b"", value))
    except (binascii.Error, ValueError):
        return b""
