"""Many clients at the same time: each hears its own true answer, in time."""

import time

import pytest

from tests.fakes.sending import Sending
from tests.fakes.stack import Options, Stack
from tests.peers.all import Peers
from tests.peers.hop import Step

pytestmark = [pytest.mark.alone, pytest.mark.peer, pytest.mark.slow]
CLIENTS = 500
BAD_EVERY = 5


def test_500_clients_each_with_its_own_answer(peers: Peers) -> None:
    hop = peers.hop()
    for n in range(0, CLIENTS, BAD_EVERY):
        hop.always("rcpt", Step("550 5.1.1 unknown"), f"u{n}@outside.test")
    stack = peers.keep(Stack(peers.folder / "c", Options(relay=f"127.0.0.1:{hop.port}")))
    began = time.monotonic()
    sendings = [
        Sending(stack.ports["smtp"], [f"u{n}@outside.test"], f"n{n}") for n in range(CLIENTS)
    ]
    for sending in sendings:
        sending.wait(60)
    wrong = [
        (n, sending.code, sending.text)
        for n, sending in enumerate(sendings)
        if sending.code != (250 if n % BAD_EVERY else 550)
    ]
    assert not wrong, wrong[:5]
    assert max(sending.seconds for sending in sendings) <= 10.0, time.monotonic() - began
    arrived = {one.recipients[0] for one in hop.taken()}
    assert arrived == {f"u{n}@outside.test" for n in range(CLIENTS) if n % BAD_EVERY}
