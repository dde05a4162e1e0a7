"""Whose a sender address is: which logins may use it on submission (RFC 6409 §6.1).

The table says for an address, else for @domain, the logins that may; the case of both does not matter, nor do needless
quotes. The null sender is everybody's, for reports of what a user's program did with a mail.
"""

from enum import Enum

from columba.common.errors import ColumbaError
from columba.common.lookup.base import Table
from columba.common.smtp.path import canonical


class Ownership(Enum):
    """What the table says."""

    OWNED = "the login may use it"
    FOREIGN = "it belongs to others or to nobody"
    UNKNOWN = "the table does not answer"


async def ownership(table: Table, login: str, sender: bytes, timeout_s: float) -> Ownership:
    """Return whether a login may send as this address."""
    if not sender:
        return Ownership.OWNED
    address = canonical(sender).decode("utf-8", "replace").lower()
    try:
        found = await table.get(address, timeout_s)
        if found is None:
            found = await table.get("@" + address.rpartition("@")[2], timeout_s)
    except (ColumbaError, TimeoutError):
        return Ownership.UNKNOWN
    logins = (found or "").lower().replace(",", " ").split()
    return Ownership.OWNED if login.lower() in logins else Ownership.FOREIGN
