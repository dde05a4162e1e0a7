"""The client's codec: against scripts of replies, and against the server's codec."""

import pytest

from columba.common.errors import LocalProtocolError, RemoteProtocolError
from columba.common.smtp import codes
from columba.common.smtp.client import (
    Answer,
    BodyAnswer,
    ClientConnection,
    ClientEvent,
    ClientWait,
    Greeting,
    Skipped,
    Unasked,
)
from columba.common.smtp.codes import Reply
from columba.common.smtp.command import (
    DATA,
    NOOP,
    QUIT,
    RSET,
    STARTTLS,
    Auth,
    Hello,
    Mail,
    Rcpt,
    Verb,
)
from columba.common.smtp.extensions import NONE, offer
from columba.common.smtp.fit import fit_mail, missing
from columba.common.smtp.params import MailParams
from columba.common.smtp.server_events import Wait
from columba.common.smtp.state import Phase
from tests.fakes.smtp_peer import FakeServer

PIPELINING = b"220 mx\r\n250-mx\r\n250 PIPELINING\r\n"
PLAIN = b"220 mx\r\n250 mx\r\n"
A, B = Rcpt(b"a@d.example"), Rcpt(b"b@d.example")
MAIL = Mail(b"s@d.example")


def events(client: ClientConnection) -> list[ClientEvent]:
    found: list[ClientEvent] = []
    while not isinstance(event := client.next_event(), ClientWait):
        found.append(event)
    return found


def client_after(replies: bytes, lmtp: bool = False) -> ClientConnection:
    client = ClientConnection(lmtp=lmtp)
    client.hello(b"me")
    for line in replies.splitlines(keepends=True):
        client.receive(line)
        events(client)
        client.data_to_send()
    assert client.phase is Phase.READY
    return client


def answers(client: ClientConnection, replies: bytes) -> list[ClientEvent]:
    client.receive(replies)
    return events(client)


def test_nothing_leaves_before_the_greeting() -> None:
    client = ClientConnection()
    client.hello(b"me")
    assert client.data_to_send() == b""
    assert answers(client, b"220 mx\r\n") == [Greeting(Reply(220, "", ("mx",)))]
    assert client.data_to_send() == b"EHLO me\r\n"


@pytest.mark.parametrize("code", [421, 450, 554])
def test_a_bad_greeting_ends_it(code: int) -> None:
    client = ClientConnection()
    assert answers(client, b"%d no\r\n" % code) == [Greeting(Reply(code, "", ("no",)))]
    assert client.next_event() is ClientWait.CLOSED


def test_falls_back_to_helo() -> None:
    client = ClientConnection()
    client.hello(b"me")
    answers(client, b"220 mx\r\n")
    client.data_to_send()
    (event,) = answers(client, b"502 what?\r\n")
    assert event == Answer(Hello(Verb.EHLO, b"me"), Reply(502, "", ("what?",)), final=False)
    assert client.data_to_send() == b"HELO me\r\n"
    (event,) = answers(client, b"250 mx\r\n")
    assert isinstance(event, Answer) and event.final and client.phase is Phase.READY


def test_a_temporary_refusal_of_ehlo_is_final() -> None:
    client = ClientConnection()
    client.hello(b"me")
    answers(client, b"220 mx\r\n")
    client.data_to_send()
    (event,) = answers(client, b"451 later\r\n")
    assert isinstance(event, Answer) and event.final
    assert client.data_to_send() == b""


def test_pipelines_a_transaction() -> None:
    client = client_after(PIPELINING)
    client.enqueue(MAIL, A, B, DATA)
    assert client.data_to_send().count(b"\r\n") == 4
    found = answers(client, b"250 ok\r\n550 5.1.1 no\r\n250 2.1.5 ok\r\n354 go\r\n")
    assert [e.reply.code for e in found if isinstance(e, Answer)] == [250, 550, 250, 354]
    assert client.accepted == [B]
    assert client.send_body(b".x\r\n") + client.end_body() == b"..x\r\n.\r\n"
    assert client.body_answers_due == 1
    assert answers(client, b"250 2.0.0 taken\r\n") == [
        BodyAnswer(0, codes.reply(250, "2.0.0", "taken"))
    ]
    client.enqueue(MAIL)
    assert client.data_to_send() == b"MAIL FROM:<s@d.example>\r\n"


