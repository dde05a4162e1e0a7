"""dry_run: what would be done stands in the log, and is not done."""

import pytest

from tests.fakes.sending import Sending
from tests.fakes.stack import Options, Stack, wait_log
from tests.peers.all import Peers

pytestmark = [pytest.mark.peer, pytest.mark.slow]


def test_in_a_dry_run_nobody_gets_anything(peers: Peers) -> None:
    hop = peers.hop()
    options = Options(relay=f"127.0.0.1:{hop.port}", more="dry_run = yes\n")
    stack = peers.keep(Stack(peers.folder / "columba", options))
    both = Sending(stack.ports["smtp"], [stack.user, "to@outside.test"], "rehearsal").wait()
    assert both.code == 250
    wrong = Sending(stack.ports["smtp"], [f"nobody@{stack.user.partition('@')[2]}"], "wrong").wait()
    assert wrong.code == 550
    assert "route=maildir:" in wait_log(stack, "Would be delivered: ")
    assert f"route=relay:[127.0.0.1]:{hop.port}" in wait_log(stack, "to=to@outside.test")
    assert not stack.mails() and not hop.transactions and not stack.queue()
