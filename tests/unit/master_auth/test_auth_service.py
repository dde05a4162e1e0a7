"""The auth service through its sockets, asked by smtpd's client."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from columba.common.errors import ConfigError, PeerGoneError
from columba.common.sasl import dovecot
from columba.common.sasl.dovecot import Challenge, Fail, Ok
from columba.common.sasl.plain import format_plain
from columba.master.auth.users import parse_users
from tests.fakes.auth import Running

PARAMS = {"service": "smtp", "secured": "tls"}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    made = Running(tmp_path)
    await made.start()
    yield made
    await made.close()


async def ask(running: Running, user: str, password: str, authzid: str = "") -> object:
    message = format_plain(user, password, authzid)
    _, verdict = await running.client.begin("PLAIN", PARAMS, message, 10)
    return verdict


async def test_right_password(running: Running) -> None:
    assert await ask(running, "ann@X", "secret") == Ok(1, "ann@x", {})
    assert running.client.mechanisms == ("PLAIN", "LOGIN")


@pytest.mark.parametrize(
    ("user", "password", "authzid"),
    [("ann@x", "no", ""), ("bob", "secret", ""), ("ann@x", "secret", "bob")],
)
async def test_failures_are_alike_and_late(
    running: Running, user: str, password: str, authzid: str
) -> None:
    began = time.monotonic()
    assert await ask(running, user, password, authzid) == Fail(1, "", "")
    assert time.monotonic() - began >= 0.19  # 0.2 s of delay; loops count in milliseconds


async def test_many_questions_at_a_time(running: Running) -> None:
    began = time.monotonic()
    found = await asyncio.gather(*(ask(running, "ann@x", "no") for _ in range(20)))
    assert all(isinstance(verdict, Fail) for verdict in found)
    assert time.monotonic() - began < 2


async def test_a_challenge_and_its_response(running: Running) -> None:
    number, verdict = await running.client.begin("PLAIN", PARAMS, None, 10)
    assert verdict == Challenge(number, b"")
    found = await running.client.go_on(number, format_plain("ann@x", "secret"), 10)
    assert isinstance(found, Ok)


async def test_a_mistake_in_the_file_is_temporary(running: Running) -> None:
    assert await ask(running, "bad@x", "x") == Fail(1, "temp_fail", "")
    (running.folder / "users").unlink()
    assert await ask(running, "ann@x", "secret") == Fail(2, "temp_fail", "")
    assert running.lines and "secret" not in " ".join(running.lines)


async def test_the_file_is_read_again(running: Running) -> None:
    assert isinstance(await ask(running, "new@x", "x"), Fail)
    (running.folder / "users").write_text("new@x:{PLAIN}x\n")
    assert isinstance(await ask(running, "new@x", "x"), Ok)


async def test_a_mechanism_that_was_not_offered_closes(running: Running) -> None:
    with pytest.raises(PeerGoneError):
        await running.client.begin("SCRAM-SHA-256", PARAMS, None, 10)
    assert isinstance(await ask(running, "ann@x", "secret"), Ok)


@pytest.mark.parametrize(
    ("name", "user", "answer"),
    [
        (
            "auth-userdb",
            "ANN@x",
            dovecot.user_found(1, "ann@x", {"uid": "1000", "gid": "1000", "home": "/home/ann"}),
        ),
        ("auth-userdb", "bob", dovecot.user_unknown(1)),
        ("auth-client", "ann@x", dovecot.fail(1, reason="not on this socket")),
    ],
)
async def test_user_look_ups(running: Running, name: str, user: str, answer: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(running.folder / name))
    writer.write(dovecot.client_hello(1) + dovecot.user_request(1, user, "smtp"))
    await reader.readuntil(b"DONE\n")
    assert await reader.readline() == answer
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(("text", "line"), [("a:x\nA:y", 2), ("# x\n\nname", 3), (":x", 1)])
def test_a_broken_file_names_its_line(text: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_users(text, "users")
    assert caught.value.line == line
