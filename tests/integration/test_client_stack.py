"""The whole server with a next hop: what was said there, how much memory a large mail takes, whose words are told."""

import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.sending import Sending
from tests.fakes.stack import Options, Stack, id_of
from tests.peers.all import Peers, open_folder
from tests.peers.process import wait_until
from tests.peers.sink import Sink

pytestmark = [pytest.mark.peer, pytest.mark.slow]
SERVICES = ("smtpd", "sieve", "dkim", "delivery", "queue")
MAIL_MB = 45
MEMORY_KB = 12 * 1024  # that a process may take more of, at its highest, for a mail of 45 MB


@pytest.fixture(scope="module")
def hop() -> Iterator[Sink]:
    with open_folder() as folder:
        sink = Sink(folder, dump=False)
        yield sink
        sink.stop()


@pytest.fixture(scope="module")
def stack(hop: Sink) -> Iterator[Stack]:
    with open_folder() as folder:
        made = Stack(folder / "columba", Options(relay=f"127.0.0.1:{hop.port}"))
        yield made
        made.stop()


def test_trace_shows_what_was_said_to_the_next_hop(stack: Stack) -> None:
    sent = Sending(stack.ports["smtp"], ["kim@outside.test"], "traced").wait()
    assert sent.code == 250
    rows = stack.rows("trace", id_of(sent.text))
    lines = [str(row["text"]) for row in rows]
    for words in (
        " S: 220 ",
        " C: EHLO ",
        " C: MAIL FROM:<me@sender.test>",
        " C: RCPT TO:<kim@outside.test>",
        " S: 354 ",
        " S: 250 2.0.0 Ok",
    ):
        assert any(words in line for line in lines), words
    said = next(n for n, line in enumerate(lines) if " C: MAIL FROM" in line)
    assert said < next(n for n, line in enumerate(lines) if line.startswith("Delivered"))
    assert not any("Subject" in line for line in lines)
    times = [int(str(row["ms"])) for row in rows]
    assert times == sorted(times) and times[-1] < 20_000
    for row in stack.rows("smtp", "destinations"):  # an idle one is soon forgotten
        assert str(row["destination"]).startswith("relay:[127.0.0.1]:") and row["active"] == 0


def figure(pid: int, name: str) -> int:
    """Return a figure of /proc/PID/status in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise AssertionError(f"no {name} of {pid}")


def highest_during(stack: Stack, send: "Send") -> dict[str, int]:
    """Return by how many KiB each process grew, at its highest, while a mail was sent."""
    rows = stack.processes()
    pids = {int(str(r["pid"])): str(r["service"]) for r in rows if r["service"] in SERVICES}
    before = {pid: figure(pid, "VmRSS") for pid in pids}
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the high-water mark begins anew
    send()
    return {f"{name} {pid}": figure(pid, "VmHWM") - before[pid] for pid, name in pids.items()}


class Send:
    """Sends one large mail by the submission of a trusted client."""

    def __init__(self, port: int, code: int) -> None:
        self._port, self._code = port, code

    def __call__(self) -> None:
        line = b"y" * 76 + b"\r\n"
        text = b"From: me@sender.test\r\nMessage-ID: <large@sender.test>\r\nSubject: large\r\n\r\n"
        text += line * (MAIL_MB * 1024 * 1024 // len(line))
        with smtplib.SMTP("127.0.0.1", self._port, timeout=120) as client:
            client.ehlo("client.test")
            client.mail("me@sender.test")
            client.rcpt("kim@outside.test")
            assert client.data(text)[0] == self._code


def test_a_large_mail_needs_little_memory_in_any_process(stack: Stack, hop: Sink) -> None:
    Sending(stack.ports["smtp"], ["kim@outside.test"], "warm").wait()
    before = hop.count()
    grown = highest_during(stack, Send(stack.ports["smtp"], 250))
    assert hop.count() == before + 1
    assert {name: kb for name, kb in grown.items() if kb > MEMORY_KB} == {}
    assert any(name.startswith("delivery") and kb > 0 for name, kb in grown.items())


def test_a_large_mail_goes_through_the_queue_with_little_memory(
    stack: Stack, hop: Sink, peers: Peers
) -> None:
    hop.stop()
    grown = highest_during(stack, Send(stack.ports["smtp"], 250))
    assert {name: kb for name, kb in grown.items() if kb > MEMORY_KB} == {}
    stack.wait_queue(1)
    again = peers.sink(port=hop.port, dump=False)

    def flush() -> None:
        stack.columbadm("queue", "flush")
        wait_until(lambda: again.count() == 1, "the mail from the queue", 60)

    class Flush(Send):
        def __call__(self) -> None:
            flush()

    grown = highest_during(stack, Flush(0, 0))
    assert {name: kb for name, kb in grown.items() if kb > MEMORY_KB} == {}
    stack.wait_queue(0)
