"""One authentication exchange, by mechanism: messages go in, what the service says next comes out.

take() blocks (it reads the users' file and computes hashes): call it in a thread, one call at a time. It answers a
wrong password, an unknown user and a user without a fitting hash alike. A user's password may be any secret:
with OAUTHBEARER and XOAUTH2 the token is checked against the stored hash, for this service asks no token server.
"""

import hashlib
import hmac
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from columba.common.errors import ConfigError, RemoteProtocolError
from columba.common.sasl import oauth, scram
from columba.common.sasl.dovecot import BINDING, bindings_in
from columba.common.sasl.plain import parse_plain
from columba.common.sasl.scram import Keys, ScramServer
from columba.master.auth.schemes import keeps_plain, scram_keys, verify
from columba.master.auth.users import User, UserFile

MESSAGE_MAX: Final = 1024  # of a name or password of LOGIN
_SECURE: Final = ("mutual-auth",)
_BOUND: Final = ("mutual-auth", "channel-binding", "private", BINDING)
# Flags as Dovecot's protocol has them. A -PLUS mechanism is private: only who sends the binding may use it.
FLAGS: Final[Mapping[str, tuple[str, ...]]] = {
    "PLAIN": ("plaintext",),
    "LOGIN": ("plaintext",),
    "SCRAM-SHA-256": _SECURE,
    "SCRAM-SHA-256-PLUS": _BOUND,
    "SCRAM-SHA-1": _SECURE,
    "SCRAM-SHA-1-PLUS": _BOUND,
    "EXTERNAL": (),
    "OAUTHBEARER": ("plaintext",),
    "XOAUTH2": ("plaintext",),
}


@dataclass(frozen=True, slots=True)
class Ask:
    """The client must answer this."""

    challenge: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """The client is this user."""

    user: User


@dataclass(frozen=True, slots=True)
class Unknown:
    """The client has proved nothing."""


Step = Ask | Known | Unknown


