"""Look into the files that a configuration names: certificates, signing keys, scripts.

Each mistake is a ConfigError with the place where it is mended: the line that names the file, or the script's own line.
"""

import contextlib
import grp
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from columba.common.config.handed import thaw
from columba.common.config.listening import Listening
from columba.common.config.parser import Section
from columba.common.config.resolve import Resolver
from columba.common.dict.open import open_dict
from columba.common.errors import ConfigError, StoreError
from columba.common.lookup.open import check_table, check_url
from columba.delivery.settings import Settings as DeliverySettings
from columba.delivery.signer import keys
from columba.delivery.signer.settings import Settings as SignerSettings
from columba.delivery.source import sources_of
from columba.master.auth.mechanisms import offered
from columba.master.auth.settings import Settings as AuthSettings
from columba.master.errors import StartError
from columba.master.log.settings import Settings as LogSettings
from columba.master.privileges import Identity, identity
from columba.master.settings import MasterSettings, ServiceSettings
from columba.queue.settings import Settings as QueueSettings
from columba.queue.store.open import Plan, open_store, plan_store
from columba.sieve.engine import CompileErrors, compile_script
from columba.sieve.files import read_lists, read_secrets
from columba.sieve.lang.includes import loader_beside
from columba.sieve.lang.stage import Stage
from columba.sieve.settings import Settings as SieveSettings
from columba.sieve.settings import limits_of

LOGINS: Final = "relay_credentials"
LISTENER_TABLES: Final = ("submission_sender_login", "expn_table")
STORE_S: Final = 5.0  # of one call of the queue's store while it is tried out


def check_contents(names: list[str], master: MasterSettings, resolver: Resolver) -> None:
    """Raise ConfigError for the first file that can't be used by the services that run."""
    _check_certificates(master, resolver)
    _check_trust(master, resolver)
    _check_log(resolver)
    if "auth" in names:
        _check_mechanisms(resolver)
    if "queue" in names:
        _check_queue(master, resolver)
    if "delivery" in names:
        _check_sources(resolver)
    if "dkim" in names:
        _check_keys(master, resolver)
    if "smtpd" in names:
        _check_listeners(resolver)
    if "sieve" in names:
        _check_tables(resolver)
        _check_sieve_files(resolver)
        _check_scripts(resolver)


def _check_certificates(master: MasterSettings, resolver: Resolver) -> None:
    pairs = [(resolver.root, master.ssl_cert_file, master.ssl_key_file)]
    for name, tls in master.local_name.items():
        section = resolver.root.sections["local_name"][name]
        pairs.append((section, tls.ssl_cert_file, tls.ssl_key_file))
    for section, cert_file, key_file in pairs:
        if not cert_file:
            continue
        for setting, path in (("ssl_cert_file", cert_file), ("ssl_key_file", key_file)):
            if not os.access(path, os.R_OK):
                raise section.values[setting].error(f"{setting}: Can't open file {path}")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert_file, key_file)
        except (ssl.SSLError, ValueError) as error:
            words = f"ssl_cert_file: {cert_file} and {key_file} can't be used together: {error}"
            raise section.values["ssl_cert_file"].error(words) from error


def _check_mechanisms(resolver: Resolver) -> None:
    try:
        offered(thaw(AuthSettings, resolver.settings("auth")).auth_mechanisms)
    except ConfigError as error:
        where = resolver.root.values.get("auth_mechanisms")
        raise (where.error(error.text) if where else error) from error


def _check_trust(master: MasterSettings, resolver: Resolver) -> None:
    """Client certificates can be checked only with roots; these must be readable ones."""
    path = master.ssl_server_ca_file
    asks = resolver.root.values.get("ssl_server_request_client_cert")
    if master.ssl_server_request_client_cert != "no" and not path and asks is not None:
        raise asks.error("ssl_server_request_client_cert needs ssl_server_ca_file")
    if not path:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
    except (OSError, ssl.SSLError) as error:
        words = f"ssl_server_ca_file: {path} can't be used: {error}"
        raise resolver.root.values["ssl_server_ca_file"].error(words) from error


def _check_log(resolver: Resolver) -> None:
    path = thaw(LogSettings, resolver.settings("log")).log_path
    where = resolver.root.values.get("log_path")
    if path.startswith("/") and where is not None and not Path(path).parent.is_dir():
        raise where.error(f"log_path: There is no folder {Path(path).parent}")


def _check_queue(master: MasterSettings, resolver: Resolver) -> None:
    """Look at the settings of the store and, when it is a server, try it out; one that is silent is no mistake."""
    settings = thaw(QueueSettings, resolver.settings("queue"))
    try:
        plan = plan_store(settings)
        if plan.files or settings.queue_key_file:
            _check_readable(plan, settings.queue_key_file, master, resolver)
        if plan.is_remote:
            with contextlib.suppress(StoreError):
                open_store(settings, STORE_S).close()
    except ConfigError as error:
        name = error.text.partition(":")[0]
        raise (resolver.root.values.get(name) or resolver.root).error(error.text) from error


def _check_readable(plan: Plan, key_file: str, master: MasterSettings, resolver: Resolver) -> None:
    service = thaw(ServiceSettings, resolver.service("queue"))
    try:
        who = identity("queue", service.user, service.group, master.default_internal_user)
    except StartError as error:
        raise resolver.service_section("queue").error(str(error)) from error
    for setting, path in (
        *(("queue_url", path) for path in plan.files),
        ("queue_key_file", key_file),
    ):
        if path and not may_read(Path(path), who):
            raise ConfigError(
                f"{setting}: {path} can't be read by the user {service.user}{mend(Path(path), who)}"
            )


