"""Keep the store in order: list again, sweep, give back leases that guard nothing.

Everything here is a repetition that may fail and is made up for by the next one.
"""

from typing import Final

from columba.common.errors import NotFoundError, StoreError
from columba.queue.document import RecordError
from columba.queue.fence import Fence
from columba.queue.settle import Settler
from columba.queue.shelf import BODY, ENV
from columba.queue.stock import Stock

ORPHAN_S: Final = 86_400.0  # an intake gives up minutes after its body, so nobody needs it then


class House:
    """The housekeeping of one process."""

    def __init__(self, stock: Stock, fence: Fence, settler: Settler) -> None:
        self._stock, self._fence, self._settler = stock, fence, settler
        self._said: dict[str, int] = {}  # how many records each owner had when a line said so

    async def gained(self, owner: str) -> None:
        """List the records of an owner that is ours now; StoreError."""
        count = await self._stock.load_owner(owner)
        if self._said.get(owner) != count:
            self._said[owner] = count
            self._stock.event.info("Listed the queue", owner=owner, records=count)

    async def turn(self) -> None:
        """List everything again, and sweep; raises StoreError."""
        self._settler.sweep()
        for owner in self._stock.owners.owners:
            count = await self._stock.keep_index(owner)
            main = self._stock.owners.main
            if not count and main is not None and owner != main.owner:
                await self._stock.owners.release(owner, is_empty=True)
                self._said.pop(owner, None)
        await self._fence.sweep()

    async def sweep_bodies(self) -> int:
        """Remove bodies that are in no record of any owner a day after they were made; return how many."""
        oldest_s = self._stock.now_s - ORPHAN_S
        old: dict[str, list[str]] = {}
        async for keys in self._stock.shelf.store.pages(BODY):
            for key in keys:
                name, made_s = _parse(key)
                if name and made_s < oldest_s:
                    old.setdefault(name, []).append(key)
        used = await self._used(set(old))
        orphans = [key for keys in old.values() for key in keys if key not in used]
        for key in orphans:
            await self._stock.shelf.store.delete(key)
        return len(orphans)

    async def _used(self, names: set[str]) -> set[str]:
        """Return the bodies that records of these names have; an unreadable record keeps all of its name."""
        used: set[str] = set()
        if not names:
            return used
        async for keys in self._stock.shelf.store.pages(ENV):
            for key in keys:
                if key.rpartition("/")[2] in names:
                    used.add(await self._body_of(key))
        return used

    async def _body_of(self, key: str) -> str:
        try:
            record = (await self._stock.shelf.load(key)).record
        except NotFoundError:
            return ""
        except RecordError as error:
            raise StoreError(f"{key}: {error}: no body is swept") from error
        return "" if record.is_tombstone else record.body_key


def _parse(key: str) -> tuple[str, float]:
    """Return a body key's record name and the time that it was made, ("", 0) when it is none of ours."""
    name, _, rest = key.removeprefix(BODY).partition("-")
    try:
        return name, float(int(rest.partition("-")[0], 16))
    except ValueError:
        return "", 0.0
