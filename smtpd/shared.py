"""What all connections of one process share."""

from dataclasses import dataclass
from pathlib import Path

from columba.common.log.event import Event
from columba.common.service import Context
from columba.smtpd.handoff import Handoff
from columba.smtpd.peers.dovecot import AuthClient
from columba.smtpd.presence import Bounds, Presence
from columba.smtpd.receive import Receiver, Spool
from columba.smtpd.session import Networks, networks
from columba.smtpd.settings import Settings
from columba.smtpd.stages import Stages
from columba.smtpd.tls import ServerTls


@dataclass(frozen=True, slots=True)
class Shared:
    """Made once by the service. tls is false without a certificate, auth None without an auth service."""

    context: Context[Settings]
    stages: Stages
    handoff: Handoff
    auth: AuthClient | None
    tls: ServerTls
    spool: Spool
    presence: Presence
    trusted: Networks

    @property
    def settings(self) -> Settings:
        """Return the settings."""
        return self.context.settings

    @property
    def event(self) -> Event:
        """Return the event that lines are written with."""
        return self.context.event

    def receiver(self, id: str, reserved: int) -> Receiver:
        """Return what takes a message in; reserved octets of the spool are its own already."""
        return Receiver(id, self.spool, self.settings.inline_body_limit, reserved)


def make_shared(context: Context[Settings], tls: ServerTls) -> Shared:
    """Return what connections of this process share. Raises ValueError for a bad network."""
    settings = context.settings
    bounds = Bounds(
        settings.client_limit_per_ip, settings.connection_rate_limit, settings.message_rate_limit
    )
    return Shared(
        context=context,
        stages=Stages(settings, context.caller, context.event),
        handoff=Handoff(context),
        auth=AuthClient(settings.auth_socket, context.event) if settings.auth_socket else None,
        tls=tls,
        spool=Spool(
            Path(settings.spool_dir),
            context.name,
            context.off_loop,
            settings.spool_limit,
            settings.message_memory_limit,
        ),
        presence=Presence(context.name, bounds, context.caller, context.event),
        trusted=networks(settings.trusted_networks),
    )
