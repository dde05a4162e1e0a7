"""From a URL to a dict: `memory:`, `sqlite:/path`, `redis://host/0?prefix=columba:`."""

from collections.abc import Mapping
from pathlib import Path

from columba.common.dict.base import Dict
from columba.common.dict.memory import MemoryDict
from columba.common.dict.sqlite import SqliteDict
from columba.common.errors import ConfigError


def open_dict(name: str, url: str) -> Dict:
    """Return the dict; raises ConfigError when the URL is none that we know. Connects to nothing yet."""
    scheme, _, rest = url.partition(":")
    match scheme:
        case "memory" if not rest:
            return MemoryDict()
        case "sqlite" if rest.startswith("/"):
            return SqliteDict(Path(rest))
        case "sqlite":
            raise ConfigError(f"dict {name}: sqlite: needs an absolute path")
    raise ConfigError(f"dict {name}: no dict of kind {scheme!r} (memory, sqlite, redis)")


def open_dicts(urls: Mapping[str, str]) -> dict[str, Dict]:
    """Return all dicts by name; raises ConfigError."""
    return {name: open_dict(name, url) for name, url in urls.items()}
