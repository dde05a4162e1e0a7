"""The client's half of a login: which mechanism, and what it says.

Pure. initial() is the first message, respond() answers a challenge; both are octets before base64. The strongest
mechanism that the server offers is taken: SCRAM never shows the password, PLAIN and LOGIN do, so that the caller
must see to TLS.
Sources: RFC 4422, 4616 (PLAIN), 5802 and 7677 (SCRAM); LOGIN by draft-murchison-sasl-login.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from columba.common.errors import RemoteProtocolError
from columba.common.sasl.plain import format_plain
from columba.common.sasl.scram import ScramClient


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who logs in, and with what; the password stands in no representation."""

    user: str
    password: str = field(repr=False)


class Mechanism(Protocol):
    """One exchange."""

    @property
    def name(self) -> str:
        """The mechanism's name in capitals."""
        ...

    @property
    def is_proven(self) -> bool:
        """Tell whether the server has proven that it knows the password, where the mechanism asks for that."""
        ...

    def initial(self) -> bytes | None:
        """Return what goes out with the AUTH command, None when the server speaks first."""
        ...

    def respond(self, challenge: bytes) -> bytes:
        """Return the answer to a challenge. Raises RemoteProtocolError."""
        ...


class Plain:
    """PLAIN: everything at once."""

    name = "PLAIN"
    is_proven = True

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def initial(self) -> bytes:
        """Return user and password."""
        return format_plain(self._credentials.user, self._credentials.password)

    def respond(self, challenge: bytes) -> bytes:
        """Answer an empty challenge: a server that did not read the initial response."""
        if challenge:
            raise RemoteProtocolError("a challenge in PLAIN")
        return self.initial()


class Login:
    """LOGIN: the user, then the password, whatever the questions are called."""

    name = "LOGIN"
    is_proven = True

    def __init__(self, credentials: Credentials) -> None:
        self._answers = [credentials.user.encode(), credentials.password.encode()]

    def initial(self) -> None:
        """Say nothing before the first question."""
        return

    def respond(self, challenge: bytes) -> bytes:
        """Return user or password; the questions' words differ from server to server."""
        if not self._answers:
            raise RemoteProtocolError(f"a third question in LOGIN: {challenge[:40]!r}")
        return self._answers.pop(0)


class Scram:
    """SCRAM without channel binding: what a server can bind is not told in its offer."""

    def __init__(self, name: str, credentials: Credentials, nonce: str) -> None:
        self.name = name
        self._client = ScramClient(name, credentials.user, credentials.password, nonce)
        self._is_asked = False
        self.is_proven = False

    def initial(self) -> bytes:
        """Return client-first."""
        return self._client.first()

    def respond(self, challenge: bytes) -> bytes:
        """Return client-final, then the empty answer to server-final. Slow. Raises RemoteProtocolError."""
        if not self._is_asked:
            self._is_asked = True
            return self._client.respond(challenge)
        self._client.verify(challenge)
        self.is_proven = True
        return b""


def choose(offered: Collection[str], credentials: Credentials, nonce: str) -> Mechanism | None:
    """Return the strongest mechanism that is offered and known, None when there is none.

    nonce: at least 16 octets of chance as printable ASCII without commas.
    """
    for name in ("SCRAM-SHA-256", "SCRAM-SHA-1"):
        if name in offered:
            return Scram(name, credentials, nonce)
    if "PLAIN" in offered:
        return Plain(credentials)
    return Login(credentials) if "LOGIN" in offered else None
