"""Real SMTP clients against smtpd: Exim, swaks, smtplib, Postfix's smtp-source."""

import asyncio
import smtplib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from columba.common.ipc import wire
from tests.fakes.smtpd_world import World, all_of, insecure, wait_for
from tests.fakes.stack import Stack
from tests.peers.all import Peers
from tests.peers.exim_sender import EximSender
from tests.peers.process import require, wait_until
from tests.peers.swaks import Talk, swaks

pytestmark = pytest.mark.peer


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    found = World(
        tmp_path,
        trusted_networks=["127.0.0.0/8"],
        xclient_networks=["127.0.0.0/8"],
        haproxy_trusted_networks=["127.0.0.0/8"],
    )
    found.proxied = {"proxied"}
    await found.start("smtp", "proxied", "lmtp")
    yield found
    await wait_for(
        lambda: found.service.active() == 0
    )  # an early QUIT is answered; the close comes
    await found.close()


def handoffs(world: World) -> list[wire.Handoff]:
    return [call.request for call in world.mails if isinstance(call.request, wire.Handoff)]


async def test_exim_sends_in_chunks_with_its_wishes(world: World, peers: Peers) -> None:
    exim = EximSender(peers.folder, world.ports["smtp"])
    dialogue = await exim.send(
        "MAIL FROM:<a@sender.test> RET=HDRS ENVID=abc+2Bd",
        "RCPT TO:<b@sink.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@sink.test",
        "DATA",
        "Subject: chunks",
        "",
        "..dot and a body",
        ".",
    )
    assert any(line.startswith("C: BDAT ") and line.endswith(" LAST") for line in dialogue), (
        dialogue
    )
    (handoff,) = handoffs(world)
    assert (handoff.envelope.ret, handoff.envelope.envid) == ("HDRS", "abc+d")
    (recipient,) = handoff.recipients
    assert (set(recipient.notify), recipient.orcpt) == (
        {"SUCCESS", "DELAY"},
        "rfc822;x+y@sink.test",
    )
    assert world.bodies == [b".dot and a body\r\n"]
    assert not world.mails[0].is_cancelled  # Exim shuts its side down before our answer
    assert f"250 2.0.0 Ok {handoff.id}" in exim.log() and "Completed" in exim.log()


async def test_exim_hears_of_each_recipient(world: World, peers: Peers) -> None:
    world.outcomes = lambda h: (
        all_of("delivered")(h)[0],
        all_of("failed", 550, "not this one")(h)[1],
        all_of("refused", 452, "later perhaps")(h)[2],
    )
    exim = EximSender(peers.folder, world.ports["smtp"])
    people = ("b", "c", "d")
    rcpts = [f"RCPT TO:<{name}@sink.test>" for name in people]
    dialogue = await exim.send(
        "MAIL FROM:<a@sender.test>", *rcpts, "DATA", "Subject: x", "", "x", "."
    )
    assert "S: 353 A reply for each recipient follows" in dialogue, dialogue
    log = exim.log()
    assert "=> b@sink.test" in log
    assert "** c@sink.test" in log and "not this one" in log
    assert "== d@sink.test" in log and "later perhaps" in log


async def talk(*arguments: object, port: int) -> Talk:
    return await asyncio.to_thread(swaks, port, *(str(word) for word in arguments))


async def test_swaks_speaks_for_another(world: World) -> None:
    said = await talk(
        "--xclient", "ADDR=192.0.2.9 NAME=client.example LOGIN=joe", port=world.ports["smtp"]
    )
    assert said.status == 0, said.transcript
    (handoff,) = handoffs(world)
    assert (handoff.client.ip, handoff.client.login) == ("192.0.2.9", "joe")


@pytest.mark.parametrize("version", ["1", "2"])
async def test_swaks_comes_through_a_proxy(world: World, version: str) -> None:
    ends = ["--proxy-family", "TCP4" if version == "1" else "AF_INET"]
    ends += ["--proxy-source", "192.0.2.9", "--proxy-source-port", "4711"]
    ends += ["--proxy-dest", "198.51.100.1", "--proxy-dest-port", "25"]
    ends += ["--proxy-protocol", "STREAM", "--proxy-command", "PROXY"] if version == "2" else []
    said = await talk("--proxy-version", version, *ends, port=world.ports["proxied"])
    assert said.status == 0, said.transcript
    (handoff,) = handoffs(world)
    assert (handoff.client.ip, handoff.client.port) == ("192.0.2.9", 4711)
    assert (handoff.client.local_ip, handoff.client.local_port) == ("198.51.100.1", 25)


async def test_swaks_hears_of_each_recipient(world: World) -> None:
    said = await talk("--prdr", "--to", "a@sink.test,b@sink.test", port=world.ports["smtp"])
    assert said.status == 0, said.transcript
    assert [line[:3] for line in said.replies[-5:]] == ["353", "250", "250", "250", "221"]


async def test_smtplib_sends_utf8(world: World) -> None:
    def send() -> dict[str, tuple[int, bytes]]:
        with smtplib.SMTP("127.0.0.1", world.ports["smtp"], "client.test", 20) as client:
            client.ehlo()
            wishes = ["SMTPUTF8", "BODY=8BITMIME"]
            return client.sendmail(
                "a@sender.test", ["j\u00f6@sink.test"], "Subject: \u00e4\r\n\r\nx".encode(), wishes
            )

    assert await asyncio.to_thread(send) == {}
    (handoff,) = handoffs(world)
    assert handoff.client.protocol == "UTF8SMTP" and handoff.envelope.smtputf8
    assert handoff.recipients[0].address == "j\u00f6@sink.test".encode()


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
async def test_smtp_source_pours(world: World, protocol: str) -> None:
    require("smtp-source")
    place = (
        f"127.0.0.1:{world.ports['smtp']}"
        if protocol == "smtp"
        else f"unix:{world.folder}/lmtp.sock"
    )
    words = [
        "-s",
        "5",
        "-m",
        "50",
        "-r",
        "3",
        "-l",
        "3000",
        "-f",
        "a@sender.test",
        "-t",
        "b@sink.test",
    ]
    more = ["-L"] if protocol == "lmtp" else []
    process = await asyncio.create_subprocess_exec(
        "smtp-source", *more, *words, place, stdout=sys.stderr
    )
    async with asyncio.timeout(30):
        assert await process.wait() == 0
    assert len(handoffs(world)) == 50
    assert {len(handoff.recipients) for handoff in handoffs(world)} == {3}


def test_a_mail_leaves_when_it_is_told_to(peers: Peers) -> None:
    """The whole way: submitted now, its scripts run, in the queue until its time, then delivered."""
    stack = peers.keep(Stack(peers.folder / "columba"))
    with smtplib.SMTP("127.0.0.1", stack.ports["submission"], "client.test", 20) as client:
        client.starttls(context=insecure())
        client.login(stack.user, stack.password)
        assert client.has_extn("futurerelease")
        assert client.mail(stack.user, ["HOLDFOR=4", "RET=HDRS"])[0] == 250
        assert client.rcpt(stack.user)[0] == 250
        began_s = time.monotonic()
        code, words = client.data("Subject: later\r\n\r\nx\r\n")
    assert code == 250 and b"Queued as" in words
    assert len(stack.queue()) == 1 and not stack.mails()
    wait_until(lambda: bool(stack.mails()), "the mail is delivered", 20)
    assert time.monotonic() - began_s >= 3.5
    mail = stack.mails()[0]
    assert b"Message-ID: <" in mail and b"Date: " in mail  # added on submission
