"""Open columba.conf: read the file with the declarations of all services.

It looks at no file but the configuration itself, so that tools which only want to know where the server is start
quickly; compile.py does the rest.
"""

import importlib

from columba.common.config.general import General
from columba.common.config.load import read_tree, system_world
from columba.common.config.resolve import Resolver, Schema, World
from columba.master.builtin import CONFIG, SERVICES
from columba.master.settings import MasterSettings, ServiceSettings


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
