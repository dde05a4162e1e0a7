"""Processes of the chain killed or stopped while a mail is on its way: nothing is lost, nothing doubled.

The next hop is scripted: it waits at a stage until the test has done its harm. `takeover_delay` and the
retry times are short, so that what was taken over arrives within the test.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from tests.fakes.sending import Sending
from tests.fakes.stack import Options, Stack
from tests.peers.all import Peers, open_folder
from tests.peers.hop import Hop, Step
from tests.peers.process import wait_until

pytestmark = [pytest.mark.peer, pytest.mark.slow]
OUTSIDE = "to@outside.test"
MORE = """
takeover_delay = 2 secs
in_doubt_delay = 6 secs
queue_in_doubt_time = 6 secs
hang_limit = 6 secs
queue_retry_first = 1 secs
queue_retry_max = 2 secs
queue_fresh_delay = 1 secs
"""


class Place:
    """A hop and a Columba that relays to it, used by all tests of this file."""

    def __init__(self, peers: Peers) -> None:
        self.hop: Hop = peers.hop()
        route = f'require "vnd.columba.route";\nroute :relay "[127.0.0.1]" :port {self.hop.port};\n'
        self.trusted = peers.keep(
            Stack(peers.folder / "t", Options(relay=f"127.0.0.1:{self.hop.port}", more=MORE))
        )
        self.open = peers.keep(
            Stack(peers.folder / "u", Options(trusted="", scripts={"route": route}, more=MORE))
        )

    def begin(self) -> None:
        """Forget what earlier tests scripted and saw."""
        self.hop.plain()
        self.hop.transactions.clear()
        wait_until(
            lambda: self.trusted.is_ready() and self.open.is_ready(), "every service is there", 40
        )


@pytest.fixture(scope="module")
def shared() -> Iterator[Place]:
    with open_folder() as folder, contextlib.ExitStack() as stack:
        yield Place(Peers(folder, stack))


@pytest.fixture
def place(shared: Place) -> Place:
    shared.begin()
    return shared


def copies(place: Place, subject: str) -> int:
    """Return how often the hop took this mail."""
    return sum(f"Subject: {subject}\r".encode() in one.message for one in place.hop.taken())


def settle(place: Place, stack: Stack, subject: str) -> int:
    """Wait until the mail has arrived and nothing is queued; then a little more; return the copies."""
    wait_until(lambda: copies(place, subject) >= 1, f"{subject} arrives", 40)
    stack.wait_queue(0, 40)
    time.sleep(1.5)
    return copies(place, subject)


def lose(
    place: Place, stack: Stack, recipient: str, stage: str, victim: str, harm: signal.Signals
) -> tuple[str, Sending]:
    """Harm the victim while the hop waits at a stage, let the hop go on; return the mail's subject and its sending."""
    gate = threading.Event()
    place.hop.once(stage, Step(gate=gate))
    subject = f"{stage}-{victim}-{harm.name}"
    sending = Sending(stack.ports["smtp"], [recipient], subject)
    if stage == "dot":
        place.hop.wait_dots(1)
    else:
        wait_until(lambda: len(place.hop.transactions) == 1, "the hop sees MAIL")
        time.sleep(0.2)
    stack.kill(victim, harm)
    time.sleep(0.3)
    gate.set()
    return subject, sending.wait()


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize(
    ("stage", "victim", "most"),
    [
        ("rcpt", "dkim", 1),
        ("rcpt", "delivery", 1),
        ("rcpt", "sieve", 1),
        ("dot", "dkim", 1),
        ("dot", "sieve", 1),
        ("dot", "delivery", 2),  # it alone knew what the hop had said
    ],
)
def test_a_victim_costs_a_trusted_client_nothing(
    place: Place, stage: str, victim: str, most: int, harm: signal.Signals
) -> None:
    subject, sending = lose(place, place.trusted, OUTSIDE, stage, victim, harm)
    assert sending.code == 250, sending.text
    assert 1 <= settle(place, place.trusted, subject) <= most


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
def test_sieve_lost_for_a_stranger_is_451_and_the_retry_arrives_once(
    place: Place, harm: signal.Signals
) -> None:
    subject, sending = lose(place, place.open, place.open.user, "dot", "sieve", harm)
    assert sending.code == 451, sending.text
    wait_until(lambda: copies(place, subject) == 1, "the hop took the first try")
    time.sleep(1.0)
    retry = again(place.open, subject)
    assert retry.code == 250, retry.text
    assert copies(place, subject) == 1
    assert place.open.queue() == []


def again(stack: Stack, subject: str) -> Sending:
    """Send as a client does that was told 4xx: until it hears something else, 20 s at most."""
    end = time.monotonic() + 20
    while True:
        sending = Sending(stack.ports["smtp"], [stack.user], subject).wait()
        if (sending.code // 100 != 4 and sending.code) or time.monotonic() > end:
            return sending
        time.sleep(0.5)


@pytest.mark.parametrize("victim", ["smtpd", "sieve", "dkim", "delivery"])
def test_a_victim_between_the_hops_250_and_ours(place: Place, victim: str) -> None:
    gate = threading.Event()
    place.hop.once("dot", Step(gate=gate))
    subject = f"between-{victim}"
    sending = Sending(place.trusted.ports["smtp"], [OUTSIDE], subject)
    place.hop.wait_dots(1)
    stopped = place.trusted.kill(victim, signal.SIGSTOP)
    gate.set()
    wait_until(lambda: copies(place, subject) == 1, "the hop's 250")
    time.sleep(0.2)
    for pid in stopped:
        os.kill(pid, signal.SIGKILL)
    sending.wait()
    if victim == "smtpd":
        assert sending.code == 0
        wait_until(place.trusted.is_ready, "smtpd is back", 20)
        time.sleep(0.5)
        retry = Sending(place.trusted.ports["smtp"], [OUTSIDE], subject).wait()
        assert retry.code == 250, retry.text
    else:
        assert sending.code == 250, sending.text
    most = 2 if victim == "delivery" else 1
    assert 1 <= settle(place, place.trusted, subject) <= most


def test_the_master_killed_leaves_no_child_and_the_queue_whole(place: Place) -> None:
    place.hop.always("mail", Step("450 4.3.0 later"))
    subject = "master"
    sending = Sending(place.trusted.ports["smtp"], [OUTSIDE], subject).wait()
    assert sending.code == 250, sending.text
    place.trusted.wait_queue(1)
    place.trusted.kill_master()
    place.hop.plain()
    place.trusted.start()
    assert settle(place, place.trusted, subject) == 1
