"""Two recipients at two hops: every pair of outcomes, for who may be queued and for who may not."""

import contextlib
import itertools
import time
from collections.abc import Iterator

import pytest

from tests.fakes.sending import Sending
from tests.fakes.stack import Options, Stack, id_of
from tests.peers.all import Peers, open_folder
from tests.peers.hop import Hop, Step
from tests.peers.process import wait_until

pytestmark = [pytest.mark.peer, pytest.mark.slow]
# A null hop's words for each outcome; "discarded" is the script's doing.
STEPS = {
    "delivered": None,
    "failed": Step("550 5.1.1 unknown"),
    "temporary": Step("450 4.2.0 later"),
    "discarded": None,
}
ROUTE = """require ["envelope", "vnd.columba.route"];
if envelope :contains "to" "discard" {{ discard; }}
elsif envelope :domain "to" "one.test" {{ route :relay "[127.0.0.1]" :port {one}; }}
else {{ route :relay "[127.0.0.1]" :port {two}; }}
"""
RCPT = "stop;\n"
MORE = """
takeover_delay = 2 secs
queue_retry_first = 60 secs
"""


class Place:
    """Two hops, one Columba for a trusted client and one for strangers."""

    def __init__(self, peers: Peers) -> None:
        self.one, self.two = peers.hop(), peers.hop()
        scripts = {
            "route": ROUTE.format(one=self.one.port, two=self.two.port),
            "rcpt": RCPT,
        }
        self.trusted = peers.keep(Stack(peers.folder / "t", Options(scripts=scripts, more=MORE)))
        self.strangers = peers.keep(
            Stack(peers.folder / "u", Options(trusted="", scripts=scripts, more=MORE))
        )


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with open_folder() as folder, contextlib.ExitStack() as stack:
        yield Place(Peers(folder, stack))


def expected(first: str, second: str, may_queue: bool) -> int:
    """Return the class of the answer that the table of outcomes demands."""
    pair = {first, second}
    if "temporary" in pair and not may_queue:
        return 4
    return 5 if pair == {"failed"} else 2


def got(hop: Hop, subject: str) -> int:
    return sum(f"Subject: {subject}\r".encode() in one.message for one in hop.taken() if one.sender)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(STEPS, STEPS)))
@pytest.mark.parametrize("may_queue", [True, False])
def test_pair(place: Place, first: str, second: str, may_queue: bool) -> None:
    stack = place.trusted if may_queue else place.strangers
    for hop, what in ((place.one, first), (place.two, second)):
        hop.plain()
        step = STEPS[what]
        if step is not None:
            hop.always("rcpt", step, f"{what}@{'one' if hop is place.one else 'two'}.test")
    reports = count_reports(place)
    subject = f"pair-{first}-{second}-{may_queue}"
    recipients = [f"{first}@one.test", f"{second}@two.test"]
    sending = Sending(stack.ports["smtp"], recipients, subject).wait()
    if not may_queue and sending.refused:
        # Results can part, so a stranger's second recipient is put off: one recipient, one answer.
        assert sending.refused == {recipients[1]: 452}
        assert sending.code // 100 == expected(first, first, False), sending.text
        return
    assert sending.code // 100 == expected(first, second, may_queue), sending.text
    assert got(place.one, subject) == (first == "delivered")
    assert got(place.two, subject) == (second == "delivered")
    queued = (first == "temporary") + (second == "temporary") if may_queue else 0
    # Mails of earlier cases leave the queue meanwhile: this one is looked for by its name.
    assert not queued or any(
        str(row["id"]).startswith(id_of(sending.text)) for row in stack.queue()
    )
    if may_queue and sending.code // 100 == 2 and "failed" in {first, second}:
        wait_until(lambda: count_reports(place) == reports + 1, "the report for the failed one")
    else:
        time.sleep(0.3)
        assert count_reports(place) == reports


def count_reports(place: Place) -> int:
    """Return how many DSNs reached a hop: sender.test goes to the second one."""
    return sum(one.sender == "" for one in place.two.taken())
