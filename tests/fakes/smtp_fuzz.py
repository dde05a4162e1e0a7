"""Anything as the other side of an SMTP session: what must hold whatever comes."""

from columba.common.errors import RemoteProtocolError
from columba.common.smtp.client import BodyAnswer, ClientConnection, ClientWait
from columba.common.smtp.command import DATA, Mail, Rcpt
from columba.common.smtp.params import MailParams
from columba.common.smtp.server import ServerLimits
from columba.common.smtp.state import Phase
from tests.fakes.smtp_peer import FakeServer

LINE = 60


def hear_anything(said: bytes, size: int, lmtp: bool) -> None:
    """Let a client hear anything after a greeting, in pieces.

    It sends one mail for two recipients; each is told of at most once, and only after the message was ended. What is no
    SMTP is a RemoteProtocolError.
    """
    client, told, ended = ClientConnection(lmtp), list[int](), False
    client.hello(b"me")
    text = b"220 x\r\n" + said
    try:
        for at in range(0, len(text), size):
            client.receive(text[at : at + size])
            told += _told_now(client)
            if client.phase is Phase.READY and not client.waiting and not ended:
                params = MailParams(prdr="PRDR" in client.extensions)
                client.enqueue(Mail(b"s@d.example", params))
                client.enqueue(Rcpt(b"a@d.example"), Rcpt(b"b@d.example"))
            client.data_to_send()
            ended = ended or _ends(client)
    except RemoteProtocolError as problem:
        assert str(problem)
    assert len(told) == len(set(told)) <= 2
    assert not told or ended


def say_anything(said: bytes, size: int, lmtp: bool) -> None:
    """Let a server hear anything, in pieces: nothing raises but input behind STARTTLS, and memory is bounded."""
    server = FakeServer(lmtp, ServerLimits(command_line=LINE, errors=8))
    try:
        for at in range(0, len(said), size):
            server.feed(said[at : at + size])
    except RemoteProtocolError:
        assert b"STARTTLS" in said.upper()
    assert server.core.buffered <= LINE + size


def _told_now(client: ClientConnection) -> list[int]:
    """Return of which recipients the end of a message is told now."""
    found: list[int] = []
    while not isinstance(event := client.next_event(), ClientWait):
        found += [event.index] if isinstance(event, BodyAnswer) else []
    return found


def _ends(client: ClientConnection) -> bool:
    """Send a message as one chunk where that is due, else ask to send it; return whether its end was said."""
    if client.phase is Phase.BODY:
        client.send_body(b"x\r\n")
        client.end_body()
        return True
    if client.phase is not Phase.RCPT or client.waiting or client.body_answers_due:
        return False
    if "CHUNKING" not in client.extensions:
        client.enqueue(DATA)
        client.data_to_send()
        return False
    client.begin_chunk(3)
    return _ends(client)
