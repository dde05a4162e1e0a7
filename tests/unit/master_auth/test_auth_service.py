"""The auth service through its sockets, asked by smtpd's client."""

import asyncio
import base64
import hashlib
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import argon2
import bcrypt
import pytest
from passlib.hash import sha256_crypt, sha512_crypt

from columba.common.config.load import defaults
from columba.common.errors import ConfigError, PeerGoneError
from columba.common.ipc.master import Listener
from columba.common.log.event import Event
from columba.common.sasl import dovecot
from columba.common.sasl.dovecot import Challenge, Fail, Ok
from columba.common.sasl.plain import format_plain
from columba.common.service import Birth, Context
from columba.master.auth.schemes import SchemeError, verify
from columba.master.auth.service import Auth
from columba.master.auth.settings import Settings
from columba.master.auth.users import parse_users
from columba.smtpd.peers.dovecot import AuthClient

PARAMS = {"service": "smtp", "secured": "tls"}


class Running:
    """An auth service on two sockets."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lines = folder, list[str]()
        (folder / "users").write_text("Ann@x:{PLAIN}secret:1000:1000::/home/ann::\nbad@x:{NOPE}x\n")

    async def start(self) -> None:
        listeners = tuple(self._listener(name) for name in ("auth-client", "auth-userdb"))
        self._pipe = os.pipe()
        birth = Birth(
            service="auth", slot=0, generation=1, run=self.folder, client_limit=10, request_limit=0, hang_limit_s=30,
            shutdown_timeout_s=30, status_fd=self._pipe[1], dead_fd=self._pipe[0], is_debug=False,
            listeners=listeners, certificates=(),
        )  # fmt: skip
        settings = defaults(
            Settings, auth_passwd_file=str(self.folder / "users"), auth_failure_delay=0.2
        )
        (self.folder / "anvil").mkdir()
        self.context = Context(birth, settings)
        self.context.event = Event(lambda _level, text: self.lines.append(text))
        self.auth = Auth(self.context)
        await self.auth.start()
        self.client = AuthClient(str(self.folder / "auth-client"), self.context.event)

    async def close(self) -> None:
        self.client.close()
        await self.auth.drain(time.monotonic_ns())
        await asyncio.sleep(0.01)
        self.context.close()
        self.context.zmq.destroy(0)
        os.close(self._pipe[0])
        os.close(self._pipe[1])

    def _listener(self, name: str) -> Listener:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(self.folder / name))
        sock.listen()
        return Listener(name, sock.detach(), "unix")


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
    assert running.client.mechanisms == ("PLAIN",)


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
        await running.client.begin("LOGIN", PARAMS, None, 10)
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


@pytest.mark.parametrize(
    "stored",
    [
        "{PLAIN}pa:ss",
        "{ARGON2ID}" + argon2.PasswordHasher(1, 8, 1).hash("pa:ss"),
        argon2.PasswordHasher(1, 8, 1).hash("pa:ss"),
        "{BLF-CRYPT}" + bcrypt.hashpw(b"pa:ss", bcrypt.gensalt(4)).decode(),
        "{SHA512-CRYPT}" + sha512_crypt.using(rounds=1000).hash("pa:ss"),
        "{CRYPT}" + sha256_crypt.using(rounds=1000).hash("pa:ss"),
        "{SSHA256}" + base64.b64encode(hashlib.sha256(b"pa:sssalt").digest() + b"salt").decode(),
    ],
)
def test_schemes(stored: str) -> None:
    assert verify(stored, b"pa:ss")
    assert not verify(stored, b"pa:st")


@pytest.mark.parametrize(
    "stored", ["{NOPE}x", "{SSHA}!", "{SSHA}eA==", "x", "{ARGON2ID}x", "{BLF-CRYPT}x", ""]
)
def test_what_is_no_hash_is_an_error(stored: str) -> None:
    with pytest.raises(SchemeError):
        verify(stored, b"x")


@pytest.mark.parametrize(("text", "line"), [("a:x\nA:y", 2), ("# x\n\nname", 3), (":x", 1)])
def test_a_broken_file_names_its_line(text: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_users(text, "users")
    assert caught.value.line == line