def _check_sources(resolver: Resolver) -> None:
    settings = thaw(DeliverySettings, resolver.settings("delivery"))
    logins = settings.relay_credentials
    try:
        sources_of(settings, lambda members: members[0])
        if logins and logins not in settings.lookup:
            check_url(LOGINS, logins)
    except ConfigError as error:
        kind, _, name = error.text.partition(":")[0].partition(" ")
        sections = resolver.root.sections.get(kind, {})
        values = resolver.root.values
        where = sections.get(name) or values.get(kind) or values.get(name) or resolver.root
        raise where.error(error.text) from error


def _check_listeners(resolver: Resolver) -> None:
    service, section = (
        thaw(ServiceSettings, resolver.service("smtpd")),
        resolver.service_section("smtpd"),
    )
    for kind in ("inet_listener", "unix_listener"):
        listeners: dict[str, Listening] = getattr(service, kind)
        for key, listener in listeners.items():
            own = section.sections[kind][key]
            for name in LISTENER_TABLES:
                _check_table_of(listener, name, (own, section, resolver.root))


def _check_table_of(listener: Listening, name: str, scopes: tuple[Section, ...]) -> None:
    url: str = getattr(listener, name)
    try:
        if url:
            check_url(name, url)
    except ConfigError as error:
        found = (scope.values.get(name) for scope in scopes)
        where = next((value for value in found if value), scopes[0])
        raise where.error(error.text) from error


def _check_keys(master: MasterSettings, resolver: Resolver) -> None:
    settings = thaw(SignerSettings, resolver.settings("dkim"))
    service = thaw(ServiceSettings, resolver.service("dkim"))
    try:
        who = identity("dkim", service.user, service.group, master.default_internal_user)
    except StartError as error:
        raise resolver.service_section("dkim").error(str(error)) from error
    keys.load_ring(Path(settings.dkim_key_dir))
    for domain, key in settings.dkim.items():
        section = resolver.root.sections["dkim"][domain]
        where = section.values.get("key_file")
        if where is None:
            raise section.error(f"dkim {domain}: key_file must be set")
        try:
            keys.load_key(domain, key.selector, Path(key.key_file))
        except ConfigError as error:
            raise where.error(f"key_file: {key.key_file}: {error.text}") from error
        if not may_read(Path(key.key_file), who):
            raise where.error(f"key_file: {key.key_file} can't be read by the user {service.user}")


def _check_tables(resolver: Resolver) -> None:
    """Look-up tables and dicts; a mistake in a file has its own line, else it is the section's."""
    settings = thaw(SieveSettings, resolver.settings("sieve"))
    for name, table in settings.lookup.items():
        with _at_section(resolver, "lookup", name):
            check_table(name, table)
    for name, store in settings.dict.items():
        with _at_section(resolver, "dict", name):
            open_dict(name, store)


def _check_sieve_files(resolver: Resolver) -> None:
    """The dicts that settings name must be there; secrets and external lists must be readable files."""
    settings = thaw(SieveSettings, resolver.settings("sieve"))
    values = {**resolver.root.values, **resolver.service_section("sieve").values}
    try:
        for key in ("sieve_state_dict", "sieve_metadata_dict"):
            name = getattr(settings, key)
            if name and name not in settings.dict:
                raise ConfigError(f"{key}: there is no dict {name!r}")
        read_secrets(settings.srs_secret_file)
    except ConfigError as error:
        raise values[error.text.partition(":")[0]].error(error.text) from error
    for name, each in settings.sieve_list.items():
        with _at_section(resolver, "sieve_list", name):
            read_lists({name: each})


@contextlib.contextmanager
def _at_section(resolver: Resolver, kind: str, name: str) -> Iterator[None]:
    """Let mistakes without a place be those of a section."""
    try:
        yield
    except ConfigError as error:
        if error.file:
            raise
        raise resolver.root.sections[kind][name].error(error.text) from error


def _check_scripts(resolver: Resolver) -> None:
    settings = thaw(SieveSettings, resolver.settings("sieve"))
    for stage in Stage:
        setting = f"sieve_{stage.value}"
        path = getattr(settings, setting, "")
        if not path:
            continue
        where = resolver.root.values.get(setting)
        try:
            octets = Path(path).read_bytes()
        except OSError as error:
            words = f"{setting}: Can't open file {path}: {error.strerror}"
            raise (where or resolver.root).error(words) from error
        script = compile_script(
            octets,
            path,
            stage,
            limits=limits_of(settings, {}, {}),
            tables=settings.lookup,
            dicts=settings.dict,
            loader=loader_beside(path, read_script),
        )
        if isinstance(script, CompileErrors):
            raise script.as_config_error()


def read_script(path: str) -> bytes | None:
    """Return an included script, None if it can't be read."""
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError):
        return None


def may_read(path: Path, who: Identity) -> bool:
    """Tell whether a user may read a file, from the rights of the file and of the folders above it."""
    if not who.switch:
        return os.access(path, os.R_OK)
    resolved = path.resolve()
    wanted = [(resolved, 4), *((folder, 1) for folder in resolved.parents)]
    return all(allows(each.stat(), right, who) for each, right in wanted)


def mend(path: Path, who: Identity) -> str:
    """Return what an administrator types so that a user may read a file, after a colon; "" where nobody knows."""
    try:
        group = grp.getgrgid(who.gid).gr_name
    except KeyError:
        return ""
    return f": chgrp {group} {path}; chmod 640 {path}"


def allows(status: os.stat_result, right: int, who: Identity) -> bool:
    """Tell whether a file's mode gives a user a right: 4 to read, 1 to pass through."""
    if who.uid == 0:
        return True
    shift = 6 if who.uid == status.st_uid else 3 if who.gid == status.st_gid else 0
    return bool(status.st_mode & (right << shift))
