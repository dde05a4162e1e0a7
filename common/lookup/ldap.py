"""Tables in a directory, with ldap3: an RFC 4516 URL and a filter.

    url = ldap://host/ou=people,dc=example,dc=org?mail?sub
    query = (&(objectClass=person)(uid=%{user | username}))

The value is the attribute that the URL names; several values, of one entry or of several, are joined. Keys are escaped
in the filter (RFC 4515) and in the base (RFC 4514). username is the name to bind with; without one, anonymous.
`ldap://…?…?…??starttls` turns to TLS before the bind. The library blocks, so each question takes a thread.
"""

import ssl
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

import ldap3
from ldap3.core.exceptions import LDAPException, LDAPInvalidFilterError
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn

from columba.common.clock import left_s
from columba.common.config.general import LookupTable
from columba.common.errors import ConfigError, UnavailableError
from columba.common.lookup.pooled import Connection
from columba.common.lookup.rows import ROWS, joined, text_of
from columba.common.lookup.template import Template, parse_template
from columba.common.off_loop import OffLoop
from columba.common.pooled import LostError

SCOPES: Final = {"base": ldap3.BASE, "one": ldap3.LEVEL, "sub": ldap3.SUBTREE}
NO_SUCH_OBJECT: Final = 32  # RFC 4511 §4.1.9
SUCCESS: Final = 0
CONNECT_S: Final = 5
P = ParamSpec("P")
T = TypeVar("T")


class LdapConnection:
    """One connection, bound."""

    def __init__(self, directory: "Directory", connection: ldap3.Connection) -> None:
        self._directory, self._connection = directory, connection

    async def ask(self, key: str, until_ns: int) -> str | None:
        """Return the value of a key; raises LostError, UnavailableError."""
        base = self._directory.base.fill(key, escape_rdn)
        wanted = self._directory.filter.fill(key, escape_filter_chars)
        if base is None or wanted is None:
            return None
        return await self._directory.run(until_ns, self._search, base, wanted)

    def close(self) -> None:
        """Drop it."""
        drop(self._connection)

    def _search(self, base: str, wanted: str) -> str | None:
        attribute = self._directory.attribute
        try:
            _, result, response, _ = self._connection.search(
                base,
                wanted,
                self._directory.scope,
                attributes=[attribute],
                size_limit=ROWS,
            )
        except LDAPInvalidFilterError as error:
            raise UnavailableError(f"LDAP: the filter {wanted!r} is wrong: {error}") from error
        except (LDAPException, OSError) as error:
            raise LostError(f"LDAP: {error}") from error
        if result["result"] == NO_SUCH_OBJECT:
            return None
        if result["result"] != SUCCESS:
            raise UnavailableError(f"LDAP: {result['description']} {result['message']}".strip())
        entries = [entry for entry in response or () if entry.get("type") == "searchResEntry"]
        values = [
            text_of(value)
            for entry in entries
            for name, found in entry["raw_attributes"].items()
            if name.lower() == attribute.lower()
            for value in found
        ]
        return joined(values)


class Directory:
    """Connects to a server."""

    def __init__(self, settings: LookupTable) -> None:
        parts = urlsplit(settings.url)
        fields = [unquote(each) for each in parts.query.split("?")] if parts.query else []
        attribute, scope, plain, extension = (*fields, *[""] * 4)[:4]
        if not attribute or (scope or "sub") not in SCOPES:
            raise ConfigError("ldap: write ldap://host/base?attribute?scope (base, one or sub)")
        self.base = parse_template(unquote(parts.path.lstrip("/")))
        self.filter: Template = parse_template(settings.query or plain)
        if not self.filter.has_key and not self.base.has_key:
            raise ConfigError("the filter has no place for the key: write %{user}")
        self.attribute, self.scope = attribute, SCOPES[scope or "sub"]
        self._has_starttls = extension.lower() == "starttls"
        self._user, self._password = settings.username, settings.password
        self._where = f"{parts.scheme}://{parts.netloc or 'localhost'}"
        self._threads = OffLoop(max(1, settings.pool_size), "ldap")

    async def connect(self, until_ns: int) -> Connection:
        """Return a new connection; raises UnavailableError."""
        timeout_s = max(1, int(left_s(until_ns)))
        return LdapConnection(self, await self.run(until_ns, self._bind, timeout_s))

    async def run(
        self, until_ns: int, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a call in a thread; raises UnavailableError when it is late."""
        try:
            return await self._threads.run(left_s(until_ns), call, *args, **kwargs)
        except TimeoutError as error:
            raise UnavailableError("LDAP: no answer in time") from error

    def _server(self) -> ldap3.Server:
        """Return the library's server, a new one each time: it remembers for long which addresses failed."""
        return ldap3.Server(
            self._where,  # for ldapi the path of a socket, with %2F for its slashes
            get_info=ldap3.NONE,
            tls=ldap3.Tls(validate=ssl.CERT_REQUIRED),
            connect_timeout=CONNECT_S,
        )

    def _bind(self, timeout_s: int) -> ldap3.Connection:
        connection = ldap3.Connection(
            self._server(),
            user=self._user or None,
            password=self._password or None,
            client_strategy=ldap3.SAFE_SYNC,
            auto_bind=ldap3.AUTO_BIND_NONE,
            auto_referrals=False,
            check_names=False,
            read_only=True,
            receive_timeout=timeout_s,
        )
        try:
            connection.open()
            if self._has_starttls:
                connection.start_tls()
            _, result, _, _ = connection.bind()
        except (LDAPException, OSError) as error:
            drop(connection)
            raise UnavailableError(f"LDAP: {error}") from error
        if result["result"] != SUCCESS:
            drop(connection)
            raise UnavailableError(f"LDAP: the bind failed: {result['description']}")
        return connection


def drop(connection: ldap3.Connection) -> None:
    """Close a connection without a word to the server; the library forgets to after a failure."""
    if connection.socket is not None:
        connection.socket.close()


def make(settings: LookupTable) -> Directory:
    """Return what connects; raises ConfigError."""
    return Directory(settings)
