"""Whole servers that keep one queue together: cut off from each other, each mail arrives once all the same."""

import contextlib
import smtplib
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zmq
from zmq.utils import z85

from tests.fakes.replicas import free_ports
from tests.fakes.stack import Options, Stack
from tests.peers.all import Peers, open_folder
from tests.peers.hop import Hop, Step
from tests.peers.link import Link
from tests.peers.process import wait_until

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.timeout(400)]
NAMES = ("a", "b", "c")
LEASE = """queue_lease_ttl = 6 secs
queue_lease_renewal = 1 secs
queue_lease_margin = 2 secs
queue_store_timeout = 3 secs
queue_fresh_delay = 1 secs
queue_probe_first = 1 secs
queue_probe_max = 1 secs
"""


class Cluster:
    """Machines a, b, c; between each two a link in each direction. The last may be a witness."""

    def __init__(self, folder: Path, hop: Hop, witness: bool) -> None:
        self.keys = {name: zmq.curve_keypair() for name in NAMES}
        self.ports = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
        self.links = {
            (one, other): Link(self.ports[other])
            for one in NAMES
            for other in NAMES
            if one != other
        }
        self._witness = "c" if witness else ""
        self._pool = ThreadPoolExecutor(len(NAMES))  # a server ends with the thread that began it
        begun = {name: self._pool.submit(self._start, folder / name, name, hop) for name in NAMES}
        self.stacks: dict[str, Stack] = {}
        try:
            for name, stack in begun.items():
                self.stacks[name] = stack.result(120)
        except BaseException:
            self.close()
            raise

    def cut(self, name: str, *others: str) -> None:
        """Cut a machine off from others."""
        for (one, other), link in self.links.items():
            if name in (one, other) and (one in others or other in others):
                link.cut()

    def mend(self) -> None:
        """Mend all links."""
        for link in self.links.values():
            link.mend()

    def close(self) -> None:
        """End all."""
        list(self._pool.map(Stack.stop, self.stacks.values()))
        self._pool.shutdown()
        for link in self.links.values():
            link.close()

    def _start(self, folder: Path, name: str, hop: Hop) -> Stack:
        folder.mkdir()
        secret = folder / "secret"
        secret.write_bytes(self.keys[name][1])
        secret.chmod(0o640)
        more = LEASE + f"queue_url = replica:{folder}/replica\nreplica_name = {name}\n"
        more += f"replica_secret_key_file = {secret}\n"
        for each in NAMES:
            port = self.ports[each] if each == name else self.links[name, each].port
            witness = "yes" if each == self._witness else "no"
            more += f"replica_member {each} {{\n  address = 127.0.0.1:{port}\n"
            more += f"  public_key = {z85.decode(self.keys[each][0]).hex()}\n  witness = {witness}\n}}\n"
        options = Options(relay=f"127.0.0.1:{hop.port}", more=more, own_users=False)
        return Stack(folder / "columba", options)


@pytest.fixture
def hop(peers: Peers) -> Hop:
    return peers.hop()


@pytest.fixture
def cluster(hop: Hop, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with open_folder() as folder, contextlib.ExitStack() as stack:
        made = Cluster(folder, hop, getattr(request, "param", False))
        stack.callback(made.close)
        yield made


def submit(stack: Stack, count: int, first: int = 0) -> list[int]:
    """Send mails over one connection; return the codes of their answers."""
    with smtplib.SMTP("127.0.0.1", stack.ports["smtp"], timeout=60) as client:
        client.ehlo()
        return [send(client, number) for number in range(first, first + count)]


def send(client: smtplib.SMTP, number: int) -> int:
    assert client.mail("me@sender.test")[0] == 250
    wait_until(  # a server that just began may not know its own filter yet
        lambda: client.rcpt(f"r{number}@outside.test")[0] == 250, "a recipient is taken"
    )
    message = f"From: me@sender.test\r\nSubject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\nhi\r\n"
    return client.data(message)[0]


def arrived(hop: Hop) -> Counter[str]:
    """Return how often each recipient's mail was taken."""
    return Counter(recipient for each in hop.taken() for recipient in each.recipients)


def queued(*stacks: Stack) -> int:
    """Return how many mails servers hold; asked seldom, as each of a thousand is read for the answer."""
    time.sleep(0.5)
    return sum(len(each.queue()) for each in stacks)


def once_each(count: int) -> Counter[str]:
    return Counter(f"r{number}@outside.test" for number in range(count))


def flushed_until_taken(hop: Hop, stacks: list[Stack], count: int, timeout_s: float) -> None:
    """Have servers try what they have until so many mails were taken."""
    end_s = time.monotonic() + timeout_s
    while len(hop.taken()) < count:
        assert time.monotonic() < end_s, f"{len(hop.taken())} of {count} arrived"
        for stack in stacks:
            with contextlib.suppress(subprocess.TimeoutExpired):
                stack.columbadm("queue", "flush", check=False)
        time.sleep(1)


def test_one_of_three_is_cut_off_with_a_thousand_queued(cluster: Cluster, hop: Hop) -> None:
    hop.always("rcpt", Step("450 4.2.0 later"))
    senders, count = 8, 1000
    with ThreadPoolExecutor(senders) as pool:
        each = count // senders
        codes = pool.map(
            lambda n: submit(cluster.stacks["a"], each, n * each), range(senders), timeout=120
        )
        assert Counter(code for some in codes for code in some) == {250: count}
    cluster.cut("a", "b", "c")
    others = [cluster.stacks["b"], cluster.stacks["c"]]
    wait_until(lambda: queued(*others) == count, "the adoption of all", 60)
    hop.plain()
    flushed_until_taken(hop, [*others, cluster.stacks["a"]], count, 150)
    cluster.mend()
    wait_until(lambda: not queued(*others), "the end of all", 30)
    flushed_until_taken(hop, [cluster.stacks["a"]], count, 10)
    time.sleep(8)  # a has a lease again, and could try what it once had
    cluster.stacks["a"].columbadm("queue", "flush", check=False)
    time.sleep(2)
    assert arrived(hop) == once_each(count)


@pytest.mark.parametrize("cluster", [True], indirect=True)
def test_the_side_without_the_witness_stops(cluster: Cluster, hop: Hop) -> None:
    hop.always("rcpt", Step("450 4.2.0 later"))
    a, b = cluster.stacks["a"], cluster.stacks["b"]
    assert submit(b, 20) == [250] * 20
    cluster.cut("b", "a", "c")
    wait_until(lambda: queued(a) == 20, "the adoption of b's mails", 60)
    assert submit(b, 1, 100) == [450], "b can store nothing: the client keeps its mail"
    hop.plain()
    flushed_until_taken(hop, [b, a], 20, 60)
    cluster.mend()
    wait_until(lambda: not queued(a), "the end of all", 30)
    time.sleep(8)
    b.columbadm("queue", "flush", check=False)
    time.sleep(2)
    assert arrived(hop) == once_each(20)
    assert submit(b, 1, 100) == [250]
