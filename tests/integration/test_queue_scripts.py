"""retry.sieve and bounce.sieve in the whole server: they decide, and a mistake in them loses nothing."""

import pytest

from tests.fakes.stack import Options, Stack
from tests.peers.all import Peers
from tests.peers.hop import Hop, Step
from tests.peers.process import wait_until
from tests.peers.swaks import swaks

pytestmark = pytest.mark.peer
OUTSIDE = "somebody@outside.test"
QUEUE = 'require ["vnd.columba.queue", "environment", "envelope", "variables"];\n'


def started(peers: Peers, more: str = "", **scripts: str) -> tuple[Stack, Hop]:
    hop = peers.hop()
    texts = {stage: QUEUE + text for stage, text in scripts.items()}
    options = Options(relay=f"127.0.0.1:{hop.port}", scripts=texts, more=more)
    return peers.keep(Stack(peers.folder / "columba", options)), hop


def test_a_script_gives_up_and_another_writes_the_report(peers: Peers) -> None:
    stack, hop = started(
        peers,
        retry='if environment :contains "vnd.columba.text" "never" { queue :give_up "it is no use"; }',
        bounce='if environment "vnd.columba.kind" "failed" { dsn :headers :text "Call the help desk."; }',
    )
    hop.once("rcpt", Step("450 4.2.0 never again"))
    hop.once("rcpt", Step("450 4.2.0 never again"))
    talk = swaks(stack.ports["smtp"], recipients=OUTSIDE, sender=stack.user)
    assert "ueued" in talk.final, talk.transcript
    stack.columbadm("queue", "flush")
    stack.wait_queue(0)
    wait_until(lambda: len(stack.mails()) == 1, "the report", 20)
    (report,) = stack.mails()
    assert b"Call the help desk." in report
    assert b"it is no use" in report
    assert b"text/rfc822-headers" in report


def test_a_script_that_fails_is_a_warning_and_the_mail_goes_on(peers: Peers) -> None:
    fails = 'set "t" "${env}no time"; queue :retry "${t}";'
    stack, hop = started(peers, retry=fails)
    hop.once("rcpt", Step("450 4.2.0 come back"))
    hop.once("rcpt", Step("450 4.2.0 come back"))
    assert swaks(stack.ports["smtp"], recipients=OUTSIDE).status == 0
    stack.wait_queue(1)
    stack.columbadm("queue", "flush")
    wait_until(lambda: "No verdict: the defaults hold" in stack.log(), "the warning", 20)
    stack.wait_queue(1)
    stack.columbadm("queue", "flush")
    (taken,) = hop.wait_taken(1)
    assert taken.recipients == [OUTSIDE]
