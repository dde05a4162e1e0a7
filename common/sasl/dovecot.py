r"""Dovecot's authentication protocol, both sides of it, without I/O.

Pure. Lines end with LF, fields are separated by TAB, and `\x01` escapes NUL, LF, CR, TAB and itself. A
client writes its VERSION and CPID at once; only the major version matters. Binary data is base64 in `resp=` and
in CONT. The same lines carry user look-ups (`USER`), on a socket of their own in Dovecot.
Source: Dovecot's authentication protocol, versions 1.1 and 1.2.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from columba.common.errors import RemoteProtocolError

LINE_MAX: Final = 16384
MAJOR: Final = b"1"
# A flag of ours, beside `private`: this mechanism may be used by who sends the channel's bindings with AUTH.
BINDING: Final = "binding-in-request"
_BINDING_PARAM: Final = "binding-"
_ESCAPES: Final = {
    b"\x01": b"\x011",
    b"\t": b"\x01t",
    b"\r": b"\x01r",
    b"\n": b"\x01n",
    b"\0": b"\x010",
}


class LineReader:
    """Cuts input into lines of unescaped fields."""

    def __init__(self, limit: int = LINE_MAX) -> None:
        self._buffer, self._limit = bytearray(), limit

    def feed(self, data: bytes) -> list[list[bytes]]:
        """Take input; return the fields of each whole line. Raises RemoteProtocolError past the limit."""
        self._buffer += data
        *lines, rest = bytes(self._buffer).split(b"\n")
        if len(rest) > self._limit or any(len(line) > self._limit for line in lines):
            raise RemoteProtocolError("line too long")
        self._buffer = bytearray(rest)
        return [[unescape(field) for field in line.split(b"\t")] for line in lines]


def escape(field: bytes) -> bytes:
    """Return a field as it stands in a line."""
    for plain, escaped in _ESCAPES.items():
        field = field.replace(plain, escaped)
    return field


def unescape(field: bytes) -> bytes:
    """Return what a field of a line stands for."""
    if b"\x01" not in field:
        return field
    head, *parts = field.split(b"\x01")
    # An escape of the escape leaves an empty part behind it only when "\x01" is doubled, which nobody writes.
    return head + b"".join(_UNESCAPES.get(part[:1], part[:1]) + part[1:] for part in parts)


_UNESCAPES: Final = {escaped[1:]: plain for plain, escaped in _ESCAPES.items()}


def line(*fields: bytes | str) -> bytes:
    """Return one line."""
    return b"\t".join(escape(f.encode() if isinstance(f, str) else f) for f in fields) + b"\n"


def check_version(fields: list[bytes]) -> None:
    """Raise RemoteProtocolError unless fields are a VERSION line with our major version."""
    if len(fields) < 2 or fields[0] != b"VERSION" or fields[1] != MAJOR:
        raise RemoteProtocolError("the other side speaks another version of the protocol")


def parameters(fields: Iterable[bytes]) -> dict[str, str]:
    """Return `key=value` fields; a field without "=" has the value ""."""
    pairs = (field.decode("utf-8", "replace").partition("=") for field in fields)
    return {key: value for key, _, value in pairs}


def binding_params(bindings: Mapping[str, bytes]) -> dict[str, str]:
    """Return the parameters of AUTH that say what the channel is bound by, type to data."""
    return {f"{_BINDING_PARAM}{kind}": data.hex() for kind, data in bindings.items()}


def bindings_in(params: Mapping[str, str]) -> dict[str, bytes]:
    """Return what binding_params wrote. Raises RemoteProtocolError."""
    try:
        return {
            key.removeprefix(_BINDING_PARAM): bytes.fromhex(value)
            for key, value in params.items()
            if key.startswith(_BINDING_PARAM)
        }
    except ValueError as problem:
        raise RemoteProtocolError("a channel binding that is no hex") from problem


def number_of(field: bytes) -> int:
    """Return a request id. Raises RemoteProtocolError."""
    if not field.isdigit() or len(field) > 10:
        raise RemoteProtocolError("not a request number")
    return int(field)


def decode64(text: bytes | str) -> bytes:
    """Return what base64 text stands for. Raises RemoteProtocolError."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise RemoteProtocolError("not base64") from problem


# What a client says.


def client_hello(pid: int) -> bytes:
    """Return what a client writes first."""
    return line("VERSION", MAJOR, "2") + line("CPID", str(pid))


def auth_request(
    number: int, mechanism: str, params: Mapping[str, str], initial: bytes | None
) -> bytes:
    """Return an AUTH line; params hold at least `service`. A parameter with value "" is a flag."""
    words = [f"{key}={value}" if value else key for key, value in params.items()]
    if initial is not None:
        words.append("resp=" + base64.b64encode(initial).decode())  # must stand last
    return line("AUTH", str(number), mechanism, *words)


def continuation(number: int, data: bytes) -> bytes:
    """Return a CONT line, of either side."""
    return line("CONT", str(number), base64.b64encode(data))


def cancel(number: int) -> bytes:
    """Return a CANCEL line."""
    return line("CANCEL", str(number))


def user_request(number: int, user: str, service: str) -> bytes:
    """Return a look-up of a user, without password."""
    return line("USER", str(number), user, f"service={service}")


# What a server answers.


