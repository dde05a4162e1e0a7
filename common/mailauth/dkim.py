"""Check one DKIM signature.

Pure: the key record comes as an argument, nothing is looked up. dkimpy reads and checks the tags; its RSA
is pure Python and its canonicalisation takes quadratic time (a mail of blanks stalls it for minutes), so
hashing, comparing and verifying are done here, with cryptography, in linear time. No state of dkimpy is
changed.
Sources: RFC 6376 §3.5, §3.7, §6.1; RFC 8301; RFC 8463.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

import dkim
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import load_der_public_key

from columba.common.limits import DKIM_SIGNATURE
from columba.common.mail.header import Field, Header
from columba.common.mailauth.canonical import BodyHash, SimpleBodyHash, relaxed_field

_MIN_RSA_BITS: Final = 1024  # RFC 8301 §3.2
_B_VALUE: Final = re.compile(rb"(?:(?<=;)|(?<=:))(\s*b\s*=)[^;]*")
_SPACE: Final = re.compile(rb"\s+")

PublicKey = RSAPublicKey | Ed25519PublicKey


class Result(Enum):
    """RFC 8601 §2.7.1, without what needs DNS."""

    PASS = "pass"
    FAIL = "fail"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a DKIM-Signature field says; `tags` are dkimpy's, checked."""

    field: Field
    tags: dict[bytes, bytes]

    @property
    def domain(self) -> str:
        """The d= tag, lower case."""
        return self.tags[b"d"].decode("ascii").lower()

    @property
    def record_name(self) -> str:
        """The name of the TXT record with its key."""
        return f"{self.tags[b's'].decode('ascii')}._domainkey.{self.domain}"


@dataclass(frozen=True, slots=True)
class Checked:
    """The result for one signature, with the reason when it is no pass."""

    result: Result
    reason: str = ""


def read_signature(field: Field) -> Signature | Checked:
    """Return the signature of a DKIM-Signature field, or why it is none."""
    if len(field.raw) > DKIM_SIGNATURE:
        return Checked(Result.PERMERROR, "signature is too long")
    try:
        tags = dkim.util.parse_tag_value(field.unfolded)
        dkim.validate_signature_fields(tags)
        if tags.get(b"a") not in {b"rsa-sha256", b"ed25519-sha256"}:
            return Checked(Result.PERMERROR, "algorithm is not accepted")  # RFC 8301 §3.1
        tags[b"d"].decode("ascii")
        tags[b"s"].decode("ascii")
    except (dkim.DKIMException, dkim.util.InvalidTagValueList, ValueError, KeyError) as error:
        return Checked(Result.PERMERROR, str(error)[:200])
    if b"from" not in _signed_names(tags):
        return Checked(Result.PERMERROR, "From is not signed")
    return Signature(field, tags)


def check_signature(
    signature: Signature, header: Header, body: Iterable[bytes], record: bytes
) -> Checked:
    """Return what a signature proves of a mail.

    record is the text of the TXT record; body may come in chunks, and is read once.
    """
    canonical = signature.tags.get(b"c", b"simple/simple").split(b"/")
    forms = (canonical[0], canonical[1] if len(canonical) > 1 else b"simple")
    if len(canonical) > 2 or not set(forms) <= {b"simple", b"relaxed"}:
        return Checked(Result.PERMERROR, "c= is not known")
    if b"l" in signature.tags:
        return Checked(Result.FAIL, "l= leaves a part of the body unsigned")  # RFC 6376 §8.2
    body_hash: BodyHash | SimpleBodyHash = (
        BodyHash() if forms[1] == b"relaxed" else SimpleBodyHash()
    )
    for chunk in body:
        body_hash.update(chunk)
    if _unbase64(signature.tags[b"bh"]) != body_hash.digest():
        return Checked(Result.FAIL, "body has changed")
    digest = _header_digest(signature, header, is_relaxed=forms[0] == b"relaxed")
    return _verified(signature, digest, record)


def _header_digest(signature: Signature, header: Header, *, is_relaxed: bool) -> bytes:
    digest = Hash(SHA256())
    left = {
        name: list(header.get_all(name.decode("latin-1"))) for name in _signed_names(signature.tags)
    }
    for name in _signed_names(signature.tags):
        if left[name]:
            field = left[name].pop()
            digest.update(relaxed_field(field) if is_relaxed else field.raw)
    own = Field(_B_VALUE.sub(rb"\1", signature.field.raw.removesuffix(b"\r\n"), count=1) + b"\r\n")
    digest.update((relaxed_field(own) if is_relaxed else own.raw)[:-2])
    return digest.finalize()


def _verified(signature: Signature, digest: bytes, record: bytes) -> Checked:
    try:
        key = _public_key(dkim.util.parse_tag_value(record), signature.tags)
    except (dkim.util.InvalidTagValueList, UnsupportedAlgorithm, ValueError) as error:
        return Checked(Result.PERMERROR, f"key can't be read: {error}"[:200])
    if isinstance(key, str):
        return Checked(Result.PERMERROR, key)
    octets = _unbase64(signature.tags[b"b"])
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(octets, digest)
        else:
            key.verify(octets, digest, padding.PKCS1v15(), utils.Prehashed(SHA256()))
    except InvalidSignature:
        return Checked(Result.FAIL, "header has changed")
    return Checked(Result.PASS)


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
    identity = tags.get(b"i", b"@" + tags[b"d"]).rpartition(b"@")[2]
    if b"t" in record and _listed(record, b"t", {b"s"}) and identity.lower() != tags[b"d"].lower():
        return "key is not for subdomains"
    octets = base64.b64decode(_SPACE.sub(b"", record[b"p"]))
    if kind == b"ed25519":
        return Ed25519PublicKey.from_public_bytes(octets)
    key = load_der_public_key(octets)
    if not isinstance(key, RSAPublicKey):
        return "key is of another kind than the record says"
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
