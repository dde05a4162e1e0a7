"""Send a load through a server to a sink and measure; both sides of every comparison come through here."""

import smtplib
import statistics
import time
from dataclasses import dataclass, field

from tests.peers.process import wait_until
from tests.peers.sink import Sink, smtp_source

SIZE_BYTES = 10_000
SESSIONS = 20
LIMIT_S = 300.0


@dataclass
class Series:
    """Measurements of one side, in the order in which they were taken."""

    name: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Return the median."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Return (max - min) / median: how far the runs lie apart."""
        return (max(self.values) - min(self.values)) / self.median if self.median else 0.0

    def __str__(self) -> str:
        """Return the line that is printed."""
        each = " ".join(f"{value:.4g}" for value in self.values)
        return f"{self.name}: median {self.median:.4g}, spread {self.spread:.0%} ({each})"


def messages_per_second(port: int, sink: Sink, messages: int) -> float:
    """Send messages in 20 sessions and wait until the sink has taken the last one."""
    before = sink.count()
    began = time.monotonic()
    smtp_source(
        port, messages=messages, sessions=SESSIONS, size_bytes=SIZE_BYTES, timeout_s=LIMIT_S
    )
    wait_until(lambda: sink.count() >= before + messages, "all mails at the sink", LIMIT_S)
    took_s = time.monotonic() - began
    if sink.count() != before + messages:
        raise RuntimeError(f"the sink took {sink.count() - before} of {messages} mails")
    return messages / took_s


def median_ms(port: int, messages: int) -> float:
    """Send mails one after the other on one connection; return the median time of one, in ms."""
    line = b"X" * 78 + b"\r\n"
    head = b"From: <from@sender.test>\r\nTo: <to@sink.test>\r\nSubject: bench\r\n"
    times = []
    with smtplib.SMTP("127.0.0.1", port, "client.sender.test", 60) as client:
        for number in range(messages):
            own = b"Message-ID: <%d.%d@sender.test>\r\n\r\n" % (time.monotonic_ns(), number)
            mail = head + own + line * (SIZE_BYTES // len(line))
            began = time.monotonic()
            client.sendmail("from@sender.test", ["to@sink.test"], mail)
            times.append(time.monotonic() - began)
    return statistics.median(times) * 1000
