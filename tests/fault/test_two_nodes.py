"""Two nodes, each with its own master and run directory, share one bucket: one dies with 1,000 mails queued."""

import contextlib
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from columba.queue.store.keyring import key_line
from tests.fakes.stack import Options, Stack, is_alive
from tests.peers.all import Peers, open_folder
from tests.peers.process import free_port, wait_until
from tests.peers.seaweed import ACCESS, SECRET, Seaweed
from tests.peers.sink import Sink, smtp_source

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.timeout(400)]
COUNT = 1000
MORE = """
queue_lease_ttl = 5 secs
queue_lease_renewal = 1 secs
queue_lease_margin = 1 secs
queue_in_doubt_time = 3 secs
queue_retry_first = 2 secs
queue_retry_max = 4 secs
queue_probe_first = 1 secs
queue_probe_max = 2 secs
queue_fresh_delay = 1 secs
queue_relist_interval = 5 secs
queue_url = {url}
queue_key_file = {keys}
"""
KEYS = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}


class Pair:
    """A bucket, a port where the next hop will be, and two nodes."""

    def __init__(self, peers: Peers) -> None:
        self.peers, self.port = peers, free_port()
        self.server = peers.keep(Seaweed(peers.folder))
        bucket = self.server.bucket
        url = f"s3://{bucket.bucket}/pair?endpoint={bucket.endpoint}"
        self.more = MORE.format(url=url, keys=key_file(peers.folder / "keys"))
        self.one, self.two = self.node("one"), self.node("two")

    def node(self, name: str) -> Stack:
        """Start a node that relays to the next hop."""
        options = Options(
            relay=f"127.0.0.1:{self.port}", more=self.more, environment=KEYS, own_users=False
        )
        return self.peers.keep(Stack(self.peers.folder / name, options))

    def sink(self) -> Sink:
        """Start the next hop."""
        return self.peers.keep(Sink(self.peers.folder, port=self.port))


def key_file(path: Path) -> Path:
    """Make the keys as an administrator does."""
    path.touch(0o600)
    path.write_text(key_line(b"k" * 32, 0.0))
    return path


@pytest.fixture
def pair() -> Iterator[Pair]:
    with open_folder() as folder, contextlib.ExitStack() as stack:
        yield Pair(Peers(folder, stack))


def test_the_other_delivers_all_and_the_one_that_returns_nothing_twice(pair: Pair) -> None:
    smtp_source(pair.one.ports["smtp"], messages=COUNT, sessions=20, size_bytes=2000)
    waiting = len(pair.one.rows("queue", "list"))
    assert waiting == COUNT, "all of them are queued, and said to be"
    dies(pair.one)
    sink = pair.sink()  # only now: what the dying one had under way reached nobody
    wait_until(lambda: sink.count() >= COUNT, "all mails at the sink", 180)
    pair.one.start()
    time.sleep(8.0)  # past the lease and a listing: time enough to do harm
    assert sink.count() == COUNT
    ids = Counter(_id(mail.headers) for mail in sink.mails())
    assert len(ids) == COUNT and max(ids.values()) == 1, "each exactly once"
    assert not pair.one.rows("queue", "list") and not pair.two.rows("queue", "list")
    assert any("Adopted a lease" in line for line in pair.two.log_lines())
    smtp_source(pair.one.ports["smtp"], messages=10)
    wait_until(lambda: sink.count() == COUNT + 10, "the one that returned works")
    assert b"columba-secret" not in pair.one.log().encode() and SECRET not in pair.one.log()
    assert SECRET not in pair.one.columbadm("config").stdout
    evacuated(pair, sink)
    taken_over(pair)


def dies(stack: Stack) -> None:
    """End a node as the loss of its power would: the master and every process at once."""
    everyone = [int(str(row["pid"])) for row in stack.processes()]
    stack.program.signal(signal.SIGKILL)
    for pid in everyone:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    stack.program.wait()
    wait_until(lambda: not any(map(is_alive, everyone)), "its end")


def evacuated(pair: Pair, sink: Sink) -> None:
    """A node gives its queue away, takes no mail into it, and comes back."""
    sink.stop()
    smtp_source(pair.one.ports["smtp"], messages=20)
    mine = {str(row["id"]) for row in pair.one.rows("queue", "list")}
    assert len(mine) == 20
    given = rows(pair.one, "cluster", "evacuate", "--yes")
    assert sum(int(str(row["in_doubt"])) for row in given) == 0
    wait_until(lambda: mine <= {str(r["id"]) for r in pair.two.queue()}, "adopted")
    assert not pair.one.rows("queue", "list")
    with pytest.raises(RuntimeError, match=r"451|450|4\d\d"):
        smtp_source(pair.one.ports["smtp"], messages=1)
    sink = pair.sink()
    wait_until(lambda: sink.count() == 20, "all that was given away", 30)
    assert any(row["process"] for row in rows(pair.one, "cluster", "return"))
    smtp_source(pair.one.ports["smtp"], messages=1)
    wait_until(lambda: sink.count() == 21, "it takes part again")


def taken_over(pair: Pair) -> None:
    """A node takes a living one's lease by order; that one finds itself displaced and begins anew."""
    ours = [row for row in pair.one.rows("cluster", "status") if row["process"]]
    owner = str(ours[0]["owner"])

    def is_known() -> bool:
        return owner in {str(row["owner"]) for row in pair.two.rows("cluster", "status")}

    wait_until(is_known, "the other has heard of the new lease")
    refused = pair.two.columbadm("cluster", "takeover", owner, check=False)
    assert refused.returncode == 64 and "may be delivered twice" in refused.stdout
    taken = rows(pair.two, "cluster", "takeover", owner, "--yes")
    assert [row["owner"] for row in taken] == [owner]

    def begun_anew() -> bool:
        held = [row["owner"] for row in pair.one.rows("cluster", "status") if row["process"]]
        return bool(held) and owner not in held

    wait_until(begun_anew, "a lease of its own again")


def rows(stack: Stack, *arguments: str) -> list[dict[str, object]]:
    """Return the rows behind the words that columbadm says before it acts."""
    text = stack.columbadm("-f", "json", *arguments).stdout
    found = json.loads(text[text.index("[{") :])
    assert isinstance(found, list)
    return found


def _id(headers: bytes) -> bytes:
    """Return the Message-ID of a mail."""
    lines = [line for line in headers.split(b"\n") if line.lower().startswith(b"message-id:")]
    return lines[0]
