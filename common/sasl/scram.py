"""SCRAM-SHA-1 and SCRAM-SHA-256, with and without channel binding, both sides of it.

Pure. The server keeps keys, never the password; `derive` makes them and is slow on purpose: call it in a
thread. Nonces and channel bindings are arguments. A client that could bind the channel but believes that the server
can't ("y"), at a server that offered it, is being lied to by somebody between: refused.
Sources: RFC 5802 (messages §7, channel binding §6), RFC 7677 (SHA-256), RFC 5929 and 9266 (what is bound).

    client-first = gs2-header client-first-bare     gs2-header = ("p=" type / "n" / "y") "," ["a=" authzid] ","
    server-first = "r=" nonce ",s=" salt ",i=" count       client-final = "c=" binding ",r=" nonce ",p=" proof
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from columba.common.errors import RemoteProtocolError
from columba.common.sasl.dovecot import decode64
from columba.common.sasl.prep import saslprep

HASHES: Final = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}
PLUS: Final = "-PLUS"
ITERATIONS: Final = 4096  # RFC 7677 §4: the least
ITERATIONS_MAX: Final = 1_000_000  # a hostile server's count may cost a client no more
MESSAGE_MAX: Final = 4096
_NAME: Final = re.compile(r"(?:[^=,\0]|=2C|=3D)+")
_NONCE: Final = re.compile(r"[!-+\--~]{1,256}")


class ScramError(RemoteProtocolError):
    """The exchange is malformed, or not what it must be; `code` is what server-final says of it (RFC 5802 §7)."""

    def __init__(self, code: str) -> None:
        super().__init__(f"SCRAM: {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Keys:
    """What a server keeps of a password."""

    salt: bytes
    iterations: int
    stored: bytes
    server: bytes


def derive(hash_name: str, password: str, salt: bytes, iterations: int) -> Keys:
    """Return the keys of a password. Slow. Raises RemoteProtocolError if the password can't be prepared."""
    salted = _salted(hash_name, password, salt, iterations)
    return Keys(
        salt, iterations, _stored(hash_name, salted), _hmac(hash_name, salted, b"Server Key")
    )


class ScramServer:
    """The server's side of one exchange: first(), then challenge(), then final().

    bindings holds what this channel is bound by, type to data; it is empty where no -PLUS mechanism was offered.
    """

    def __init__(self, mechanism: str, bindings: Mapping[str, bytes], nonce: str) -> None:
        self._hash = HASHES[mechanism.removesuffix(PLUS)]
        self._is_plus = mechanism.endswith(PLUS)
        self._bindings, self._own_nonce = bindings, nonce
        self._bound = self._bare = self._challenge = b""
        self._nonce = ""
        self._keys: Keys | None = None

    @property
    def hash_name(self) -> str:
        """Return the hash of the mechanism."""
        return self._hash

    def first(self, message: bytes) -> tuple[str, str]:
        """Take client-first; return the user and whom it wants to act as ("" = itself). Raises ScramError."""
        text = _text(message)
        flag, _, rest = text.partition(",")
        authzid, comma, bare = rest.partition(",")
        if not comma or (authzid and not authzid.startswith("a=")):
            raise ScramError("other-error")
        self._check_flag(flag)
        header = text[: len(text) - len(bare)].encode()
        self._bound = header + self._bindings.get(flag[2:], b"") if flag[:2] == "p=" else header
        fields = bare.split(",")
        if fields[0].startswith("m="):
            raise ScramError("extensions-not-supported")
        if len(fields) < 2:
            raise ScramError("other-error")
        name, nonce = _field(fields[0], "n"), _field(fields[1], "r")
        if not _NONCE.fullmatch(nonce):
            raise ScramError("other-error")
        self._nonce, self._bare = nonce + self._own_nonce, bare.encode()
        return _name(name), _name(authzid[2:]) if authzid else ""

    def challenge(self, keys: Keys) -> bytes:
        """Return server-first for a user of these keys."""
        salt = base64.b64encode(keys.salt).decode()
        self._keys = keys
        self._challenge = f"r={self._nonce},s={salt},i={keys.iterations}".encode()
        return self._challenge

    def final(self, message: bytes) -> bytes:
        """Take client-final; return server-final if the proof is right. Raises ScramError."""
        assert self._keys is not None
        text = _text(message)
        without, _, proof64 = text.rpartition(",p=")
        fields = without.split(",")
        if len(fields) < 2:
            raise ScramError("invalid-encoding")
        bound, nonce = _decode(_field(fields[0], "c")), _field(fields[1], "r")
        if not hmac.compare_digest(bound, self._bound):
            raise ScramError("channel-bindings-dont-match")
        if not hmac.compare_digest(nonce.encode(), self._nonce.encode()):
            raise ScramError("other-error")
        said = b",".join((self._bare, self._challenge, without.encode()))
        signature = _hmac(self._hash, self._keys.stored, said)
        client_key = _xor(_decode(proof64), signature)
        if not hmac.compare_digest(_digest(self._hash, client_key), self._keys.stored):
            raise ScramError("invalid-proof")
        return b"v=" + base64.b64encode(_hmac(self._hash, self._keys.server, said))

    def _check_flag(self, flag: str) -> None:
        if flag.startswith("p="):
            if not self._is_plus:
                raise ScramError("channel-binding-not-supported")
            if flag[2:] not in self._bindings:
                raise ScramError("unsupported-channel-binding-type")
        elif flag == "y" and self._bindings:
            raise ScramError("server-does-support-channel-binding")
        elif flag not in ("y", "n"):
            raise ScramError("other-error")
        elif self._is_plus:
            raise ScramError("channel-bindings-dont-match")


