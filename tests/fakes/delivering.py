"""The tools of delivery for tests: real sockets, a resolver that is a map, short patience."""

import asyncio
import random
import time
from collections.abc import Coroutine

from columba.common.clock import SystemClock
from columba.common.dns.resolver import Resolver
from columba.common.ipc import wire
from columba.common.ipc.spool import BodySource
from columba.common.log.event import Event
from columba.common.log.level import Level
from columba.common.net.check import Check
from columba.common.net.tls import client_context
from columba.common.off_loop import OffLoop
from columba.delivery.attempt import Attempts, Tools, Ways
from columba.delivery.callout import Callouts
from columba.delivery.commitment import Commitment
from columba.delivery.connect import Families, Finder
from columba.delivery.content import Content
from columba.delivery.health import Health
from columba.delivery.job import Job
from columba.delivery.logins import Logins
from columba.delivery.pool import Limits, Pool
from columba.delivery.session import quit_all
from columba.delivery.source import Source, Sources
from columba.delivery.target import Target, TlsDemand
from columba.delivery.transcript import Shelf
from columba.delivery.window import Bounds, Windows
from tests.fakes.resolver import FakeResolver

HEADER = b"From: me@x.test\r\nSubject: hi\r\n"
BODY = b"one\r\n.two\r\n"


class Bench:
    """Attempts over a FakeResolver. `lines` is the log."""

    def __init__(
        self,
        resolver: Resolver | None = None,
        limits: Limits = Limits(300, 10, 100, 50),  # noqa: B008  # frozen
        windows: Windows | None = None,
        ca_file: str = "",
        logins: Logins | None = None,
        sources: dict[str, Source] | None = None,
        families: Families = Families.IPV6,
        endpoints_max: int = 20,
    ) -> None:
        self.lines: list[str] = []
        self.pool = Pool(limits)
        self.health = Health(30)
        self.shelf = Shelf(1 << 20)
        self.off_loop = OffLoop(2, "test")
        self._tasks: set[asyncio.Task[None]] = set()
        tools = Tools(
            Finder(
                resolver or FakeResolver(),
                frozenset({"us.test"}),
                random.Random(1),
                families,
            ),
            self.pool,
            self.health,
            windows or Windows(Bounds(10)),
            Sources(sources or {}, {"all": list(sources or {})}, "", random.Random(1).choice),
            logins or Logins(None, allows_clear=False),
            self.shelf,
            {check: client_context(check, ca_file) for check in Check},
            self.off_loop,
            Event(self._log),
            self.spawn,
        )
        ways = Ways("us.test", 2.0, 2.0, ("BURL",), endpoints_max)
        self.attempts, self.callouts = Attempts(tools, ways), Callouts(tools, ways, 25)

    def spawn(self, work: Coroutine[object, object, None], what: str) -> None:
        assert what
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        await quit_all(self.pool.close())
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=5)
        self.off_loop.close()

    def _log(self, level: Level, text: str) -> None:
        self.lines.append(f"{level.name} {text}")


def seconds(count: float) -> int:
    """Return the instant so many seconds from now."""
    return time.monotonic_ns() + int(count * 1e9)


def content(body: bytes = BODY, header: bytes = HEADER) -> Content:
    return Content(header, BodySource(len(body), body))


def recipients(*addresses: str, route: wire.Route | None = None) -> tuple[wire.Recipient, ...]:
    return tuple(
        wire.Recipient(number=str(n), address=address.encode(), route=route)
        for n, address in enumerate(addresses, 1)
    )


def host_target(
    port: int, *, lmtp: bool = False, tls: TlsDemand = "may", name: str = "127.0.0.1"
) -> Target:
    return Target("host", name, port, lmtp, tls, "", "", f"relay:{name}:{port}")


def job(
    target: Target,
    *addresses: str,
    mail: Content | None = None,
    envelope: wire.Envelope | None = None,
    within_s: float = 10.0,
    commit_s: float | None = None,
) -> Job:
    """Return a job; commit_s is when end-of-data is not allowed any more."""
    until_ns = seconds(within_s if commit_s is None else commit_s)
    return Job(
        target=target,
        recipients=recipients(*(addresses or ("kim@x.test",))),
        envelope=envelope or wire.Envelope(sender=b"me@x.test"),
        content=mail or content(),
        commitment=Commitment(SystemClock(), until_ns),
        deadline_ns=seconds(within_s),
        is_client=True,
        id="01M",
    )
