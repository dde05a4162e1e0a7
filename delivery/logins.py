"""Who we are to relay hosts: credentials from a look-up table.

The key is "host:port" as the route says it, then "host"; the value is "user:password". A table that can't answer
raises UnavailableError: without the login that is due no mail goes out.
"""

from typing import Final

from columba.common.errors import UnavailableError
from columba.common.lookup.base import Table
from columba.common.sasl.client import Credentials
from columba.delivery.target import Target

LOOKUP_S: Final = 5.0


class Logins:
    """Asks the table; None = there is none."""

    def __init__(self, table: Table | None, allows_clear: bool) -> None:
        self._table, self.allows_clear = table, allows_clear

    async def of(self, target: Target) -> Credentials | None:
        """Return the credentials for a relay or LMTP host, None where none are due. Raises UnavailableError."""
        if self._table is None or target.kind == "mx":
            return None
        for key in (f"{target.name}:{target.port}", target.name):
            try:
                value = await self._table.get(key, LOOKUP_S)
            except TimeoutError as error:
                raise UnavailableError("relay_credentials does not answer") from error
            if value is not None:
                return _credentials(key, value)
        return None


def _credentials(key: str, value: str) -> Credentials:
    user, colon, password = value.partition(":")
    if not user or not colon:
        raise UnavailableError(f"relay_credentials: {key} is not USER:PASSWORD")
    return Credentials(user, password)
