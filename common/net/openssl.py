"""Three things of OpenSSL that Python's ssl module keeps to itself: exported keys, ticket keys, no session cache.

The SSL pointer is read out of the interpreter's own object. Its layout is checked first: the word behind the pointer
must be the object's context, which Python tells too. Where it is not, or where libssl's functions can't be
found, each function says so (None, False), and what needs it is not offered. See docs/decisions.
"""

import ctypes
import functools
import ssl
import sys
from typing import Final

_HEADER: Final = 2  # words of an object's head: reference count and type
_SSL, _CONTEXT = _HEADER + 1, _HEADER + 2  # struct PySSLSocket: weak reference, SSL *, context
_SET_TICKET_KEYS: Final = 59
_SET_CACHE_MODE: Final = 44
_CACHE_OFF: Final = 0
_GET_EXTMS: Final = 122


def export_key(connection: ssl.SSLObject, label: bytes, octets: int) -> bytes | None:
    """Return keying material of a connection (RFC 5705, RFC 8446 §7.5, empty context); None if it can't be had.

    With TLS 1.2 it is worth something only where the extended master secret was agreed (RFC 9266 §4.2), else None.
    """
    library, pointer = _library(), _pointer(connection)
    if library is None or pointer is None:
        return None
    if connection.version() != "TLSv1.3":
        extms = library.SSL_ctrl(ctypes.c_void_p(pointer), _GET_EXTMS, ctypes.c_long(0), None)
        if extms != 1:
            return None
    out = ctypes.create_string_buffer(octets)
    done = library.SSL_export_keying_material(
        ctypes.c_void_p(pointer), out, ctypes.c_size_t(octets), label, ctypes.c_size_t(len(label)),
        b"", ctypes.c_size_t(0), ctypes.c_int(1),
    )  # fmt: skip
    return out.raw if done == 1 else None


def share_tickets(context: ssl.SSLContext, keys: bytes) -> bool:
    """Have session tickets sealed with these 80 octets, and keep no sessions; tell whether it could be done."""
    library = _library()
    pointer = _pointer(context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True))
    if library is None or pointer is None:
        return False
    inner = ctypes.c_void_p(library.SSL_get_SSL_CTX(ctypes.c_void_p(pointer)))
    library.SSL_CTX_ctrl(inner, _SET_CACHE_MODE, ctypes.c_long(_CACHE_OFF), None)
    done = library.SSL_CTX_ctrl(inner, _SET_TICKET_KEYS, ctypes.c_long(len(keys)), keys)
    return bool(done == 1)


@functools.cache
def _library() -> ctypes.CDLL | None:
    """Return the libssl that the ssl module works with."""
    path = getattr(sys.modules.get("_ssl"), "__file__", None)
    try:
        library = ctypes.CDLL(path)
        library.SSL_get_SSL_CTX.restype = ctypes.c_void_p
        library.SSL_ctrl.restype = library.SSL_CTX_ctrl.restype = ctypes.c_long
        library.SSL_export_keying_material.restype = ctypes.c_int
    except (OSError, AttributeError):
        return None
    return library


def _pointer(connection: ssl.SSLObject) -> int | None:
    """Return the SSL pointer of a connection, None if this interpreter lays its objects out otherwise."""
    inner = getattr(connection, "_sslobj", None)
    word = ctypes.sizeof(ctypes.c_void_p)
    if inner is None or type(inner).__basicsize__ < (_CONTEXT + 1) * word:
        return None
    words = (ctypes.c_void_p * (_CONTEXT + 1)).from_address(id(inner))
    return words[_SSL] if words[_CONTEXT] == id(connection.context) else None