@dataclass(frozen=True, slots=True)
class Offer:
    """The server's handshake is done: these mechanisms it offers."""

    mechanisms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ok:
    """The client is this user, whose name may differ from what was sent."""

    number: int
    user: str
    extra: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Fail:
    """Not authenticated. code is "" or temp_fail, authz_fail, user_disabled, pass_expired, …"""

    number: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Challenge:
    """The exchange goes on: send this to the client."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class UserFound:
    """A user exists; fields as the user database says them."""

    number: int
    user: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class UserUnknown:
    """There is no such user."""

    number: int


ServerMessage = Offer | Ok | Fail | Challenge | UserFound | UserUnknown


class ServerMessages:
    """Reads what a server says, from its handshake on."""

    def __init__(self) -> None:
        self._reader = LineReader()
        self._mechanisms: list[str] = []
        self._has_version = False

    def feed(self, data: bytes) -> list[ServerMessage]:
        """Take input; return what it says. Raises RemoteProtocolError."""
        found = (self._read(fields) for fields in self._reader.feed(data))
        return [message for message in found if message is not None]

    def _read(self, fields: list[bytes]) -> ServerMessage | None:
        if not self._has_version:
            check_version(fields)
            self._has_version = True
            return None
        word, rest = fields[0], fields[1:]
        if word == b"MECH" and rest:
            if b"private" not in rest[1:] or BINDING.encode() in rest[1:]:
                self._mechanisms.append(rest[0].decode("ascii", "replace").upper())
            return None
        if word == b"DONE":
            return Offer(tuple(self._mechanisms))
        if word in (b"SPID", b"CUID", b"COOKIE", b"VERSION"):
            return None
        return _answer(word, rest)


def _answer(word: bytes, rest: list[bytes]) -> ServerMessage | None:
    if not rest:
        return None
    number = number_of(rest[0])
    match word:
        case b"OK":
            return _ok(number, parameters(rest[1:]))
        case b"FAIL":
            found = parameters(rest[1:])
            return Fail(
                number,
                found.get("code", "temp_fail" if "temp" in found else ""),
                found.get("reason", ""),
            )
        case b"CONT":
            return Challenge(number, decode64(rest[1] if len(rest) > 1 else b""))
        case b"USER":
            user = rest[1].decode("utf-8", "replace") if len(rest) > 1 else ""
            return UserFound(number, user, parameters(rest[2:]))
        case b"NOTFOUND":
            return UserUnknown(number)
    return None


def _ok(number: int, found: dict[str, str]) -> Ok | Fail:
    """OK says that the password is right; with nologin or proxy the user must not come in here all the same."""
    if "nologin" in found or "proxy" in found:
        return Fail(number, "user_disabled", found.get("reason", ""))
    return Ok(number, found.pop("user", ""), found)


def server_hello(
    mechanisms: Mapping[str, tuple[str, ...]], pid: int, connection: int, cookie: str
) -> bytes:
    """Return what a server writes first: mechanisms with their flags, process and connection number, 32 hex digits."""
    offered = b"".join(line("MECH", name, *flags) for name, flags in mechanisms.items())
    return b"".join(
        (line("VERSION", MAJOR, "2"), offered, line("SPID", str(pid)), line("CUID", str(connection)),
         line("COOKIE", cookie), line("DONE"))
    )  # fmt: skip


def ok(number: int, user: str, extra: Mapping[str, str] = {}) -> bytes:
    """Return an OK line."""
    return line("OK", str(number), f"user={user}", *(f"{k}={v}" for k, v in extra.items()))


def fail(number: int, user: str = "", code: str = "", reason: str = "") -> bytes:
    """Return a FAIL line."""
    words = [
        f"{key}={value}"
        for key, value in (("user", user), ("code", code), ("reason", reason))
        if value
    ]
    return line("FAIL", str(number), *words)


def user_found(number: int, user: str, fields: Mapping[str, str]) -> bytes:
    """Return the answer to a look-up of a user who exists."""
    return line("USER", str(number), user, *(f"{k}={v}" for k, v in fields.items()))


def user_unknown(number: int) -> bytes:
    """Return the answer to a look-up of a user who does not exist."""
    return line("NOTFOUND", str(number))


# What a server reads.


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """A client wants to authenticate; initial is None if it sent no response yet."""

    number: int
    mechanism: str
    params: Mapping[str, str]
    initial: bytes | None


@dataclass(frozen=True, slots=True)
class AuthResponse:
    """The client's next message of an exchange."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class AuthCancel:
    """The client gave up; nothing is answered."""

    number: int


@dataclass(frozen=True, slots=True)
class UserRequest:
    """A look-up of a user."""

    number: int
    user: str


ClientMessage = AuthRequest | AuthResponse | AuthCancel | UserRequest


class ClientMessages:
    """Reads what a client says, from its handshake on."""

    def __init__(self) -> None:
        self._reader = LineReader()
        self._has_version = False

    def feed(self, data: bytes) -> list[ClientMessage]:
        """Take input; return what it asks. Raises RemoteProtocolError."""
        found = (self._read(fields) for fields in self._reader.feed(data))
        return [message for message in found if message is not None]

    def _read(self, fields: list[bytes]) -> ClientMessage | None:
        if not self._has_version:
            check_version(fields)
            self._has_version = True
            return None
        word, rest = fields[0], fields[1:]
        if word == b"CPID":
            return None
        if not rest:
            raise RemoteProtocolError("a command without number")
        number = number_of(rest[0])
        match word:
            case b"AUTH" if len(rest) > 1:
                return _auth_request(number, rest)
            case b"CONT":
                return AuthResponse(number, decode64(rest[1] if len(rest) > 1 else b""))
            case b"CANCEL":
                return AuthCancel(number)
            case b"USER" if len(rest) > 1:
                return UserRequest(number, rest[1].decode("utf-8", "replace"))
        raise RemoteProtocolError("unknown command")


def _auth_request(number: int, rest: list[bytes]) -> AuthRequest:
    params = parameters(rest[2:])
    if "service" not in params and "protocol" not in params:
        raise RemoteProtocolError("AUTH without service")
    initial = params.pop("resp", None)
    data = None if initial is None else decode64(initial)
    return AuthRequest(number, rest[1].decode("ascii", "replace").upper(), params, data)
