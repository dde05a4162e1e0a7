"""The auth service in the test's own loop, on two sockets, with smtpd's client of it."""

import asyncio
import os
import socket
import time
from pathlib import Path

from columba.common.config.load import defaults
from columba.common.ipc.master import Listener
from columba.common.log.event import Event
from columba.common.service import Birth, Context
from columba.master.auth.service import Auth
from columba.master.auth.settings import Settings
from columba.smtpd.peers.dovecot import AuthClient

USERS = "Ann@x:{PLAIN}secret:1000:1000::/home/ann::\nbad@x:{NOPE}x\n"


class Running:
    """An auth service. changed are settings of it; users is the text of the passwd-file."""

    def __init__(self, folder: Path, users: str = USERS, **changed: object) -> None:
        self.folder, self.lines = folder, list[str]()
        self._changed = changed
        (folder / "users").write_text(users)

    async def start(self) -> None:
        """Start it and open a client."""
        listeners = tuple(self._listener(name) for name in ("auth-client", "auth-userdb"))
        self._pipe = os.pipe()
        birth = Birth(
            service="auth", slot=0, generation=1, run=self.folder, client_limit=10, request_limit=0, hang_limit_s=30,
            shutdown_timeout_s=30, status_fd=self._pipe[1], dead_fd=self._pipe[0], is_debug=False,
            listeners=listeners,
        )  # fmt: skip
        settings = defaults(
            Settings,
            auth_passwd_file=str(self.folder / "users"),
            **{"auth_failure_delay": 0.2, **self._changed},
        )
        (self.folder / "anvil").mkdir(exist_ok=True)
        self.context = Context(birth, settings)
        self.context.event = Event(lambda _level, text: self.lines.append(text))
        self.auth = Auth(self.context)
        await self.auth.start()
        self.client = AuthClient(str(self.folder / "auth-client"), self.context.event)

    async def close(self) -> None:
        """End everything."""
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


def format_bearer(mechanism: str, user: str, token: str) -> bytes:
    """Return what a client says in OAUTHBEARER or XOAUTH2."""
    name = user.replace("=", "=3D").replace(",", "=2C")
    head = f"user={user}" if mechanism == "XOAUTH2" else f"n,a={name},"
    return f"{head}\x01auth=Bearer {token}\x01\x01".encode()
