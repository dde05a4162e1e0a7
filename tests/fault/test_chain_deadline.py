"""Hops that answer late: the client hears something in time, and exactly one copy, or one report, is made."""

import contextlib
import re
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
DEADLINE_S = 18.0  # of the client; delivery's own is ten seconds earlier
MORE = f"""
reply_deadline = {DEADLINE_S:.0f} secs
in_doubt_delay = 10 secs
queue_in_doubt_time = 10 secs
takeover_delay = 2 secs
queue_retry_first = 1 secs
queue_retry_max = 2 secs
queue_fresh_delay = 1 secs
"""


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Stack, Stack, Hop]]:
    with open_folder() as folder, contextlib.ExitStack() as stack:
        peers = Peers(folder, stack)
        hop = peers.hop()
        route = f'require "vnd.columba.route";\nroute :relay "[127.0.0.1]" :port {hop.port};\n'
        trusted = Options(relay=f"127.0.0.1:{hop.port}", more=MORE)
        strangers = Options(trusted="", scripts={"route": route}, more=MORE)
        yield (
            peers.keep(Stack(folder / "t", trusted)),
            peers.keep(Stack(folder / "u", strangers)),
            hop,
        )


def taken(hop: Hop, subject: str) -> int:
    return sum(f"Subject: {subject}\r".encode() in one.message for one in hop.taken())


def bounces(hop: Hop, subject: str) -> int:
    pattern = re.compile(rb"^Subject: " + subject.encode(), re.M)
    return sum(one.sender == "" and bool(pattern.search(one.message)) for one in hop.taken())


@pytest.mark.parametrize("reply", ["250 2.0.0 at last", "550 5.7.1 no after all"])
def test_an_answer_one_second_after_the_deadline(
    place: tuple[Stack, Stack, Hop], reply: str
) -> None:
    stack, _, hop = place
    hop.plain()
    hop.once("dot", Step(reply, delay_s=DEADLINE_S - 10 + 1))
    subject = f"late-{reply[:3]}"
    sending = Sending(stack.ports["smtp"], [OUTSIDE], subject).wait(DEADLINE_S + 5)
    assert sending.code == 250, sending.text
    assert "Queued" in sending.text
    assert sending.seconds < DEADLINE_S
    stack.wait_queue(0, 40)
    time.sleep(2)
    if reply.startswith("2"):
        assert (taken(hop, subject), bounces(hop, subject)) == (1, 0)
    else:
        wait_until(lambda: bounces(hop, subject) == 1, "the report")
        assert taken(hop, subject) == 1  # the report holds the header of the mail


def test_a_stranger_hears_451_and_the_retry_is_answered_by_the_fence(
    place: tuple[Stack, Stack, Hop],
) -> None:
    _, stack, hop = place
    hop.plain()
    hop.once("dot", Step("250 2.0.0 at last", delay_s=DEADLINE_S - 10 + 3))
    subject = "late-stranger"
    sending = Sending(stack.ports["smtp"], [stack.user], subject).wait(DEADLINE_S + 5)
    assert sending.code == 451, sending.text
    assert sending.seconds < DEADLINE_S
    time.sleep(0.5)  # the next status record tells smtpd that there is a fence record to ask for
    early = Sending(stack.ports["smtp"], [stack.user], subject).wait()
    assert early.code == 451, early.text
    wait_until(lambda: taken(hop, subject) == 1, "the late 250")
    time.sleep(1)
    retry = Sending(stack.ports["smtp"], [stack.user], subject).wait()
    assert retry.code == 250, retry.text
    assert taken(hop, subject) == 1


def test_before_the_final_dot_the_deadline_leaves_no_doubt(
    place: tuple[Stack, Stack, Hop],
) -> None:
    stack, _, hop = place
    hop.plain()
    hop.once("rcpt", Step(delay_s=DEADLINE_S))
    subject = "late-rcpt"
    sending = Sending(stack.ports["smtp"], [OUTSIDE], subject).wait(DEADLINE_S + 5)
    assert sending.code == 250, sending.text
    assert sending.seconds < DEADLINE_S
    wait_until(lambda: taken(hop, subject) == 1, "the queue delivers it", 30)
    stack.wait_queue(0)
    assert taken(hop, subject) == 1
