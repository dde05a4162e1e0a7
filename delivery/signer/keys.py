"""Private DKIM keys: where they are, how they are read, made and published.

A key is the file `<dkim_key_dir>/<domain>/<selector>.pem` (RSA or Ed25519; PKCS #1 or #8, not
encrypted). Every `.pem` there signs; a key under any other ending is at rest. Nothing but the
dkim-signer and the administrator's tool reads them.
Sources: RFC 6376 §3.6.1 (record), RFC 8463 (Ed25519), RFC 8301 §3.2 (key sizes).
"""

import base64
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from columba.common.errors import ConfigError
from columba.common.files import make_folders, sync_folder, write_synced

MIN_RSA_BITS: Final = 1024  # RFC 8301 §3.2; 2048 is what we make
KEY_FILE_SIZE: Final = 16 * 1024
SUFFIX: Final = ".pem"
# RFC 6376 §3.1: a selector is one or more labels.
_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_PREHASHED: Final = utils.Prehashed(SHA256())
_PADDING: Final = padding.PKCS1v15()

PrivateKey = RSAPrivateKey | Ed25519PrivateKey


class KeyType(Enum):
    """What kinds of keys are made."""

    RSA_2048 = "rsa2048"
    ED25519 = "ed25519"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that can sign; names are lower case. Its repr shows no secret."""

    domain: str
    selector: str
    private: PrivateKey

    @property
    def algorithm(self) -> str:
        """The a= tag."""
        return "rsa-sha256" if isinstance(self.private, RSAPrivateKey) else "ed25519-sha256"

    @property
    def record_name(self) -> str:
        """The name of the TXT record, without the last dot."""
        return f"{self.selector}._domainkey.{self.domain}"

    def sign(self, digest: bytes) -> bytes:
        """Return the signature of a SHA-256 digest (RSA: about 0.3 ms, without the interpreter's lock)."""
        if isinstance(self.private, RSAPrivateKey):
            return self.private.sign(digest, _PADDING, _PREHASHED)
        return self.private.sign(digest)

    def txt_record(self) -> str:
        """Return the text of the record, one string; the zone writer splits it (see zone_line)."""
        public = self.private.public_key()
        if isinstance(self.private, RSAPrivateKey):
            der = public.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return f"v=DKIM1; k=ed25519; p={base64.b64encode(raw).decode()}"

    def zone_line(self) -> str:
        """Return the record as a line of a zone file, in strings of at most 255 octets."""
        text = self.txt_record()
        strings = " ".join(f'"{text[at : at + 250]}"' for at in range(0, len(text), 250))
        return f"{self.record_name}. IN TXT ( {strings} )"


class KeyRing:
    """All keys, by domain. Immutable; a reload makes a new one."""

    def __init__(self, keys: Iterable[SigningKey]) -> None:
        by_domain: dict[str, list[SigningKey]] = {}
        for key in sorted(keys, key=lambda k: (k.domain, k.algorithm != "rsa-sha256", k.selector)):
            by_domain.setdefault(key.domain, []).append(key)
        self._by_domain = {domain: tuple(found) for domain, found in by_domain.items()}

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that have a key, sorted."""
        return tuple(self._by_domain)

    def active(self, domain: str) -> tuple[SigningKey, ...]:
        """Return the keys of a domain, RSA first; the name is compared without case."""
        return self._by_domain.get(domain.lower().rstrip("."), ())

    def find(self, domain: str, selector: str) -> SigningKey | None:
        """Return one key by both of its names."""
        wanted = selector.lower()
        return next((key for key in self.active(domain) if key.selector == wanted), None)


def load_ring(directory: Path) -> KeyRing:
    """Read all keys. Raises ConfigError for the first that can't be used; no directory = no keys."""
    keys: list[SigningKey] = []
    try:
        files = sorted(directory.glob(f"*/*{SUFFIX}"))
        if not files and directory.exists() and not os.access(directory, os.R_OK | os.X_OK):
            raise ConfigError(f"DKIM keys: {directory} can't be read by this user")
        keys.extend(load_key(path.parent.name, path.name[: -len(SUFFIX)], path) for path in files)
    except OSError as error:
        raise ConfigError(f"DKIM keys: {error}", str(directory)) from error
    return KeyRing(keys)


def load_key(domain: str, selector: str, path: Path) -> SigningKey:
    """Read one key. Raises ConfigError with what to do."""
    _check_name(domain, "domain")
    _check_name(selector, "selector")
    pem = _read_private(path)
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"not an unencrypted RSA or Ed25519 private key in PEM: {error}", str(path)
        ) from error
    if not isinstance(private, RSAPrivateKey | Ed25519PrivateKey):
        raise ConfigError("DKIM knows RSA and Ed25519 keys only (RFC 6376, RFC 8463)", str(path))
    if isinstance(private, RSAPrivateKey) and private.key_size < MIN_RSA_BITS:
        raise ConfigError(
            f"RSA of {private.key_size} bits is not accepted by verifiers (RFC 8301 §3.2): "
            f"make a new key of 2048 bits",
            str(path),
        )
    return SigningKey(domain.lower(), selector.lower(), private)


def generate(domain: str, selector: str, kind: KeyType) -> SigningKey:
    """Make a new key in memory. Raises ConfigError if a name can't stand in DNS."""
    _check_name(domain, "domain")
    _check_name(selector, "selector")
    private: PrivateKey
    match kind:
        case KeyType.RSA_2048:
            private = generate_private_key(public_exponent=65537, key_size=2048)
        case KeyType.ED25519:
            private = Ed25519PrivateKey.generate()
    return SigningKey(domain.lower(), selector.lower(), private)


def save(directory: Path, key: SigningKey, suffix: str = SUFFIX) -> Path:
    """Write a key where load_ring finds it (another suffix: at rest), readable by its owner alone.

    Never replaces one: raises ConfigError. Raises OSError if it can't be written.
    """
    folder = directory / key.domain
    make_folders(folder)
    path = folder / f"{key.selector}{suffix}"
    pem = key.private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        write_synced(path, (pem,))
    except FileExistsError as error:
        raise ConfigError("there is a key of this name already", str(path)) from error
    sync_folder(folder)
    return path


def _check_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name.lower()) or len(name) > 253:
        raise ConfigError(f"DKIM keys: {name!r} is no {what} (A-labels, letters, digits, hyphens)")


def _read_private(path: Path) -> bytes:
    """Read a secret file, refusing one that others could have read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", str(path)) from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError("is no file", str(path))
        if mode & 0o027:
            raise ConfigError(
                f"has mode {stat.S_IMODE(mode):04o}: others can read or change this key. Say "
                f"`chmod 0640 {path}`, and make a new key if anyone untrusted could log in",
                str(path),
            )
        return os.read(descriptor, KEY_FILE_SIZE)
    finally:
        os.close(descriptor)
