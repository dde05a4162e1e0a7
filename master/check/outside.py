"""What a configuration names outside of itself: users, groups, and files of tables and passwords.

A user or group that does not exist is a mistake, as no service could start. A file that is not there yet may come: it
is a warning, and what asks it meanwhile fails for a while.
"""

from collections.abc import Iterator
from pathlib import Path

from columba.common.config.handed import thaw
from columba.common.config.load import BUILTIN_FILE
from columba.common.config.parser import Section, Value
from columba.common.config.resolve import Resolver
from columba.common.lookup.tables import KINDS
from columba.master.auth.settings import Settings as AuthSettings
from columba.master.errors import StartError
from columba.master.privileges import identity
from columba.master.settings import MasterSettings, ServiceSettings
from columba.sieve.settings import Settings as SieveSettings


def check_users(names: list[str], master: MasterSettings, resolver: Resolver) -> None:
    """Raise ConfigError for the first user or group that does not exist."""
    internal = master.default_internal_user
    for name in names:
        service, section = (
            thaw(ServiceSettings, resolver.service(name)),
            resolver.service_section(name),
        )
        _check(name, service.user, service.group, internal, (section, resolver.root))
        for key, listener in service.unix_listener.items():
            user, group = listener.user or service.user, listener.group or service.group
            own = section.sections["unix_listener"][key]
            _check(name, user, group, internal, (own, section, resolver.root))


def missing_files(names: list[str], resolver: Resolver) -> Iterator[str]:
    """Yield a warning for each file that is named and not there."""
    if "sieve" in names:
        for name, table in thaw(SieveSettings, resolver.settings("sieve")).lookup.items():
            scheme, _, path = table.url.partition(":")
            if scheme in (*KINDS, "sqlite") and not Path(path).exists():
                section = resolver.root.sections["lookup"][name]
                yield _there_is_no(path, f"lookup {name}", section)
    where = resolver.root.values.get("auth_passwd_file")
    path = thaw(AuthSettings, resolver.settings("auth")).auth_passwd_file
    if "auth" in names and where is not None and not Path(path).exists():
        yield _there_is_no(path, "auth_passwd_file", where)


def _check(name: str, user: str, group: str, internal: str, scopes: tuple[Section, ...]) -> None:
    try:
        identity(name, user, group, internal)
    except StartError as error:
        said = str(error)
        key = "group" if "Group doesn't" in said else "user"
        found = [scope.values.get(key) for scope in scopes]
        found.append(scopes[-1].values.get(f"default_internal_{key}"))
        where = next((each for each in found if each and each.file != BUILTIN_FILE), scopes[-1])
        raise where.error(said) from error


def _there_is_no(path: str, what: str, where: Section | Value) -> str:
    return f"{where.file} line {where.line}: {what}: There is no file {path}"
