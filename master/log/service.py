"""Read every service's stderr pipe, write the lines, remember the last warnings and errors."""

import asyncio
import json
import os
import signal
import time
from collections import deque
from typing import Final

from columba.common.admin import AdminServer, Row
from columba.common.errors import EX_USAGE, ColumbaError
from columba.common.ipc.master import ENV_LOG_FDS
from columba.common.log.level import Level
from columba.common.service import Context
from columba.master.log.lines import Record, Splitter
from columba.master.log.output import local_stamp, open_output
from columba.master.log.settings import Settings

GATHER_S: Final = 0.01  # lines of so long are written together: one wake for many
READ_SIZE: Final = 65536  # of one pipe before the next one has its turn
REMEMBERED: Final = 1000


class UnknownCommandError(ColumbaError):
    """An admin request that the log service does not know."""

    exit_code = EX_USAGE


class Log:
    """The service."""

    def __init__(self, context: Context[Settings]) -> None:
        self._context = context
        settings = context.settings
        self._output = open_output(settings.log_path, settings.syslog_facility)
        fds: dict[str, int] = json.loads(os.environ[ENV_LOG_FDS])
        self._pipes = {fd: Splitter(service) for service, fd in fds.items()}
        self._ended: set[int] = set()
        self._errors: deque[Record] = deque(maxlen=REMEMBERED)
        path = context.birth.run / "admin" / f"log.{context.birth.slot}"
        self._admin = AdminServer(path, self._ask, context.event)

    async def start(self) -> None:
        """Begin to read."""
        loop = asyncio.get_running_loop()
        for fd in self._pipes:
            os.set_blocking(fd, False)
            loop.add_reader(fd, self._gather, fd)
        loop.add_signal_handler(signal.SIGUSR1, self._reopen)
        await self._admin.start()

    def available(self) -> int:
        """Return 1: the pipes are never too many."""
        return 1

    def total(self) -> int:
        """Return 0: the log service serves for ever."""
        return 0

    def active(self) -> int:
        """Return 1: it is never idle."""
        return 1

    def note(self) -> int:
        """Return how many warnings and errors are remembered."""
        return len(self._errors)

    async def drain(self, until_ns: int) -> None:
        """Write what is in the pipes."""
        for fd, splitter in self._pipes.items():
            while self._read(fd) and time.monotonic_ns() < until_ns:
                continue
            self._write(splitter.finish(time.time()))
        self._admin.close()

    def _gather(self, fd: int) -> None:
        """Let more lines come before the pipe is read: its buffer holds what comes meanwhile."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(fd)
        loop.call_later(GATHER_S, self._read_gathered, fd)

    def _read_gathered(self, fd: int) -> None:
        self._read(fd)
        if fd not in self._ended:
            asyncio.get_running_loop().add_reader(fd, self._gather, fd)

    def _read(self, fd: int) -> bool:
        """Read once from a pipe; tell whether there was anything."""
        try:
            data = os.read(fd, READ_SIZE)
        except BlockingIOError:
            return False
        if not data:  # the master is gone, and so are all who wrote
            self._ended.add(fd)
            return False
        self._write(self._pipes[fd].feed(data, time.time()))
        return True

    def _write(self, records: list[Record]) -> None:
        if records:
            self._errors.extend(r for r in records if r.level >= Level.WARNING)
            self._output.write(records)

    def _reopen(self) -> None:
        try:
            self._output.reopen()
        except ColumbaError as error:
            self._context.event.error(str(error))

    async def _ask(self, command: str, _: dict[str, object]) -> list[Row]:
        if command != "errors":
            raise UnknownCommandError(f"unknown command: {command}")
        return [
            {
                "timestamp": local_stamp(record.at_s),
                "type": record.level.name.capitalize(),
                "prefix": record.prefix,
                "text": record.text,
            }
            for record in self._errors
        ]
