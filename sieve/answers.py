"""Find the answers that a running script asks for."""

from collections.abc import Mapping

from columba.common.errors import UnavailableError
from columba.common.lookup.base import Table
from columba.sieve.run.machine import Failed, Finished, Machine, Outcome
from columba.sieve.run.requests import Answer, Found, Lookup, Missing, Unavailable


class Answers:
    """Drives machines to their end."""

    def __init__(self, tables: Mapping[str, Table], timeout_s: float) -> None:
        self._tables, self._timeout_s = tables, timeout_s

    async def finish(self, machine: Machine, found: list[str] | None = None) -> Outcome:
        """Run a machine to its end, answering what it asks; keys that tables know are added to `found`."""
        step = machine.step()
        while not isinstance(step, Finished | Failed):
            if not isinstance(step, Lookup):
                step = machine.step(Unavailable("there is no mail store to ask"))
                continue
            answer = await self._look_up(step)
            if found is not None and isinstance(answer, Found):
                found.append(step.key)
            step = machine.step(answer)
        return step

    def close(self) -> None:
        """Close the tables."""
        for table in self._tables.values():
            table.close()

    async def _look_up(self, asked: Lookup) -> Answer:
        table = self._tables.get(asked.table)
        if table is None:
            return Unavailable(f"there is no table {asked.table!r}")
        try:
            value = await table.get(asked.key, self._timeout_s)
        except UnavailableError as error:
            return Unavailable(str(error))
        return Missing() if value is None else Found(value)
