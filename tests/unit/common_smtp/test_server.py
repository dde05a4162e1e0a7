"""The server's codec on dialogues, fed in every way."""

from pathlib import Path

import pytest

from columba.common.smtp import codes
from columba.common.smtp.path import SyntaxProblem
from columba.common.smtp.server import ServerLimits
from columba.common.smtp.server_events import Body, EndOfBody, Rejected, Wait
from columba.common.smtp.state import Phase
from tests.fakes.dialogue import Dialogue, load
from tests.fakes.smtp_peer import MORE, OFFER, PROXY, FakeServer

FOLDER = Path(__file__).parents[2] / "dialogue"
DIALOGUES = [d for path in sorted(FOLDER.glob("server_*.txt")) for d in load(path)]
SMALL = ServerLimits(message_size=250)
HELLO = b"EHLO x\r\n"
RECIPIENT = HELLO + b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"


def play(dialogue: Dialogue, parts: list[bytes]) -> bytes:
    offer = MORE if "[more]" in dialogue.name else PROXY if "[proxy]" in dialogue.name else OFFER
    server = FakeServer(dialogue.lmtp, SMALL, offer)
    for part in parts:
        server.feed(part)
    return server.output


@pytest.mark.parametrize("dialogue", DIALOGUES, ids=lambda d: d.name)
def test_dialogue_however_it_is_split(dialogue: Dialogue) -> None:
    text = dialogue.client
    assert play(dialogue, [text]).decode() == dialogue.server.decode()
    assert play(dialogue, [text[n : n + 1] for n in range(len(text))]) == dialogue.server
    for at in range(1, len(text)):
        assert play(dialogue, [text[:at], text[at:]]) == dialogue.server, text[:at]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_message_arrives_without_dots(size: int) -> None:
    server = FakeServer()
    text = RECIPIENT + b"DATA\r\nA: b\r\n\r\n..\r\n...x\r\nend.\r\n.\r\nNOOP\r\n"
    for at in range(0, len(text), size):
        server.feed(text[at : at + size])
    assert server.mails == [(b"a@b.example", [b"c@d.example"], b"A: b\r\n\r\n.\r\n..x\r\nend.\r\n")]
    assert server.output.endswith(b"250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n")


def test_two_mails_in_one_segment() -> None:
    server = FakeServer()
    mail = b"MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nx: y\r\n.\r\n"
    server.feed(HELLO + mail + mail + b"QUIT\r\n")
    assert [m[2] for m in server.mails] == [b"x: y\r\n"] * 2
    assert server.core.next_event() is Wait.CLOSED


def test_nothing_is_taken_while_a_reply_is_due() -> None:
    server = FakeServer()
    server.core.receive(b"EHLO x\r\nNOOP\r\n")
    server.core.next_event()
    assert server.core.next_event() is Wait.PAUSED
    server.core.send(codes.OK)
    with pytest.raises(Exception, match="no reply is due"):
        server.core.send(codes.OK)


def test_long_line_is_read_to_its_end_and_refused() -> None:
    server = FakeServer(bounds=ServerLimits(command_line=100))
    server.feed(b"EHLO " + b"x" * 5000)
    assert server.core.buffered <= 101
    server.feed(b"y" * 200 + b"\r\nHELO x\r\n")
    assert server.output.endswith(b"500 5.5.6 Command line too long\r\n250 mx.example\r\n")


def test_too_many_errors_close() -> None:
    server = FakeServer(bounds=ServerLimits(errors=3))
    server.feed(b"FOO\r\n" * 10)
    assert isinstance(server.events[-1], Rejected) and server.events[-1].close
    assert server.output.endswith(b"421 4.7.0 Too many errors, closing\r\n")
    assert server.core.phase is Phase.CLOSED
    assert server.output.count(b"\r\n") == 5


def test_too_many_recipients() -> None:
    server = FakeServer(bounds=ServerLimits(recipients=2))
    server.feed(RECIPIENT + b"RCPT TO:<c@d.example>\r\n" * 2)
    assert server.output.endswith(b"250 2.1.5 Recipient ok\r\n452 4.5.3 Too many recipients\r\n")
    server.feed(b"DATA\r\n.\r\n")
    assert len(server.mails[0][1]) == 2


def test_input_after_starttls_is_an_error() -> None:
    server = FakeServer()
    server.feed(HELLO)
    with pytest.raises(SyntaxProblem) as caught:
        server.feed(b"STARTTLS\r\nEHLO y\r\n")
    assert caught.value.reply.code == 554


