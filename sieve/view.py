"""What a script sees of a mail and its client: from wire structs to the engine's inputs.

Pure. Octets of addresses that are no UTF-8 become surrogates, which no test matches by accident.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from columba import __version__ as VERSION
from columba.common.ipc import wire
from columba.common.mail.header import Header
from columba.sieve.ext.rfc5183_environment import OWN_ITEMS, PREFIX
from columba.sieve.lang.limits import Limits
from columba.sieve.run.envelope import Envelope, Path, parse_path
from columba.sieve.run.machine import Inputs
from columba.sieve.run.message import EMPTY, Body, Message, no_body
from columba.sieve.run.state import Clock

NO_DSN: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
# The names of the items, in the order of environment()'s values.
_ITEMS: Final = (
    "domain", "host", "location", "name", "phase", "remote-host", "remote-ip", "version",
    *(
        PREFIX + name
        for name in (
            "cipher", "errors", "helo", "listener", "local-ip", "local-port", "login", "messages",
            "port", "pregreet", "protocol", "ptr", "refused", "session", "tls", "trusted",
        )
    ),
)  # fmt: skip
PRODUCT: Final = "Columba"


def message_view(header: bytes, body: wire.Body, read_body: Body = no_body) -> Message:
    """Return the message as scripts see it; size counts the empty line between header and body."""
    return Message(Header(header), len(header) + 2 + body.size, read_body)


def environment(client: wire.Client, host: str, **own: str) -> Mapping[str, str]:
    """Return the environment's items: RFC 5183 §4.1 and ours. host: our name; own: further items of ours."""
    values = (
        host.partition(".")[2] or host, host, "MTA", PRODUCT, "during", client.name, client.ip,
        VERSION, client.cipher, str(client.errors), client.helo, client.listener, client.local_ip,
        str(client.local_port or ""), client.login, str(client.messages), str(client.port or ""),
        "yes" if client.pregreet else "no", client.protocol, client.ptr, str(client.refused),
        client.session, client.tls, "yes" if client.trusted else "no",
    )  # fmt: skip
    items = dict(zip(_ITEMS, values, strict=True))
    for name, value in own.items():
        items[PREFIX + name] = value
    return items


def envelope(
    sender: bytes,
    recipients: Iterable[bytes],
    login: str,
    original: bytes = b"",
    dsn: Mapping[str, tuple[str, ...]] = NO_DSN,
) -> Envelope:
    """Return the engine's envelope; unreadable recipients are left out."""
    paths = [_path(address) for address in recipients]
    return Envelope(
        sender=_path(sender),
        recipients=tuple(path for path in paths if path is not None),
        original=_path(original) if original else None,
        login=login,
        dsn=dsn,
    )


def dsn_parts(
    envelope: wire.Envelope, recipients: Iterable[wire.Recipient]
) -> Mapping[str, tuple[str, ...]]:
    """RFC 6009 §2: what the client asked for in reports; a part that nobody named has no value."""
    people = tuple(recipients)
    return {
        "notify": tuple(",".join(r.notify) for r in people if r.notify),
        "orcpt": tuple(r.orcpt for r in people if r.orcpt),
        "ret": (envelope.ret,) if envelope.ret else (),
        "envid": (envelope.envid,) if envelope.envid else (),
    }


def stage_inputs(
    call: wire.Stage, clock: Clock, limits: Limits, host: str, wall_s: float, header: bytes = b""
) -> Inputs:
    """Return the inputs of a session's stage, or of retry and bounce, which have a header."""
    recipients = [call.recipient] if call.recipient else []
    original = call.original or call.recipient
    facts = {name: text for name, text in call.facts.items() if PREFIX + name in OWN_ITEMS}
    return Inputs(
        clock=clock,
        message=Message(Header(header), len(header)) if header else EMPTY,
        envelope=envelope(call.sender, recipients, call.client.login, original),
        environment=environment(
            call.client,
            host,
            **{**facts, "id": call.id, "recipients": str(call.recipients), "stage": call.stage},
        ),
        variables=call.variables,
        limits=limits,
        wall_s=wall_s,
    )


def message_inputs(
    handoff: wire.Handoff,
    message: Message,
    stage: str,
    recipients: Iterable[wire.Recipient],
    variables: Mapping[str, str],
    clock: Clock,
    limits: Limits,
    host: str,
    wall_s: float,
    asks_dsn: bool = False,
) -> Inputs:
    """Return the inputs of the data stage (all recipients) or the route stage (one).

    asks_dsn: the script looks at what was said for reports.
    """
    them = list(recipients)
    original = them[0].original or them[0].address if len(them) == 1 else b""
    return Inputs(
        clock=clock,
        message=message,
        envelope=envelope(
            handoff.envelope.sender,
            [r.address for r in them],
            handoff.client.login,
            original,
            dsn_parts(handoff.envelope, them) if asks_dsn else NO_DSN,
        ),
        environment=environment(
            handoff.client, host, id=handoff.id, recipients=str(len(them)), stage=stage
        ),
        variables=variables,
        limits=limits,
        wall_s=wall_s,
    )


def _path(address: bytes) -> Path | None:
    return parse_path("<" + address.decode("utf-8", "surrogateescape") + ">")
