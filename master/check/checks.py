"""Checks that look at more than one setting; each error points at the line that is to be changed.

Pure: values and the tree go in, ConfigError comes out.
"""

import ipaddress
import re
from typing import Final

from columba.common.config.listening import Listening
from columba.common.config.parser import Section
from columba.common.config.resolve import Resolver, near
from columba.common.config.schema import UNLIMITED
from columba.common.errors import ConfigError
from columba.common.smtp.extensions import chosen
from columba.master.builtin import SERVICES
from columba.master.settings import MasterSettings, ServiceSettings

SINGLE: Final = ("anvil", "log", "stats", "auth")  # their state is in one process
NAME: Final = re.compile(
    r"(?=[0-9.]*[A-Za-z_-])[A-Za-z0-9_.-]{1,253}"
)  # a host, not a number with dots
MEMORY_LEAST: Final = 16 << 20
NETWORKS: Final = (
    "bare_newline_normalize_networks", "haproxy_trusted_networks", "xclient_networks",
    "xforward_networks",
)  # fmt: skip


def check_services(names: list[str], resolver: Resolver) -> None:
    """Raise ConfigError for a service that is unknown, be it named or have a section that says nothing of its own."""
    written = resolver.root.values.get("services")
    for name in names:
        section = resolver.service_section(name)
        if not (name.isascii() and name.replace("-", "").isalnum()):
            raise written.error(f"Invalid service name: {name}") if written else section.error(name)
        if not section.line and written is not None:
            raise written.error(f"services: Unknown service: {name}{resolver.service_hint(name)}")
    for name in resolver.service_names():
        section = resolver.service_section(name)
        if name not in {*names, *SERVICES} and "executable" not in section.values:
            raise section.error(f"Unknown service: {name}{near(name, list(SERVICES))}")


def check_service(name: str, service: ServiceSettings, section: Section, root: Section) -> None:
    """Raise ConfigError for limits that contradict each other."""

    def fail(key: str, text: str) -> ConfigError:
        where = section.values.get(key)
        words = f"service({name}): {text}"
        return where.error(words) if where else section.error(words)

    if not service.executable:
        raise fail("executable", "executable must be set")
    if service.process_limit == 0:
        raise fail("process_limit", "process_limit must be greater than 0")
    if service.process_limit == UNLIMITED:
        raise fail("process_limit", "process_limit can't be unlimited")
    if name in SINGLE and service.process_limit != 1:
        raise fail("process_limit", "process_limit must be 1")
    if service.process_min_avail > service.process_limit:
        raise fail("process_min_avail", "process_min_avail is greater than process_limit")
    if service.client_limit == 0:
        raise fail("client_limit", "client_limit must be greater than 0")
    if service.restart_request_count == 0:
        raise fail(
            "restart_request_count",
            'restart_request_count must not be 0 (did you mean "unlimited"?)',
        )
    if service.memory_limit < MEMORY_LEAST:
        raise fail("memory_limit", "memory_limit is less than 16M")
    _check_listeners(name, service, section, root)
    for kind in ("inet_listener", "unix_listener"):
        listeners: dict[str, Listening] = getattr(service, kind)
        for key, listener in listeners.items():
            where = section.sections[kind][key]
            _check_words(f"service({name}): {kind} {key}", listener, (where, section, root))


def _check_words(what: str, listener: Listening, scopes: tuple[Section, ...]) -> None:
    """Raise ConfigError for an extension that we do not know, and for networks that are none."""

    def fail(key: str, error: ValueError) -> ConfigError:
        found = (scope.values.get(key) for scope in scopes)
        where = next((value for value in found if value), scopes[0])
        return where.error(f"{what}: {key}: {error}")

    try:
        chosen((), listener.smtp_extensions)
    except ValueError as error:
        raise fail("smtp_extensions", error) from None
    for key in NETWORKS:
        try:
            for word in getattr(listener, key):
                ipaddress.ip_network(word, strict=False)
        except ValueError as error:
            raise fail(key, error) from None


def _check_listeners(name: str, service: ServiceSettings, section: Section, root: Section) -> None:
    seen: set[tuple[str, int]] = set()
    for key, listener in service.inet_listener.items():
        where = section.sections["inet_listener"][key]
        for address in listener.listen:
            if not _is_address(address):
                at = where.values.get("listen") or root.values.get("listen") or where
                raise at.error(f"service({name}): listen: {address} is no address")
            if listener.port and (address, listener.port) in seen:
                raise where.error(f"service({name}): duplicate listener: {listener.port}:{address}")
            seen.add((address, listener.port))


def _is_address(text: str) -> bool:
    """Tell whether a listener can be given this: *, an IP address, or a name that the system may know."""
    if text == "*" or NAME.fullmatch(text):
        return True
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def check_tls(master: MasterSettings, resolver: Resolver) -> None:
    """Raise ConfigError for a certificate without its key and the other way round."""
    if bool(master.ssl_cert_file) != bool(master.ssl_key_file):
        key = "ssl_cert_file" if master.ssl_cert_file else "ssl_key_file"
        raise resolver.root.values[key].error("ssl_cert_file and ssl_key_file go together")
    for name, tls in master.local_name.items():
        if not tls.ssl_cert_file or not tls.ssl_key_file:
            section = resolver.root.sections["local_name"][name]
            raise section.error(f"local_name {name}: ssl_cert_file and ssl_key_file must be set")


def check_trusted(networks: list[str], resolver: Resolver) -> None:
    """Raise ConfigError for a word of trusted_networks that is no network."""
    for word in networks:
        try:
            ipaddress.ip_network(word, strict=False)
        except ValueError as error:
            scopes = (resolver.service_section("smtpd"), resolver.root)
            found = (scope.values.get("trusted_networks") for scope in scopes)
            where = next((value for value in found if value), resolver.root)
            raise where.error(f"trusted_networks: {error}") from None


def check_ssl(
    name: str, service: ServiceSettings, section: Section, *, has_certificate: bool
) -> None:
    """Raise ConfigError for a listener that is to begin with TLS where there is no certificate."""
    for key, listener in service.inet_listener.items():
        if listener.port and listener.ssl and not has_certificate:
            words = f"service({name}): inet_listener {key}: ssl = yes needs ssl_cert_file"
            where = section.sections["inet_listener"][key]
            raise (where.values.get("ssl") or where).error(words)