class Exchange(Protocol):
    """One exchange. `opening` is the challenge for a client that sent no initial response."""

    opening: bytes

    def take(self, message: bytes) -> Step:
        """Take the client's message. Raises RemoteProtocolError (malformed), ColumbaError (can't be decided)."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """What exchanges work with: the users, a secret for salts, whether -PLUS mechanisms are offered."""

    users: UserFile
    secret: bytes
    offers_plus: bool


def offered(names: Sequence[str]) -> tuple[str, ...]:
    """Return the mechanisms of a setting. Raises ConfigError for one that is not known."""
    wanted = tuple(name.upper() for name in names)
    for name in wanted:
        if name not in FLAGS:
            raise ConfigError(f"auth_mechanisms: {name} is not known (of {', '.join(FLAGS)})")
    return wanted


def begin(mechanism: str, params: Mapping[str, str], setting: Setting) -> Exchange:
    """Return a new exchange. Raises RemoteProtocolError for a mechanism that is not known."""
    if mechanism not in FLAGS:
        raise RemoteProtocolError(f"mechanism {mechanism[:20]} is not known")
    if mechanism.startswith("SCRAM-"):
        return _Scram(mechanism, params, setting)
    if mechanism in oauth.MECHANISMS:
        return _Bearer(mechanism, setting)
    if mechanism == "EXTERNAL":
        return _External(params, setting)
    make: Callable[[Setting], Exchange] = _Login if mechanism == "LOGIN" else _Plain
    return make(setting)


def machine_secret() -> bytes:
    """Return a secret that stays the same as long as the machine does, for the salts of those who have none."""
    try:
        with open("/etc/machine-id", "rb") as file:
            return hashlib.sha256(b"columba auth\0" + file.read(256)).digest()
    except OSError:
        return os.urandom(32)


def _with_password(users: UserFile, name: str, password: bytes) -> Step:
    user = users.lookup(name)
    return Known(user) if user is not None and verify(user.stored, password) else Unknown()


class _Plain:
    opening = b""

    def __init__(self, setting: Setting) -> None:
        self._users = setting.users

    def take(self, message: bytes) -> Step:
        said = parse_plain(message)
        if said.authzid.lower() not in ("", said.authcid.lower()):
            return Unknown()
        return _with_password(self._users, said.authcid, said.password)


class _Login:
    opening = b"Username:"

    def __init__(self, setting: Setting) -> None:
        self._users = setting.users
        self._name: str | None = None

    def take(self, message: bytes) -> Step:
        if not message or len(message) > MESSAGE_MAX:
            raise RemoteProtocolError("malformed LOGIN message")
        if self._name is None:
            self._name = _utf8(message)
            return Ask(b"Password:")
        return _with_password(self._users, self._name, message)


class _Bearer:
    opening = b""

    def __init__(self, mechanism: str, setting: Setting) -> None:
        self._mechanism, self._users = mechanism, setting.users
        self._refused = False

    def take(self, message: bytes) -> Step:
        if self._refused:
            return Unknown()
        said = oauth.parse_bearer(self._mechanism, message)
        step = _with_password(self._users, said.user, said.token.encode())
        if isinstance(step, Known):
            return step
        self._refused = True
        return Ask(oauth.refusal(self._mechanism))


class _External:
    """RFC 4422 Appendix A: who the client is stands in its certificate, which smtpd has verified."""

    opening = b""

    def __init__(self, params: Mapping[str, str], setting: Setting) -> None:
        self._users = setting.users
        self._name = params.get("cert_username", "") if "valid-client-cert" in params else ""

    def take(self, message: bytes) -> Step:
        if not self._name or _utf8(message).lower() not in ("", self._name.lower()):
            return Unknown()
        user = self._users.lookup(self._name)
        return Known(user) if user is not None else Unknown()


class _Scram:
    opening = b""

    def __init__(self, mechanism: str, params: Mapping[str, str], setting: Setting) -> None:
        bindings = bindings_in(params) if setting.offers_plus else {}
        nonce = os.urandom(18).hex()
        self._server = ScramServer(mechanism, bindings, nonce)
        self._setting = setting
        self._user: User | None = None
        self._step = 0

    def take(self, message: bytes) -> Step:
        self._step += 1
        if self._step == 1:
            return self._begin(message)
        if self._step == 2:
            # In SMTP the server's proof is a challenge that the client answers with an empty line.
            return Ask(self._server.final(message))
        return Known(self._user) if self._user is not None else Unknown()

    def _begin(self, message: bytes) -> Step:
        name, authzid = self._server.first(message)
        found = self._setting.users.lookup(name)
        salt = hmac.digest(self._setting.secret, name.lower().encode(), "sha256")[:16]
        # Keys are derived for every name, so that the time does not tell which names there are.
        keys = _keys_of(found, self._server.hash_name, salt)
        if keys is not None and authzid.lower() in ("", name.lower()):
            self._user = found
        else:
            keys = _nobodys(self._server.hash_name, salt)
        return Ask(self._server.challenge(keys))


def _keys_of(user: User | None, hash_name: str, salt: bytes) -> Keys | None:
    """Return a user's keys, None where there are none, always after one derivation."""
    is_plain = user is not None and keeps_plain(user.stored)
    if not is_plain:
        scram.derive(hash_name, "x", salt, scram.ITERATIONS)
    return scram_keys(user.stored, hash_name, salt) if user is not None else None


def _nobodys(hash_name: str, salt: bytes) -> Keys:
    """Return keys that no password has, with the salt that a user of this name would have."""
    size = hashlib.new(hash_name).digest_size
    return Keys(salt, scram.ITERATIONS, os.urandom(size), os.urandom(size))


def _utf8(message: bytes) -> str:
    try:
        return message.decode()
    except UnicodeDecodeError as problem:
        raise RemoteProtocolError("no UTF-8") from problem
