"""Tables in Redis or Valkey: `redis://host/0` and a command, `GET %{user}` if none is given.

Commands that read: GET, HGET, SMEMBERS, LRANGE. Each word of the command is one argument, whatever a key holds.
"""

from typing import Final

from columba.common.config.general import LookupTable
from columba.common.errors import ConfigError
from columba.common.lookup.pooled import Connection
from columba.common.lookup.rows import joined, text_of
from columba.common.lookup.template import Template, parse_template
from columba.common.redis_link import RedisLink, parse_redis_url

COMMANDS: Final = {"GET": 1, "HGET": 2, "SMEMBERS": 1, "LRANGE": 3}  # with numbers of arguments
DEFAULT: Final = "GET %{user}"


class RedisConnection:
    """One connection."""

    def __init__(self, link: RedisLink, command: str, words: tuple[Template, ...]) -> None:
        self._link, self._command, self._words = link, command, words

    async def ask(self, key: str, until_ns: int) -> str | None:
        """Return the value of a key; raises LostError, UnavailableError."""
        filled = [word.fill(key) for word in self._words]
        words = [word for word in filled if word is not None]
        if len(words) < len(filled):
            return None
        found = await self._link.call(self._command, *words)
        if found is None:
            return None
        values = list(found) if isinstance(found, list | set) else [found]
        texts = [text_of(value) for value in values]
        return joined(sorted(texts) if self._command == "SMEMBERS" else texts)

    def close(self) -> None:
        """Drop it."""
        self._link.close()


class Redis:
    """Connects to a server."""

    def __init__(self, settings: LookupTable) -> None:
        self._server = parse_redis_url(settings.url, settings.username, settings.password)
        words = (settings.query or DEFAULT).split()
        self._command = words[0].upper()
        if COMMANDS.get(self._command) != len(words) - 1:
            raise ConfigError(f"redis: the query is {', '.join(COMMANDS)} with their arguments")
        self._words = tuple(parse_template(word) for word in words[1:])
        if not any(word.has_key for word in self._words):
            raise ConfigError("the query has no place for the key: write %{user}")

    async def connect(self, until_ns: int) -> Connection:
        """Return a new connection; raises UnavailableError."""
        link = await self._server.connect(until_ns)
        return RedisConnection(link, self._command, self._words)


def make(settings: LookupTable) -> Redis:
    """Return what connects; raises ConfigError."""
    return Redis(settings)