def test_goes_step_by_step_without_pipelining() -> None:
    client = client_after(PLAIN)
    client.enqueue(MAIL, A, B, DATA)
    for command, reply in [(b"MAIL", 250), (b"RCPT", 550), (b"RCPT", 250), (b"DATA", 354)]:
        output = client.data_to_send()
        assert output.startswith(command) and output.count(b"\r\n") == 1
        answers(client, b"%d x\r\n" % reply)
    assert client.phase is Phase.BODY


def test_skips_what_is_hopeless() -> None:
    client = client_after(PLAIN)
    client.enqueue(MAIL, A, DATA, NOOP)
    client.data_to_send()
    answers(client, b"550 no\r\n")
    assert client.data_to_send() == b"NOOP\r\n"
    assert events(client) == [Skipped(A), Skipped(DATA)]


def test_skips_data_without_recipients() -> None:
    client = client_after(PLAIN)
    client.enqueue(MAIL, A, DATA, RSET)
    client.data_to_send()
    answers(client, b"250 ok\r\n")
    client.data_to_send()
    answers(client, b"450 later\r\n")
    assert client.data_to_send() == b"RSET\r\n"
    assert events(client) == [Skipped(DATA)]


@pytest.mark.parametrize("lmtp", [False, True])
def test_a_354_without_recipients_gets_an_empty_message(lmtp: bool) -> None:
    client = client_after(PIPELINING, lmtp)
    client.enqueue(MAIL, A, DATA)
    client.data_to_send()
    found = answers(client, b"250 ok\r\n550 no\r\n354 go\r\n")
    assert found[-1] == Answer(DATA, codes.NO_RECIPIENTS)
    assert client.data_to_send() == b".\r\n"
    client.enqueue(NOOP)
    if not lmtp:
        assert client.data_to_send() == b""
        assert answers(client, b"554 no mail\r\n") == []
    assert client.data_to_send() == b"NOOP\r\n"


def test_lmtp_has_an_answer_for_each_recipient() -> None:
    client = client_after(PIPELINING, lmtp=True)
    client.enqueue(MAIL, A, B, A, DATA)
    assert client.data_to_send().startswith(b"MAIL")
    answers(client, b"250 ok\r\n250 ok\r\n450 no\r\n250 ok\r\n354 go\r\n")
    client.end_body()
    assert client.body_answers_due == 2
    (first,) = answers(client, b"250 one\r\n")
    (second,) = answers(client, b"452 4.2.2 two\r\n")
    assert isinstance(first, BodyAnswer) and isinstance(second, BodyAnswer)
    assert (first.index, second.index, second.reply.enhanced) == (0, 1, "4.2.2")
    assert client.phase is Phase.READY


def test_421_ends_it_anywhere() -> None:
    client = client_after(PIPELINING)
    client.enqueue(MAIL, A, DATA)
    client.data_to_send()
    found = answers(client, b"250 ok\r\n421 bye\r\n")
    assert len(found) == 2 and client.next_event() is ClientWait.CLOSED
    assert client.waiting == (DATA,)


def test_unasked_reply_ends_it() -> None:
    client = client_after(PIPELINING)
    assert answers(client, b"421 4.4.2 idle\r\n") == [Unasked(codes.reply(421, "4.4.2", "idle"))]
    assert client.next_event() is ClientWait.CLOSED


def test_input_behind_starttls_is_an_error() -> None:
    client = client_after(PIPELINING)
    client.enqueue(STARTTLS)
    assert client.data_to_send() == b"STARTTLS\r\n"
    with pytest.raises(RemoteProtocolError, match="after the reply to STARTTLS"):
        answers(client, b"220 go\r\n250 injected\r\n")


