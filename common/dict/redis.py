"""The dict of several machines: Redis or Valkey. `redis://host/0?prefix=columba:&pool=8`.

Each change is one command or one script of the server, so that nobody sees half of it. A connection that breaks while
a number grows leaves it unknown whether it grew: that is "unavailable"; a commit can be made again, as its mark tells.
"""

from collections.abc import Sequence
from typing import Final

from columba.common.dict.base import MARK_S, Add, Change, Put
from columba.common.errors import ConfigError, UnavailableError
from columba.common.pooled import LostError, Pool
from columba.common.redis_link import RedisLink, Reply, Word, parse_redis_url

PREFIX: Final = "columba:"
POOL: Final = 8
MARKS: Final = "mark/"
# Adds to a number; one that is missing, too long or no number begins at zero, with its time to live.
_ADD: Final = """
local function add(key, amount, expires)
  local known = redis.call('GET', key)
  if known and #known < 19 and string.match(known, '^%-?%d+$') then return redis.call('INCRBY', key, amount) end
  if tonumber(expires) > 0 then redis.call('SET', key, amount, 'EX', expires)
  else redis.call('SET', key, amount) end
  return tonumber(amount)
end
"""
_INCREMENT: Final = _ADD + "return add(KEYS[1], ARGV[1], ARGV[2])"
_NEW: Final = """
local known = redis.call('GET', KEYS[1])
if known then return known end
if tonumber(ARGV[2]) > 0 then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
else redis.call('SET', KEYS[1], ARGV[1]) end
return ARGV[1]
"""
# KEYS[1] is the mark; ARGV[1] its life; then for each further key: kind, value, life.
_COMMIT: Final = (
    _ADD
    + """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
for i = 2, #KEYS do
  local at = 2 + (i - 2) * 3
  local kind, value, expires = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if kind == 'add' then add(KEYS[i], value, expires)
  elseif kind == 'drop' then redis.call('DEL', KEYS[i])
  elseif tonumber(expires) > 0 then redis.call('SET', KEYS[i], value, 'EX', expires)
  else redis.call('SET', KEYS[i], value) end
end
redis.call('SET', KEYS[1], '', 'EX', ARGV[1])
return 1
"""
)


class RedisDict:
    """A Dict on a server."""

    def __init__(self, name: str, url: str, username: str = "", password: str = "") -> None:
        """Raise ConfigError for a wrong URL. name is what errors call the dict."""
        server = parse_redis_url(url, username, password)
        size = server.options.get("pool", str(POOL))
        if not size.isdecimal() or not 0 < int(size) <= 1000:
            raise ConfigError("redis: pool= is 1 to 1000")
        self._prefix = server.options.get("prefix", PREFIX)
        self._name = f"dict {name}"
        self._pool: Pool[RedisLink] = Pool(self._name, server.connect, int(size))

    async def get(self, key: str, timeout_s: float) -> str | None:
        """Return a value, None when there is none."""
        found = await self._call(timeout_s, "GET", self._prefix + key)
        return None if found is None else _text(found)

    async def set(self, key: str, value: str, timeout_s: float, expires_s: int = 0) -> None:
        """Set a value."""
        life: tuple[Word, ...] = ("EX", expires_s) if expires_s else ()
        await self._call(timeout_s, "SET", self._prefix + key, value, *life)

    async def set_new(self, key: str, value: str, timeout_s: float, expires_s: int = 0) -> str:
        """Set a value unless there is one; return the one that is there now."""
        found = await self._call(timeout_s, "EVAL", _NEW, 1, self._prefix + key, value, expires_s)
        return _text(found)

    async def increment(self, key: str, amount: int, timeout_s: float, expires_s: int = 0) -> int:
        """Add to a number and return it."""
        words: tuple[Word, ...] = ("EVAL", _INCREMENT, 1, self._prefix + key, amount, expires_s)

        async def add(link: RedisLink, until_ns: int) -> Reply:
            try:
                return await link.call(*words)
            except LostError as error:
                # Sent or not: nobody knows whether the number grew, so it is not tried again.
                raise UnavailableError(str(error)) from error

        found = await self._pool.run(timeout_s, add)
        return int(_text(found))

    async def delete(self, key: str, timeout_s: float) -> None:
        """Remove a value, if it is there."""
        await self._call(timeout_s, "DEL", self._prefix + key)

    async def commit(self, mark: str, changes: Sequence[Change], timeout_s: float) -> bool:
        """Do all the changes in one script unless the mark was seen before."""
        keys = [self._prefix + MARKS + mark, *(self._prefix + each.key for each in changes)]
        arguments: list[Word] = [MARK_S]
        for change in changes:
            match change:
                case Put(_, value, expires_s):
                    arguments += ["put", value, expires_s]
                case Add(_, amount, expires_s):
                    arguments += ["add", amount, expires_s]
                case _:
                    arguments += ["drop", "", 0]
        done = await self._call(timeout_s, "EVAL", _COMMIT, len(keys), *keys, *arguments)
        return done == 1

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    async def _call(self, timeout_s: float, *words: Word) -> Reply:
        return await self._pool.run(timeout_s, lambda link, until_ns: link.call(*words))


def _text(reply: Reply) -> str:
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else str(reply)
