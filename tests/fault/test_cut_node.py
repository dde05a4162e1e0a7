"""Two nodes in network namespaces of their own share one bucket: one of them loses the way to it, and nothing else."""

import contextlib
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.fakes.sending import Sending
from tests.fakes.stack import Options, Stack
from tests.fault.test_two_nodes import KEYS, key_file
from tests.peers.all import Peers, open_folder
from tests.peers.hop import Hop, Step, Transaction
from tests.peers.netns import Network, Wire
from tests.peers.process import wait_until
from tests.peers.seaweed import Seaweed
from tests.peers.sink import smtp_source

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.timeout(180)]
STORE, MAIL = "10.99.0.1", "10.98.0.1"  # of the hub, each reached over a wire of its own
COUNT, TTL_S, MARGIN_S = 40, 4.0, 1.0
MANY, SLOW, LATER = "to@sink.test", "slow@outside.test", "later@outside.test"
MORE = f"""
queue_lease_ttl = {TTL_S:.0f} secs
queue_lease_renewal = 1 secs
queue_lease_margin = {MARGIN_S:.0f} secs
queue_in_doubt_time = 20 secs
queue_retry_first = 2 secs
queue_retry_max = 2 secs
queue_probe_first = 1 secs
queue_probe_max = 1 secs
queue_fresh_delay = 1 secs
queue_relist_interval = 3 secs
queue_store_timeout = 2 secs
queue_destination_limit = 5
"""


class Node:
    """A Columba in a namespace: one wire to the store, one to the next hop."""

    def __init__(self, peers: Peers, number: int, hub: Network, hop: Hop, more: str) -> None:
        self.net = Network()
        self.to_store = Wire(f"store{number}", hub, self.net, f"10.99.{number}.0/30", STORE)
        self.to_mail = Wire(f"mail{number}", hub, self.net, f"10.98.{number}.0/30", MAIL)
        options = Options(relay=f"{MAIL}:{hop.port}", more=more, environment=KEYS, own_users=False)
        with self.net.entered():
            self.stack = peers.keep(Stack(peers.folder / f"node{number}", options))

    @property
    def address(self) -> str:
        """Return where the next hop sees it."""
        return self.to_mail.node_address

    def load(self, count: int) -> None:
        """Send mails to it."""
        with self.net.entered():
            smtp_source(self.stack.ports["smtp"], messages=count, sessions=5, size_bytes=1000)

    def send(self, recipient: str, subject: str) -> Sending:
        """Begin to send one mail to it."""
        with self.net.entered():
            sender = f"{subject}@sender.test"
            return Sending(self.stack.ports["smtp"], [recipient], subject, sender=sender)


class Pair:
    """A store and a next hop in a hub, and two nodes."""

    def __init__(self, peers: Peers, hub: Network) -> None:
        hub.serve(STORE)
        hub.serve(MAIL)
        self.hop = peers.hop(host=MAIL)
        self.hop.always("mail", Step("450 4.3.0 later"))
        server = peers.keep(Seaweed(peers.folder, STORE))
        bucket = server.bucket
        more = f"queue_url = s3://{bucket.bucket}/cut?endpoint={bucket.endpoint}\n"
        more += f"queue_key_file = {key_file(peers.folder / 'keys')}\n{MORE}"
        self.one, self.two = (Node(peers, number, hub, self.hop, more) for number in (1, 2))

    def taken(self) -> Counter[str]:
        """Return how often the hop took each mail."""
        return Counter(_id(each) for each in self.hop.taken())

    def taken_by(self, node: Node) -> list[Transaction]:
        """Return what a node has delivered."""
        return [each for each in self.hop.taken() if each.client == node.address]

    def story(self, cut_s: float) -> list[str]:
        """Return who had what taken when, of the mails that were taken more than once."""
        count = self.taken()
        twice = [each for each in self.hop.taken() if count[_id(each)] > 1]
        return [f"{_id(t)} by {t.client} at {t.dot_s - cut_s:.1f}" for t in twice]


@pytest.fixture
def pair() -> Iterator[Pair]:
    hub = Network()
    with hub.entered(), open_folder() as folder, contextlib.ExitStack() as stack:
        stack.callback(hub.close)
        yield Pair(Peers(folder, stack), hub)


def test_a_node_that_is_cut_off_the_store_stops_and_doubles_nothing(pair: Pair) -> None:
    one, two, hop = pair.one, pair.two, pair.hop
    one.load(COUNT)
    for subject in ("slow", "doubt"):
        assert one.send(f"{subject}@outside.test", subject).wait().code == 250
    held, answer = threading.Event(), threading.Event()
    hop.transactions.clear()
    hop.always("rcpt", Step("450 4.3.0 later"), MANY)
    hop.always("rcpt", Step("450 4.3.0 later"), LATER)
    hop.once("rcpt", Step(gate=held), SLOW)
    hop.once("dot", Step(gate=answer))
    hop.always("mail", Step())
    one.stack.columbadm("queue", "flush")
    hop.wait_dots(1)
    wait_until(lambda: {"slow", "doubt"} <= _senders(hop), "it delivers two")
    one.to_store.cut()
    cut_s = time.monotonic()
    hop.always("rcpt", Step(), MANY)
    answer.set()
    now, later = one.send("now@outside.test", "now"), one.send(LATER, "later")
    time.sleep(TTL_S)
    held.set()
    wait_until(lambda: len(pair.taken()) >= COUNT + 2, "the other node delivers", 60)
    one.to_store.mend()
    assert now.wait().code == 250, "what can be delivered at once is"
    assert later.wait().code in {450, 451}, "and else the client keeps it"
    wait_until(lambda: len(pair.taken()) == COUNT + 3, "the one that was held back", 60)
    late = [each for each in pair.taken_by(one) if each.dot_s > cut_s + TTL_S - MARGIN_S]
    assert {each.recipients[0] for each in late} <= {"now@outside.test"}, "nothing past its lease"
    assert len(pair.taken_by(two)) > COUNT // 2
    wait_until(lambda: not two.stack.queue() and not one.stack.queue(), "the end of doubts", 60)
    wait_until(
        lambda: one.send("again@outside.test", "again").wait().code == 250, "it takes part", 60
    )
    assert len(pair.taken()) == COUNT + 4
    assert set(pair.taken().values()) == {1}, pair.story(cut_s)


def _senders(hop: Hop) -> set[str]:
    """Return who sends what the hop was told of."""
    return {each.sender.partition("@")[0] for each in hop.transactions}


def _id(transaction: Transaction) -> str:
    found = re.search(rb"(?im)^message-id: *(\S+)", transaction.message)
    assert found, transaction.message
    return found[1].decode()
