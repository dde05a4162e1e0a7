"""What an administrator may ask and order about leases: who owns what, give a node's queue away, force a takeover.

Each order is for this process. Away means: no mail is taken, no try is begun, no lease is taken or kept, until told to
come back or to start anew. Tries that are under way are waited for, so that nothing of them is left in doubt.
"""

from collections import Counter
from typing import Final

from columba.common.admin import Row
from columba.common.errors import RefusedError
from columba.queue.lease import Sighting
from columba.queue.owner import Owners
from columba.queue.runs import Runs
from columba.queue.shelf import owner_of
from columba.queue.stock import Stock

PREFIX: Final = "cluster-"
_LANDING_S: Final = 45.0


class Cluster:
    """Answers the admin socket's requests that begin with "cluster-"."""

    def __init__(self, stock: Stock, owners: Owners, runs: Runs, name: str) -> None:
        self._stock, self._owners, self._runs, self._name = stock, owners, runs, name

    async def ask(self, command: str, request: dict[str, object]) -> list[Row]:
        """Return the rows of an answer; RefusedError, NotFoundError, StoreError."""
        match command.removeprefix(PREFIX):
            case "status":
                return self._status()
            case "leave":
                self._owners.is_away = True
                return []
            case "evacuate":
                return await self._evacuate()
            case "return":
                return await self._return()
            case "takeover":
                owner = str(request.get("owner", ""))
                await self._owners.take_over(owner)
                return self._status(owner)
            case _:
                raise RefusedError(f"the queue knows no command {command!r}")

    def _status(self, wanted: str = "") -> list[Row]:
        counts = Counter(owner_of(key) for key in self._stock.schedule)
        rows = [self._own(owner, counts[owner]) for owner in self._owners.owners]
        rows += [self._others(owner, seen) for owner, seen in self._owners.seen.items()]
        return [row for row in rows if wanted in {"", row["owner"]}]

    def _own(self, owner: str, count: int) -> Row:
        holding = self._owners.get(owner)
        held = holding is not None and self._owners.is_held(holding)
        return {
            "owner": owner,
            "state": "held" if held else "late",
            "holder": self._owners.node_name,
            "process": self._name,
            "epoch": holding.lease.epoch if holding else None,
            "age": round(self._owners.age_s(owner), 1),
            "records": count,
        }

    def _others(self, owner: str, seen: Sighting) -> Row:
        lease = seen.lease
        state = "held" if lease.holder else "empty" if lease.empty else "free"
        if lease.holder and self._owners.is_stale(seen):
            state = "stale"
        return {
            "owner": owner,
            "state": state,
            "holder": lease.holder,
            "process": "",
            "epoch": lease.epoch,
            "age": round(self._owners.age_s(owner), 1),
            "records": None,
        }

    async def _evacuate(self) -> list[Row]:
        """Let tries land, then give every lease away for whoever wants it at once."""
        self._owners.is_away = True
        self._runs.is_paused = True
        await self._runs.landed(_LANDING_S)
        rows: list[Row] = []
        schedule = self._stock.schedule
        flying = Counter(owner_of(key) for key in schedule if schedule.is_flying(key))
        for owner in self._owners.owners:
            count = await self._stock.load_owner(owner)
            await self._owners.release(owner, is_empty=not count, is_offered=True)
            rows.append({"owner": owner, "records": count, "in_doubt": flying[owner]})
        return rows

    async def _return(self) -> list[Row]:
        self._owners.is_away = False
        self._runs.is_paused = False
        self._stock.wake.set()
        await self._owners.turn()
        return self._status()
