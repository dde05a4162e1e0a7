"""The dkim-signer as the master starts it, between a caller and a delivery of the test."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dkim
import msgspec
import pytest
import zmq

from columba.common.config.load import defaults
from columba.common.ids import new_id
from columba.common.ipc import master, wire
from columba.common.ipc.calls import Caller
from columba.common.ipc.directory import Directory
from columba.common.ipc.server import Answer, Incoming, Server
from columba.common.log.event import Event
from columba.common.mail.header import Header
from columba.delivery.signer.keys import KeyType, SigningKey, generate, save
from columba.delivery.signer.settings import Settings

SECOND = 1_000_000_000
HEADER = b"From: a@example.org\r\nTo: b@example.net\r\nSubject: hi\r\n"


@dataclass
class World:
    """A run directory with an anvil, a delivery and a caller of ours."""

    folder: Path
    seen: list[Incoming] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.run, self.spool = self.folder / "run", self.folder / "spool"
        for name in ("run/anvil", "run/dkim", "run/delivery", "spool"):
            (self.folder / name).mkdir(parents=True)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.anvil = self.context.socket(zmq.XPUB)
        self.anvil.setsockopt(zmq.XPUB_VERBOSE, 1)
        self.anvil.bind(f"ipc://{self.run}/anvil/directory")
        self.directory = Directory(self.context, str(self.run))
        self.caller = Caller(self.context, str(self.run), self.directory)
        self.server = Server(
            self.context, self.run / "delivery" / "0.1", 10, self.deliver, Event(lambda _l, _t: None),
            uids=frozenset({os.getuid()}), on_unsent=lambda _c, _r: None, on_change=lambda: None,
        )  # fmt: skip

    async def deliver(self, call: Incoming) -> Answer:
        self.seen.append(call)
        assert isinstance(call.request, wire.Handoff)
        outcomes = tuple(
            wire.Outcome(number=r.number, kind="delivered", address=r.address)
            for r in call.request.recipients
        )
        return wire.Outcomes(outcomes=outcomes), []

    async def publish(self, count: int) -> None:
        """Tell everyone that one dkim and one delivery are ready, for as long as it takes to be heard."""
        slots = tuple(
            wire.Slot(service=s, slot=0, pid=1, generation=1, state="ready", available=10)
            for s in ("dkim", "delivery")
        )
        for number in range(count):
            self.anvil.send(wire.ENCODER.encode(wire.Directory(number=number, slots=slots)))
            await asyncio.sleep(0.02)

    def close(self) -> None:
        self.caller.close()
        self.directory.close()
        self.server.close()
        self.anvil.close(0)
        self.context.destroy(0)


def start(
    world: World, settings: Settings, status_fd: int, dead_fd: int
) -> "subprocess.Popen[bytes]":
    memfd = os.memfd_create("settings", 0)
    os.write(memfd, msgspec.json.encode(settings))
    os.set_inheritable(memfd, True)
    values = {
        master.ENV_SERVICE: "dkim", master.ENV_SLOT: "0", master.ENV_GENERATION: "1",
        master.ENV_RUN: str(world.run), master.ENV_STATUS_FD: str(status_fd),
        master.ENV_DEAD_FD: str(dead_fd), master.ENV_SETTINGS_FD: str(memfd),
    }  # fmt: skip
    argv = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "columba.delivery.signer"]
    with (world.folder / "log").open("wb") as log:
        process = subprocess.Popen(
            argv, env={**os.environ, **values}, stdout=log, stderr=log, start_new_session=True,
            pass_fds=(memfd, status_fd, dead_fd),
        )  # fmt: skip
    os.close(memfd)
    return process


@asynccontextmanager
async def living(
    folder: Path, **changed: object
) -> AsyncIterator[tuple[World, "subprocess.Popen[bytes]"]]:
    world = World(folder)
    status, dead = os.pipe(), os.pipe()
    settings = defaults(
        Settings, spool_dir=str(world.spool), dkim_key_dir=str(folder / "keys"), hostname="mx.example.org", **changed
    )  # fmt: skip
    process = start(world, settings, status[1], dead[0])
    os.close(status[1])
    try:
        record = await asyncio.wait_for(
            asyncio.to_thread(os.read, status[0], master.STATUS_SIZE), 20
        )
        if record:
            assert master.unpack_statuses(record)[0].available > 0
            await world.publish(10)
        yield world, process
    finally:
        process.kill()
        process.wait(10)
        for fd in (status[0], *dead):
            os.close(fd)
        world.close()


def request(**fields: object) -> wire.Handoff:
    handoff = wire.Handoff(
        id=new_id(),
        step="dkim",
        deadline_ns=time.monotonic_ns() + 60 * SECOND,
        envelope=wire.Envelope(sender=b"a@example.org"),
        client=wire.Client(trusted=True),
        recipients=(wire.Recipient(number="1", address=b"b@example.net"),),
        body=wire.Body(size=7),
        kind="submitted",
        path=("smtpd.0.1", "sieve.0.1"),
    )
    return msgspec.structs.replace(handoff, **fields)


async def outcomes(
    world: World, handoff: wire.Handoff, header: bytes = HEADER, body: bytes = b"Hello\r\n"
) -> list[str]:
    answer = await world.caller.call(
        "dkim", handoff, [header, b"Hello\r\n"], until_ns=time.monotonic_ns() + 20 * SECOND
    )  # fmt: skip
    assert isinstance(answer.reply, wire.Outcomes)
    return [f"{o.kind} {o.code} {o.enhanced}".strip() for o in answer.reply.outcomes]


def make_key(folder: Path, kind: KeyType = KeyType.RSA_2048) -> SigningKey:
    key = generate("example.org", "s1", kind)
    save(folder / "keys", key)
    return key


async def test_mail_is_signed_and_delivered(tmp_path: Path) -> None:
    key = make_key(tmp_path)
    async with living(tmp_path) as (world, process):
        assert await outcomes(world, request()) == ["delivered 250"]
        (seen,) = world.seen
        assert isinstance(seen.request, wire.Handoff)
        assert seen.request.path == ("smtpd.0.1", "sieve.0.1", "dkim.0.1")
        assert seen.request.step == "delivery"
        record = key.txt_record().encode()
        message = seen.parts[0] + b"\r\n" + seen.parts[1]
        assert dkim.DKIM(message).verify(dnsfunc=lambda name, timeout=5: record)
        assert await outcomes(world, request(), b"From: x@other.example\r\n") == [
            "failed 550 5.7.1"
        ]
        assert await outcomes(world, request(kind="received"), b"From: x@other.example\r\n") == [
            "delivered 250"
        ]
        assert Header(world.seen[-1].parts[0]).text("DKIM-Signature").count("d=example.org;") == 1
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 20) == 0


async def test_many_mails_at_once(tmp_path: Path) -> None:
    make_key(tmp_path)
    async with living(tmp_path) as (world, _):
        answers = await asyncio.gather(*[outcomes(world, request()) for _ in range(10)])
        assert answers == [["delivered 250"]] * 10


async def test_a_key_that_others_can_read_ends_the_start(tmp_path: Path) -> None:
    make_key(tmp_path)
    (tmp_path / "keys" / "example.org" / "s1.pem").chmod(0o644)
    async with living(tmp_path) as (world, process):
        assert await asyncio.to_thread(process.wait, 20) == 78
        assert b"chmod 0640" in (world.folder / "log").read_bytes()


@pytest.mark.parametrize("step", ["keys", "config"])
async def test_keys_come_from_both_places(tmp_path: Path, step: str) -> None:
    make_key(tmp_path, KeyType.ED25519)
    other = generate("example.net", "cfg", KeyType.ED25519)
    path = save(tmp_path / "elsewhere", other)
    section = {"example.net": {"selector": "cfg", "key_file": str(path)}}
    async with living(tmp_path, dkim=json.loads(json.dumps(section))) as (world, _):
        domain = "example.org" if step == "keys" else "example.net"
        header = f"From: a@{domain}\r\n".encode()
        assert await outcomes(world, request(), header) == ["delivered 250"]
        assert f"d={domain};" in Header(world.seen[-1].parts[0]).text("DKIM-Signature")
