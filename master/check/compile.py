"""Make of columba.conf the frozen values that the master and its services work with.

It runs in a process of its own (`python -m columba.master.check`), so that the master never parses text and a new
configuration that is broken can't harm the running one.
"""

import importlib
import json
import os
from dataclasses import asdict, dataclass
from typing import Final, TypeVar

from columba.common.config.general import General
from columba.common.config.load import read_tree, system_world, thaw
from columba.common.config.resolve import Frozen, Resolver, Schema, World
from columba.common.errors import ConfigError
from columba.master.builtin import CONFIG, SERVICES
from columba.master.check.checks import check_service, check_services, check_tls
from columba.master.settings import MasterSettings, ServiceSettings

ALWAYS: Final = ("anvil", "log")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Compiled:
    """A configuration that has been checked. All values are plain and typed.

    `services` holds the enabled services in the order of their start: the master's settings of each;
    `settings` what each service's own process gets.
    """

    path: str
    general: Frozen
    services: dict[str, Frozen]
    settings: dict[str, Frozen]
    warnings: list[str]

    def dump(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))


def load_compiled(text: str) -> Compiled:
    """Return what dump wrote."""
    return Compiled(**json.loads(text))


def schema() -> Schema:
    """Return the declarations of all services that are installed."""
    found = {}
    for name, package in SERVICES.items():
        try:
            module = importlib.import_module(f"{package}.settings")
        except ModuleNotFoundError as error:
            if error.name is None or not f"{package}.settings".startswith(error.name):
                raise
            continue
        found[name] = module.Settings
    return Schema(MasterSettings, ServiceSettings, found, General)


def open_config(path: str, world: World | None = None) -> tuple[Resolver, list[str]]:
    """Return the resolver over a file whose names are all known, and warnings; raises ConfigError."""
    tree = read_tree(path, CONFIG)
    resolver = Resolver(tree.root, schema(), world or system_world())
    resolver.check()
    return resolver, tree.warnings


def compile_config(path: str) -> Compiled:
    """Read and check a configuration file; raises ConfigError with file and line."""
    resolver, warnings = open_config(path)
    general = resolver.general()
    master = thaw(MasterSettings, general)
    names = [*ALWAYS, *(name for name in master.services if name not in ALWAYS)]
    check_services(names, resolver)
    check_tls(master, resolver)
    services, settings = {}, {}
    for name in names:
        frozen = resolver.service(name)
        check_service(name, thaw(ServiceSettings, frozen), resolver.service_section(name))
        services[name], settings[name] = frozen, resolver.settings(name)
    return Compiled(os.path.abspath(path), general, services, settings, warnings)


def settings_for(cls: type[T], path: str) -> T:
    """Return a settings class' global values from a configuration file, for tools."""
    resolver, _ = open_config(path)
    return thaw(cls, resolver.resolve(cls, (resolver.root,)))


def general_for(path: str) -> General:
    """Return the general settings of a configuration file, for tools."""
    return settings_for(General, path)


__all__ = [
    "Compiled",
    "ConfigError",
    "compile_config",
    "general_for",
    "load_compiled",
    "schema",
    "settings_for",
]
