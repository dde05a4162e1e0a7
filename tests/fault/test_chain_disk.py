"""A queue that can't store: the client hears 4xx and keeps the mail, and all goes on when there is room again."""

import pytest

from tests.fakes.replicas import Replicas
from tests.fakes.sending import Sending
from tests.fakes.stack import Options, Stack
from tests.peers.all import Peers
from tests.peers.disk import Disk
from tests.peers.hop import Hop, Step
from tests.peers.process import wait_until
from tests.peers.seaweed import Seaweed

pytestmark = [pytest.mark.peer, pytest.mark.slow]
OUTSIDE = "to@outside.test"
MORE = """queue_store_timeout = 3 secs
queue_fresh_delay = 1 secs
queue_lease_ttl = 20 secs
"""
LARGE = "x" * 78 + "\r\n"


@pytest.fixture
def hop(peers: Peers) -> Hop:
    hop = peers.hop()
    hop.always("mail", Step("450 4.3.0 later"))
    return hop


def start(peers: Peers, hop: Hop, url: str, more: str = "") -> Stack:
    options = Options(
        relay=f"127.0.0.1:{hop.port}", more=f"queue_url = {url}\n{MORE}{more}", own_users=False
    )
    return peers.keep(Stack(peers.folder / "c", options))


def send(stack: Stack, subject: str) -> int:
    """Send a mail whose body is an object of its own; return the code of the answer."""
    body = LARGE * 1200
    return Sending(stack.ports["smtp"], [OUTSIDE], subject, body=body).wait().code


def stored(stack: Stack, subject: str) -> None:
    """Wait until a mail is stored: a server that just began, or has room again, may need a moment."""
    wait_until(lambda: send(stack, subject) == 250, f"{subject} is stored", 60)


def goes_on(stack: Stack, hop: Hop, *before: str) -> None:
    """Wait until it stores again by itself; have all be delivered, each once."""
    stored(stack, "again")
    hop.plain()
    stack.columbadm("queue", "flush")
    stack.wait_queue(0, 60)
    subjects = sorted(t.message.partition(b"Subject: ")[2].split()[0] for t in hop.taken())
    assert subjects == sorted(each.encode() for each in (*before, "again"))


def test_a_store_that_is_read_only_means_4xx(peers: Peers, hop: Hop) -> None:
    disk = peers.keep(Disk(peers.folder / "store", "2m"))
    stack = start(peers, hop, f"file:{disk.folder}/queue")
    stored(stack, "fine")
    disk.freeze()
    assert send(stack, "spoilt") // 100 == 4
    stack.program.stop()


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_a_full_store_means_4xx_and_goes_on_when_there_is_room(
    peers: Peers, hop: Hop, kind: str
) -> None:
    url = f"file:{peers.folder}/seaweed/queue"
    disk = peers.keep(Disk(peers.folder / "seaweed", "40m" if kind == "s3" else "2m"))
    if kind == "s3":
        url = peers.keep(Seaweed(peers.folder)).bucket.url()
    stack = start(peers, hop, url)
    stored(stack, "fine")
    disk.fill()
    assert send(stack, "spoilt") // 100 == 4
    assert len(stack.queue()) == 1, "what is there is still seen"
    disk.free()
    goes_on(stack, hop, "fine")


def test_one_full_disk_of_three_is_borne_and_two_mean_4xx(peers: Peers, hop: Hop) -> None:
    disks = [peers.keep(Disk(peers.folder / name, "3m")) for name in ("m0", "m1")]
    replicas = Replicas(peers.folder)
    try:
        replicas.stop("m0")
        stack = start(
            peers, hop, f"replica:{peers.folder}/m0", replicas.settings("m0", peers.folder)
        )
        stored(stack, "fine")
        disks[0].fill()
        assert send(stack, "borne") == 250, "two of three have it"
        disks[1].fill()
        assert send(stack, "spoilt") // 100 == 4
        disks[1].free()
        goes_on(stack, hop, "fine", "borne")
    finally:
        replicas.close()
