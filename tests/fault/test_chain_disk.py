"""A queue that can't store: the client hears 4xx and keeps the mail."""

import os
import subprocess

import pytest

from tests.fakes.sending import Sending
from tests.fakes.stack import Options, Stack
from tests.peers.all import Peers
from tests.peers.hop import Step
from tests.peers.process import lacking

pytestmark = [pytest.mark.peer, pytest.mark.slow]
OUTSIDE = "to@outside.test"


@pytest.mark.parametrize("state", ["ro", "full"])
def test_a_store_that_can_not_write_means_4xx(peers: Peers, state: str) -> None:
    if os.geteuid() != 0:
        lacking("only root can mount")
    store = peers.folder / "store"
    store.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0777", "tmpfs", str(store)]
    subprocess.run(mount, check=True, timeout=10)
    try:
        hop = peers.hop()
        hop.always("mail", Step("450 4.3.0 later"))
        more = f"queue_url = file:{store}/queue\n"
        stack = peers.keep(
            Stack(peers.folder / "c", Options(relay=f"127.0.0.1:{hop.port}", more=more))
        )
        assert Sending(stack.ports["smtp"], [OUTSIDE], "fine").wait().code == 250
        stack.wait_queue(1)
        spoil(store, state)
        sending = Sending(stack.ports["smtp"], [OUTSIDE], "spoilt", body="x" * 14000).wait()
        assert sending.code // 100 == 4, sending.text
        stack.program.stop()
    finally:
        subprocess.run(["umount", "-l", str(store)], check=False, timeout=10)


def spoil(store: os.PathLike[str], state: str) -> None:
    """Make the store unwritable."""
    if state == "ro":
        subprocess.run(["mount", "-o", "remount,ro", str(store)], check=True, timeout=10)
        return
    file = os.open(os.path.join(store, "filler"), os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(file, b"x" * 4096)
    except OSError:
        os.close(file)
