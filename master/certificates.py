"""Read TLS certificates and keys, and hand them to processes as memfds, so that these need no right to the files."""

import hashlib
import os
from dataclasses import dataclass

from columba.common.errors import EX_NOPERM
from columba.common.ipc.master import Certificate
from columba.master.errors import StartError
from columba.master.settings import MasterSettings
from columba.master.spawn import memfd


@dataclass(frozen=True, slots=True)
class Pair:
    """The content of a certificate file and its key file; no names = the default."""

    names: tuple[str, ...]
    cert: bytes
    key: bytes


def read_pairs(settings: MasterSettings) -> list[Pair]:
    """Return all certificates, the default first; raises StartError for a file that can't be read."""
    pairs = []
    if settings.ssl_cert_file:
        pairs.append(_pair((), settings.ssl_cert_file, settings.ssl_key_file))
    for name, tls in settings.local_name.items():
        pairs.append(_pair((name,), tls.ssl_cert_file, tls.ssl_key_file))
    return pairs


def fingerprint(pairs: list[Pair]) -> str:
    """Return what changes when any file's content does."""
    digest = hashlib.sha256()
    for pair in pairs:
        for part in (*(name.encode() for name in pair.names), pair.cert, pair.key):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def hand_over(pairs: list[Pair]) -> list[Certificate]:
    """Return new memfds for one process; the caller closes them after its birth."""
    return [
        Certificate(memfd("cert", pair.cert), memfd("key", pair.key), pair.names) for pair in pairs
    ]


def close(certificates: list[Certificate]) -> None:
    """Close the master's side of what was handed over."""
    for certificate in certificates:
        os.close(certificate.cert_fd)
        os.close(certificate.key_fd)


def _pair(names: tuple[str, ...], cert_file: str, key_file: str) -> Pair:
    return Pair(names, _read("ssl_cert_file", cert_file), _read("ssl_key_file", key_file))


def _read(setting: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20)
    except OSError as error:
        raise StartError(
            f"{setting}: Can't open file {path}: {error.strerror}", EX_NOPERM
        ) from error