def test_tls_forgets_what_was_offered() -> None:
    client = client_after(PIPELINING)
    client.enqueue(STARTTLS)
    client.data_to_send()
    answers(client, b"220 go\r\n")
    with pytest.raises(RemoteProtocolError):
        client.receive(b"x")
    client.tls_started()
    assert client.extensions == NONE and client.phase is Phase.CONNECTED
    client.hello(b"me")
    assert client.data_to_send() == b"EHLO me\r\n"


def test_authentication_exchange() -> None:
    client = client_after(PLAIN)
    client.enqueue(Auth("LOGIN"))
    assert client.data_to_send() == b"AUTH LOGIN\r\n"
    answers(client, b"334 VXNlcg==\r\n")
    assert client.auth_response(b"eA==") == b"eA==\r\n"
    answers(client, b"334 UGFzcw==\r\n")
    client.auth_response(b"eA==")
    (event,) = answers(client, b"235 2.7.0 yes\r\n")
    assert isinstance(event, Answer) and event.reply.code == 235
    assert client.phase is Phase.READY


@pytest.mark.parametrize(
    "replies",
    [
        b"hello\r\n",
        b"999 x\r\n",
        b"250-a\r\n251 b\r\n",
        b"25\r\n",
        b"2" * 9000,
        b"334 x\r\n",
        b"250-x\r\n" * 200,
    ],
)
def test_what_is_no_reply_is_an_error(replies: bytes) -> None:
    client = client_after(PLAIN)
    client.enqueue(NOOP)
    client.data_to_send()
    with pytest.raises(RemoteProtocolError):
        answers(client, replies + b"\r\n")


def test_our_own_mistakes_are_noticed() -> None:
    client = client_after(PLAIN)
    for command in (Mail(b"", MailParams(size=3)), STARTTLS, Hello(Verb.LHLO, b"x")):
        fresh = client_after(PLAIN)
        fresh.enqueue(command)
        if command is not STARTTLS:
            with pytest.raises(LocalProtocolError):
                fresh.data_to_send()
    with pytest.raises(LocalProtocolError):
        client.send_body(b"x")
    with pytest.raises(LocalProtocolError):
        client.auth_response(b"x")


def test_fit_and_missing() -> None:
    mail = Mail(
        b"", MailParams(size=3, body="8BITMIME", smtputf8=True, envid=b"x", requiretls=True)
    )
    assert fit_mail(mail, NONE) == Mail(b"")
    assert missing(mail, offer([("8BITMIME", "")])) == ("SMTPUTF8", "REQUIRETLS")


@pytest.mark.parametrize("size", [1, 3, 4096])
@pytest.mark.parametrize("lmtp", [False, True])
def test_client_talks_to_server(size: int, lmtp: bool) -> None:
    server, client = FakeServer(lmtp), ClientConnection(lmtp)
    client.hello(b"me")
    client.enqueue(Mail(b"s@d.example", MailParams(size=9)), A, Rcpt(b"no@d.example"), B, DATA)
    found: list[ClientEvent] = []
    for _ in range(20):
        output = server.take_output()
        for at in range(0, len(output), size):
            client.receive(output[at : at + size])
            found += events(client)
        data = client.data_to_send()
        if client.phase is Phase.BODY and not client.body_answers_due:
            data = client.send_body(b"A: b\r\n\r\n.\r\n") + client.end_body()
            client.enqueue(QUIT)
        for at in range(0, len(data), size):
            server.feed(data[at : at + size])
    assert server.mails == [(b"s@d.example", [A.recipient, B.recipient], b"A: b\r\n\r\n.\r\n")]
    replies = [e.reply.code for e in found if isinstance(e, BodyAnswer)]
    assert replies == ([250, 250] if lmtp else [250])
    assert server.core.next_event() is Wait.CLOSED and client.phase is Phase.CLOSED
