"""From a URL to a dict: `memory:`, `sqlite:/path`, `redis://host/0?prefix=columba:`. docs/dicts.md."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol, cast

from columba.common.config.general import DictStore
from columba.common.dict.base import Dict
from columba.common.dict.memory import MemoryDict
from columba.common.dict.sqlite import SqliteDict
from columba.common.errors import ConfigError

REDIS: Final = ("redis", "rediss", "redis+unix")


class RedisModule(Protocol):
    """columba.common.dict.redis, which needs a package that may be missing."""

    def RedisDict(self, name: str, url: str, username: str, password: str) -> Dict:
        """Return the dict."""
        ...


def open_dict(name: str, settings: DictStore) -> Dict:
    """Return the dict; raises ConfigError when the URL is none that we know. Connects to nothing yet."""
    scheme, _, rest = settings.url.partition(":")
    if scheme == "memory" and not rest:
        return MemoryDict()
    if scheme == "sqlite":
        if not rest.startswith("/"):
            raise ConfigError(f"dict {name}: sqlite: needs an absolute path")
        return SqliteDict(Path(rest))
    if scheme in REDIS:
        return _open_redis(name, settings)
    known = ", ".join(("memory", "sqlite", *REDIS))
    raise ConfigError(f"dict {name}: no dict of kind {scheme!r} ({known})")


def open_dicts(dicts: Mapping[str, DictStore]) -> dict[str, Dict]:
    """Return all dicts by name; raises ConfigError."""
    return {name: open_dict(name, settings) for name, settings in dicts.items()}


def _open_redis(name: str, settings: DictStore) -> Dict:
    try:
        module = cast(RedisModule, importlib.import_module("columba.common.dict.redis"))
        return module.RedisDict(name, settings.url, settings.username, settings.password)
    except ModuleNotFoundError as error:
        text = f"dict {name}: needs the package {error.name}: pip install columba[redis]"
        raise ConfigError(text) from error
    except ConfigError as error:
        raise ConfigError(f"dict {name}: {error.text}") from error
