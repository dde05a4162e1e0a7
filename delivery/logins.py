"""Who we are to relay hosts: credentials from a look-up table, the one that the route names or relay_credentials.

The key is "host:port" as the route says it, then "host"; the value is "user:password". A table that can't answer
raises UnavailableError: without the login that is due no mail goes out.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from columba.common.errors import UnavailableError
from columba.common.lookup.base import Table
from columba.common.sasl.client import Credentials
from columba.delivery.target import Target

LOOKUP_S: Final = 5.0
NONE: Final[Mapping[str, Table]] = MappingProxyType({})


class Logins:
    """Asks the table of relay_credentials, None = there is none, or the one that the route names."""

    def __init__(
        self, table: Table | None, allows_clear: bool, named: Mapping[str, Table] = NONE
    ) -> None:
        self._table, self.allows_clear, self._named = table, allows_clear, named

    async def of(self, target: Target) -> Credentials | None:
        """Return the credentials for a relay or LMTP host, None where none are due. Raises UnavailableError."""
        name, table = target.auth or "relay_credentials", self._table
        if target.auth:
            table = self._named.get(target.auth)
            if table is None:
                raise UnavailableError(f"there is no look-up table {target.auth}")
        if table is None or target.kind == "mx":
            return None
        for key in (f"{target.name}:{target.port}", target.name):
            try:
                value = await table.get(key, LOOKUP_S)
            except TimeoutError as error:
                raise UnavailableError(f"{name} does not answer") from error
            if value is not None:
                return _credentials(name, key, value)
        if target.auth:  # the route wants a login
            raise UnavailableError(f"{name} has nothing for {target.name}")
        return None


def _credentials(table: str, key: str, value: str) -> Credentials:
    user, colon, password = value.partition(":")
    if not user or not colon:
        raise UnavailableError(f"{table}: {key} is not USER:PASSWORD")
    return Credentials(user, password)
