"""From the URL of `queue_url` to a store."""

from pathlib import Path
from urllib.parse import urlsplit

from columba.common.errors import ConfigError
from columba.queue.store.base import ObjectStore
from columba.queue.store.file import FileStore


def open_store(url: str) -> ObjectStore:
    """Return the store at the URL; ConfigError when there is no such kind, or it can't carry a queue."""
    store: ObjectStore = FileStore(store_folder(url))
    promised = store.guarantees
    if not (promised.conditional_put and promised.read_after_write and promised.list_after_write):
        raise ConfigError(f"queue_url: {url}: can't carry a queue: {promised}")
    return store


def store_folder(url: str) -> Path:
    """Return the folder that the URL names, touching nothing; ConfigError when it names none."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        raise ConfigError(f"queue_url: {url}: no store of this kind")
    if parts.netloc or not parts.path.startswith("/"):
        raise ConfigError(f"queue_url: {url}: wants file:/absolute/path")
    return Path(parts.path)
