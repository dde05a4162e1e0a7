"""What the master hands to processes that speak TLS: certificates, keys, trusted roots, ticket keys.

Pure. The content travels as one sealed memfd: at birth by inheritance, at each change over the news socket.
"""

from typing import Final

import msgspec

from columba.common.errors import RemoteProtocolError

TICKET_OCTETS: Final = 80  # name, HMAC key and AES key, as OpenSSL has them


class Pair(msgspec.Struct, frozen=True):
    """A certificate chain and its key, PEM; the names asked for that it answers, none = the default."""

    names: tuple[str, ...]
    cert: bytes
    key: bytes


class TlsFiles(msgspec.Struct, frozen=True):
    """All of it. trust are roots of client certificates, PEM; tickets is shared by all processes."""

    pairs: tuple[Pair, ...] = ()
    trust: bytes = b""
    tickets: bytes = b""


NONE: Final = TlsFiles()
_DECODER: Final = msgspec.msgpack.Decoder(TlsFiles)


def dump(files: TlsFiles) -> bytes:
    """Return the content of a memfd."""
    return msgspec.msgpack.encode(files)


def load(content: bytes) -> TlsFiles:
    """Return what dump wrote. Raises RemoteProtocolError."""
    try:
        return _DECODER.decode(content)
    except msgspec.MsgspecError as error:
        raise RemoteProtocolError(f"TLS files: {error}") from error