def test_input_between_starttls_and_its_220_is_an_error() -> None:
    server = FakeServer()
    server.feed(HELLO)
    server.core.receive(b"STARTTLS\r\n")
    server.core.next_event()
    server.core.receive(b"NOOP\r\n")
    with pytest.raises(SyntaxProblem):
        server.core.send(codes.START_TLS)
    assert server.core.next_event() is Wait.CLOSED


def test_tls_forgets_everything() -> None:
    server = FakeServer()
    server.feed(HELLO)
    server.feed(b"STARTTLS\r\n")
    assert server.core.next_event() is Wait.PAUSED
    with pytest.raises(SyntaxProblem):
        server.core.receive(b"x")
    server.core.tls_started()
    server.take_output()
    server.feed(b"MAIL FROM:<>\r\n")
    assert server.output == codes.HELO_FIRST.encode()


def test_failed_data_ends_the_transaction() -> None:
    server = FakeServer()
    server.feed(RECIPIENT)
    server.core.receive(b"DATA\r\n")
    server.core.next_event()
    server.core.send(codes.LOCAL_ERROR)
    assert (server.core.phase, server.core.accepted) == (Phase.READY, 0)


@pytest.mark.parametrize("reply", [codes.OK, codes.LOCAL_ERROR, codes.reply(550, "5.7.1", "no")])
def test_every_end_of_data_ends_the_transaction(reply: codes.Reply) -> None:
    server = FakeServer()
    server.feed(RECIPIENT + b"DATA\r\n")
    server.core.receive(b"x\r\n.\r\n")
    assert server.core.next_event() == Body(b"x\r\n")
    assert server.core.next_event() == EndOfBody(3, None)
    server.core.send(reply)
    assert (server.core.phase, server.core.accepted) == (Phase.READY, 0)


def test_an_unasked_421_ends_the_session() -> None:
    server = FakeServer()
    server.feed(RECIPIENT + b"DATA\r\nhalf")
    assert server.core.close(codes.unavailable("mx.example", "idle")).startswith(b"421 4.3.2 mx")
    assert server.core.next_event() is Wait.CLOSED


def test_a_421_ends_the_session_in_every_phase() -> None:
    server = FakeServer()
    server.core.receive(HELLO)
    server.core.next_event()
    server.core.send(codes.unavailable("mx.example", "busy"))
    assert server.core.next_event() is Wait.CLOSED


def test_recipients_that_are_put_off_are_no_errors() -> None:
    """RFC 5321 §4.5.3.1.10: the client sends them in another transaction, when this one was taken."""
    server = FakeServer(bounds=ServerLimits(recipients=40, errors=3))
    server.feed(RECIPIENT + b"RCPT TO:<e@f.example>\r\n" * 60 + b"DATA\r\nx: y\r\n.\r\n")
    assert server.output.endswith(b"250 2.0.0 Ok\r\n")
    assert server.core.errors == 0


def test_recipients_that_are_put_off_without_end_are_errors() -> None:
    server = FakeServer(bounds=ServerLimits(recipients=5, errors=3))
    server.feed(RECIPIENT + b"RCPT TO:<e@f.example>\r\n" * 60)
    assert server.core.phase is Phase.CLOSED
    assert server.output.count(b"\r\n452 ") == 5 + 3


SMUGGLED = (
    b"MAIL FROM:<x@evil.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nfrom the message\r\n.\r\n"
)


def test_a_message_behind_a_refused_data_is_no_command() -> None:
    """A client that does not wait for 354 must not have its message taken for a session."""
    server = FakeServer(bounds=ServerLimits(in_step=True))
    server.feed(HELLO + b"MAIL FROM:<>\r\nRCPT TO:<no@d.example>\r\nDATA\r\n" + SMUGGLED)
    assert server.output.endswith(b"\r\n" + codes.OUT_OF_STEP.encode())
    assert server.core.phase is Phase.CLOSED and not server.mails


def test_a_message_behind_a_data_that_the_service_refuses_is_no_command() -> None:
    server = FakeServer(bounds=ServerLimits(in_step=True))
    server.feed(RECIPIENT)
    server.core.receive(b"DATA\r\n" + SMUGGLED)
    server.core.next_event()
    server.core.send(codes.LOCAL_ERROR)
    assert server.core.next_event() is Wait.CLOSED


def test_a_refused_data_that_nothing_follows_changes_nothing() -> None:
    server = FakeServer(bounds=ServerLimits(in_step=True))
    server.feed(HELLO + b"MAIL FROM:<>\r\nRCPT TO:<no@d.example>\r\nDATA\r\n")
    server.feed(b"RSET\r\n")
    assert server.output.endswith(b"503 5.5.1 Send RCPT first\r\n250 2.0.0 Ok\r\n")
