"""What one listener is: its role, what it offers, its limits.

Made once for each listener at the start of a process. What a single client is offered depends on more than that:
conversation.py looks at its TLS, its address and its login too.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from columba.common.config.handed import thaw
from columba.common.config.listening import Listening
from columba.common.config.schema import declarations
from columba.common.errors import ConfigError
from columba.common.ipc.master import Listener
from columba.common.lookup.base import Table
from columba.common.lookup.open import open_url
from columba.common.off_loop import OffLoop
from columba.common.smtp.data import BareNewline
from columba.common.smtp.extensions import chosen
from columba.common.smtp.server import ServerLimits
from columba.smtpd.session import Networks, Role, is_within, networks, role_of

_COMMON: Final = (
    "PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES", "LIMITS",
    "REQUIRETLS", "XCLIENT", "XFORWARD", "STARTTLS",
)  # fmt: skip
DEFAULTS: Final[Mapping[Role, tuple[str, ...]]] = {
    Role.MX: (*_COMMON, "PRDR", "FUTURERELEASE", "AUTH"),
    Role.SUBMISSION: (*_COMMON, "FUTURERELEASE", "AUTH"),
    Role.LMTP: _COMMON,
}


@dataclass(frozen=True, slots=True)
class Profile:
    """One listener. offers are EHLO keywords, in order."""

    listener: Listener
    role: Role
    settings: Listening
    offers: tuple[str, ...]
    limits: ServerLimits
    normalizing_limits: ServerLimits
    normalizing: Networks
    proxies: Networks
    xclient: Networks
    xforward: Networks
    senders: Table | None  # who may send as whom
    lists: Table | None  # what EXPN shows

    def limits_for(self, ip: str) -> ServerLimits:
        """Return the limits for a client."""
        return self.normalizing_limits if is_within(ip, self.normalizing) else self.limits


def make_profile(listener: Listener, common: Listening, off_loop: OffLoop) -> Profile:
    """Return a listener's profile; common is what holds where the listener says nothing. Raises ConfigError."""
    settings = _settings(listener, common)
    role = role_of(listener.name, listener.type)
    limits = ServerLimits(
        recipients=settings.recipient_limit,
        errors=settings.error_limit,
        junk=settings.junk_command_limit,
        message_size=settings.message_size_limit,
        bare_newline=BareNewline(settings.bare_newline),
        in_step=True,
    )
    try:
        return Profile(
            listener=listener,
            role=role,
            settings=settings,
            offers=chosen(DEFAULTS[role], settings.smtp_extensions),
            limits=limits,
            normalizing_limits=dataclasses.replace(limits, bare_newline=BareNewline.NORMALIZE),
            normalizing=networks(settings.bare_newline_normalize_networks),
            proxies=networks(settings.haproxy_trusted_networks),
            xclient=networks(settings.xclient_networks),
            xforward=networks(settings.xforward_networks),
            senders=_table("submission_sender_login", settings.submission_sender_login, off_loop),
            lists=_table("expn_table", settings.expn_table, off_loop),
        )
    except ValueError as error:
        raise ConfigError(f"listener {listener.name}: {error}") from error


def _table(name: str, url: str, off_loop: OffLoop) -> Table | None:
    return open_url(name, url, off_loop) if url else None


def _settings(listener: Listener, common: Listening) -> Listening:
    if not listener.settings:
        return common
    values = {name: getattr(common, name) for name in declarations(Listening)}
    return thaw(Listening, {**values, **json.loads(listener.settings)})
