"""Read TLS certificates and keys, and hand them to processes as memfds, so that these need no right to the files."""

import os
import ssl
from collections.abc import Iterator
from typing import Final

from columba.common.errors import EX_CONFIG, EX_NOPERM
from columba.common.ipc.tlsfiles import TICKET_OCTETS, Pair, TlsFiles
from columba.master.errors import StartError
from columba.master.settings import MasterSettings

FILE_MAX: Final = 1 << 20
Marks = tuple[tuple[int, int, int], ...]


def read_files(settings: MasterSettings) -> TlsFiles:
    """Return all certificates, the default first; raises StartError for one that can't be read or used."""
    pairs = []
    if settings.ssl_cert_file:
        pairs.append(_pair((), settings.ssl_cert_file, settings.ssl_key_file))
    for name, tls in settings.local_name.items():
        pairs.append(_pair(tuple(name.split()), tls.ssl_cert_file, tls.ssl_key_file))
    roots = settings.ssl_server_ca_file
    trust = _read("ssl_server_ca_file", roots) if roots else b""
    return TlsFiles(tuple(pairs), trust)


def marks(settings: MasterSettings) -> Marks:
    """Return what changes when any of the files does."""
    return tuple(_mark(path) for path in _paths(settings))


def new_tickets() -> bytes:
    """Return new keys for session tickets."""
    return os.urandom(TICKET_OCTETS)


def check(files: TlsFiles) -> None:
    """Raise StartError for a pair that does not fit together: a file may be half replaced."""
    for pair in files.pairs:
        opened = [_temporary(part) for part in (pair.cert, pair.key)]
        try:
            paths = [f"/proc/self/fd/{fd}" for fd in opened]
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*paths)
        except (OSError, ssl.SSLError, ValueError) as error:
            names = ", ".join(pair.names) or "the default name"
            raise StartError(f"certificate and key for {names}: {error}", EX_CONFIG) from error
        finally:
            for fd in opened:
                os.close(fd)


def _temporary(content: bytes) -> int:
    fd = os.memfd_create("check", os.MFD_CLOEXEC)
    os.write(fd, content)
    return fd


def _paths(settings: MasterSettings) -> Iterator[str]:
    yield from (settings.ssl_cert_file, settings.ssl_key_file, settings.ssl_server_ca_file)
    for tls in settings.local_name.values():
        yield from (tls.ssl_cert_file, tls.ssl_key_file)


def _mark(path: str) -> tuple[int, int, int]:
    try:
        stat = os.stat(path) if path else None
    except OSError:
        return (-1, 0, 0)
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino) if stat else (0, 0, 0)


def _pair(names: tuple[str, ...], cert_file: str, key_file: str) -> Pair:
    return Pair(names, _read("ssl_cert_file", cert_file), _read("ssl_key_file", key_file))


def _read(setting: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(FILE_MAX)
    except OSError as error:
        raise StartError(
            f"{setting}: Can't open file {path}: {error.strerror}", EX_NOPERM
        ) from error
