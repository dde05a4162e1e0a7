"""Five times more mail than the next hop takes, for a minute: nothing is lost, and everybody hears in time."""

import asyncio
import time
from collections import Counter

import pytest

from tests.fakes.stack import Options, Stack
from tests.peers.all import Peers
from tests.peers.hop import Step
from tests.peers.process import wait_until

pytestmark = [pytest.mark.alone, pytest.mark.peer, pytest.mark.slow, pytest.mark.timeout(600)]
HOP_DELAY_S = 0.4
CONNECTIONS = 12  # so the hop takes 30 mails a second
RATE = 150  # mails a second offered: five times as many
SECONDS = 60
LATEST_S = 10.0
TURNS_MAX = 2  # of the load switch, a minute
MORE = f"""
service delivery {{
  client_limit = {4 * CONNECTIONS}  # of which one destination gets a quarter
  process_limit = 1
}}
queue_retry_first = 5 secs
"""
MESSAGE = (
    b"From: a@sender.test\r\nSubject: n%d\r\nMessage-ID: <n%d@sender.test>\r\n\r\nhello\r\n.\r\n"
)


class Load:
    """Sends mails at a fixed rate, whether they are answered or not."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: dict[int, int] = {}
        self.seconds: list[float] = []

    async def run(self) -> None:
        """Offer RATE mails a second."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for n in range(RATE * SECONDS):
                await asyncio.sleep(max(0.0, began + n / RATE - time.monotonic()))
                group.create_task(self.one(n))

    async def one(self, n: int) -> None:
        """Send one mail in a session of its own."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(60):
                self.answers[n] = await self.talk(n)
        except (OSError, TimeoutError, ValueError):
            self.answers[n] = 0
        self.seconds.append(time.monotonic() - began)

    async def talk(self, n: int) -> int:
        """Return the code of the answer to end of data."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            await reader.readline()
            for line in (
                b"HELO x.test",
                b"MAIL FROM:<a@sender.test>",
                b"RCPT TO:<to@outside.test>",
                b"DATA",
            ):
                writer.write(line + b"\r\n")
                code = int((await reader.readline())[:3])
                if code >= 400:
                    return code
            writer.write(MESSAGE % (n, n))
            return int((await reader.readline())[:3])
        finally:
            writer.close()


def test_five_times_too_much_for_a_minute(peers: Peers) -> None:
    hop = peers.hop()
    hop.always("dot", Step(delay_s=HOP_DELAY_S))
    stack = peers.keep(Stack(peers.folder / "c", Options(relay=f"127.0.0.1:{hop.port}", more=MORE)))
    load = Load(stack.ports["smtp"])
    asyncio.run(load.run())
    accepted = {n for n, code in load.answers.items() if code == 250}
    assert not [n for n, code in load.answers.items() if code == 0], "clients without an answer"
    assert len(accepted) > RATE * SECONDS * 0.5, Counter(load.answers.values())
    slowest = sorted(load.seconds)[int(len(load.seconds) * 0.99)]
    assert slowest <= LATEST_S
    turns = [line for line in stack.log_lines() if "Load switch:" in line]
    assert len(turns) <= TURNS_MAX * -(-SECONDS // 60), turns
    hop.plain()
    wait_until(lambda: len(hop.taken()) >= len(accepted), "the backlog drains", 180)
    stack.wait_queue(0, 60)
    got = [subject(one.message) for one in hop.taken()]
    assert set(got) == accepted
    assert len(got) == len(accepted), "nothing twice"


def subject(message: bytes) -> int:
    """Return the number in the Subject field."""
    return int(message.partition(b"Subject: n")[2].partition(b"\r")[0])
