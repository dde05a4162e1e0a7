"""From the URL of `queue_store` to a store."""

from pathlib import Path
from urllib.parse import urlsplit

from columba.common.errors import ConfigError
from columba.queue.store.base import ObjectStore
from columba.queue.store.file import FileStore


def open_store(url: str) -> ObjectStore:
    """Return the store at the URL; ConfigError when there is no such kind, or it can't carry a queue."""
    parts = urlsplit(url)
    match parts.scheme:
        case "file" if parts.path.startswith("/") and not parts.netloc:
            store: ObjectStore = FileStore(Path(parts.path))
        case "file":
            raise ConfigError(f"queue_store: {url}: wants file:/absolute/path")
        case _:
            raise ConfigError(f"queue_store: {url}: no store of this kind")
    promised = store.guarantees
    if not (promised.conditional_put and promised.read_after_write and promised.list_after_write):
        raise ConfigError(f"queue_store: {url}: can't carry a queue: {promised}")
    return store
