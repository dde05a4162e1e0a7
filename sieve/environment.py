"""What scripts see of the client and the envelope: from the structs between processes to the engine's values.

Pure. The items are described in docs/sieve/vnd.columba.environment.md (RFC 5183 and our own).
"""

from dataclasses import dataclass
from typing import Final

from columba.common.ipc.wire import Client
from columba.sieve.ext.rfc5183_environment import PREFIX
from columba.sieve.lang.stage import Stage
from columba.sieve.run.envelope import Envelope, Path, parse_path

PRODUCT: Final = "Columba"


@dataclass(frozen=True, slots=True)
class Server:
    """What a script may know of us."""

    host: str
    version: str = ""

    @property
    def domain(self) -> str:
        """The host name without its first label."""
        return self.host.partition(".")[2] or self.host


def environment_of(
    stage: Stage, server: Server, client: Client, *, id: str = "", recipients: int = 0
) -> dict[str, str]:
    """Return the environment items. An unknown PTR name is an empty string, not a missing item."""
    return {
        "domain": server.domain,
        "host": server.host,
        "location": "MTA",
        "name": PRODUCT,
        "phase": "pre",
        "version": server.version,
        "remote-host": client.name,
        "remote-ip": client.ip,
        PREFIX + "helo": client.helo,
        PREFIX + "id": id,
        PREFIX + "listener": client.listener,
        PREFIX + "login": client.login,
        PREFIX + "protocol": client.protocol,
        PREFIX + "recipients": str(recipients),
        PREFIX + "session": client.session,
        PREFIX + "stage": stage.value,
        PREFIX + "tls": client.tls,
        PREFIX + "trusted": "yes" if client.trusted else "no",
    }


def envelope_of(
    sender: bytes | None, recipients: tuple[bytes, ...], *, original: bytes = b"", login: str = ""
) -> Envelope:
    """Return the envelope from addresses without brackets. sender None: not known yet at this stage."""
    paths = [_path(recipient) for recipient in recipients]
    return Envelope(
        sender=None if sender is None else _path(sender),
        recipients=tuple(path for path in paths if path is not None and not path.is_null),
        original=_path(original) if original else None,
        login=login,
    )


def _path(address: bytes) -> Path | None:
    return parse_path(address.decode("utf-8", "surrogateescape"))