class ScramClient:
    """The client's side of one exchange: first(), then respond(), then verify().

    binding is (type, data) with a -PLUS mechanism. could_bind tells the server that we would have bound the
    channel, had it offered that.
    """

    def __init__(
        self,
        mechanism: str,
        user: str,
        password: str,
        nonce: str,
        *,
        binding: tuple[str, bytes] | None = None,
        could_bind: bool = False,
        authzid: str = "",
    ) -> None:
        self._hash = HASHES[mechanism.removesuffix(PLUS)]
        assert mechanism.endswith(PLUS) == (binding is not None)
        flag = f"p={binding[0]}" if binding else ("y" if could_bind else "n")
        self._header = f"{flag},{f'a={_escape(authzid)}' if authzid else ''},".encode()
        self._bound = self._header + (binding[1] if binding else b"")
        self._bare = f"n={_escape(saslprep(user))},r={nonce}".encode()
        self._nonce, self._password = nonce, password
        self._signature = b""

    def first(self) -> bytes:
        """Return client-first."""
        return self._header + self._bare

    def respond(self, challenge: bytes) -> bytes:
        """Take server-first; return client-final. Slow. Raises ScramError."""
        fields = _text(challenge).split(",")
        if len(fields) < 3:
            raise ScramError("other-error")
        nonce, salt, count = (_field(f, n) for f, n in zip(fields, "rsi", strict=False))
        is_ours = nonce.startswith(self._nonce) and len(nonce) > len(self._nonce)
        is_number = count.isascii() and count.isdigit() and len(count) < 10
        if not is_ours or not is_number or not ITERATIONS <= int(count) <= ITERATIONS_MAX:
            raise ScramError("other-error")
        salted = _salted(self._hash, self._password, _decode(salt), int(count))
        client_key = _hmac(self._hash, salted, b"Client Key")
        without = b"c=" + base64.b64encode(self._bound) + b",r=" + nonce.encode()
        said = b",".join((self._bare, challenge, without))
        proof = _xor(client_key, _hmac(self._hash, _digest(self._hash, client_key), said))
        self._signature = _hmac(self._hash, _hmac(self._hash, salted, b"Server Key"), said)
        return without + b",p=" + base64.b64encode(proof)

    def verify(self, final: bytes) -> None:
        """Take server-final. Raises ScramError unless the server knows the password's keys too."""
        text = _text(final)
        if text.startswith("e="):
            raise ScramError(text[2:66])
        if not hmac.compare_digest(_decode(_field(text.partition(",")[0], "v")), self._signature):
            raise ScramError("the server can't prove that it knows the password")


def _salted(hash_name: str, password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac(hash_name, saslprep(password).encode(), salt, iterations)


def _stored(hash_name: str, salted: bytes) -> bytes:
    return _digest(hash_name, _hmac(hash_name, salted, b"Client Key"))


def _hmac(hash_name: str, key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, hash_name)


def _digest(hash_name: str, data: bytes) -> bytes:
    return hashlib.new(hash_name, data).digest()


def _xor(one: bytes, two: bytes) -> bytes:
    if len(one) != len(two):
        raise ScramError("invalid-proof")
    return bytes(a ^ b for a, b in zip(one, two, strict=True))


def _text(message: bytes) -> str:
    if len(message) > MESSAGE_MAX:
        raise ScramError("other-error")
    try:
        return message.decode()
    except UnicodeDecodeError as problem:
        raise ScramError("invalid-encoding") from problem


def _field(text: str, name: str) -> str:
    if not text.startswith(f"{name}="):
        raise ScramError("other-error")
    return text[2:]


def _decode(text: str) -> bytes:
    try:
        return decode64(text)
    except RemoteProtocolError as problem:
        raise ScramError("invalid-encoding") from problem


def _name(escaped: str) -> str:
    if not _NAME.fullmatch(escaped):
        raise ScramError("invalid-username-encoding")
    try:
        return saslprep(escaped.replace("=2C", ",").replace("=3D", "="))
    except ScramError:
        raise
    except RemoteProtocolError as problem:
        raise ScramError("invalid-username-encoding") from problem


def _escape(name: str) -> str:
    return name.replace("=", "=3D").replace(",", "=2C")
