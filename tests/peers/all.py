"""Every peer behind one fixture: what a test starts through it ends with the test."""

import contextlib
import os
import shutil
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from tests.peers.dovecot import Dovecot
from tests.peers.exim import Exim
from tests.peers.haproxy import Haproxy, Way
from tests.peers.hop import FEATURES, Hop
from tests.peers.names import Names
from tests.peers.opendkim import SigningMilter
from tests.peers.opensmtpd import OpenSmtpd
from tests.peers.postfix import Postfix
from tests.peers.sink import Sink


class Stoppable(Protocol):
    """What the fixture ends."""

    def stop(self) -> None:
        """End it."""


Peer = TypeVar("Peer", bound=Stoppable)


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder with a short path that every user can enter (tmp_path is for one user only).

    It is removed at the end unless COLUMBA_KEEP is set.
    """
    folder = Path(tempfile.mkdtemp(prefix="cb-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if "COLUMBA_KEEP" not in os.environ:
            shutil.rmtree(folder, ignore_errors=True)


class Peers:
    """Starts peers in one folder and remembers to stop them, the last first."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    def keep(self, peer: Peer) -> Peer:
        """Stop this at the end of the test."""
        self._stack.callback(peer.stop)
        return peer

    def sink(
        self,
        *,
        refuse: str = "",
        defer: str = "",
        close: str = "",
        close_421: str = "",
        delay: str = "",
        hard_reply: str = "",
        soft_reply: str = "",
        lmtp: bool = False,
        dump: bool = True,
        port: int = 0,
    ) -> Sink:
        """Start smtp-sink; see Sink."""
        sink = Sink(
            self.folder, refuse=refuse, defer=defer, close=close, close_421=close_421, delay=delay,
            hard_reply=hard_reply, soft_reply=soft_reply, lmtp=lmtp, dump=dump, port=port,
        )  # fmt: skip
        return self.keep(sink)

    def hop(
        self,
        *,
        lmtp: bool = False,
        path: str = "",
        features: tuple[str, ...] = FEATURES,
        tls: ssl.SSLContext | None = None,
        logins: Mapping[str, str] | None = None,
        mechanisms: str = "PLAIN LOGIN",
        implicit: bool = False,
        host: str = "127.0.0.1",
    ) -> Hop:
        """Start a scripted hop; see Hop."""
        return self.keep(
            Hop(
                lmtp=lmtp,
                path=path,
                features=features,
                tls=tls,
                logins=logins,
                mechanisms=mechanisms,
                implicit=implicit,
                host=host,
            )
        )

    def postfix(
        self,
        *,
        relay: str = "",
        discard: bool = False,
        domain: str = "postfix.test",
        settings: Mapping[str, str] | None = None,
    ) -> Postfix:
        """Start a private Postfix; see Postfix."""
        return self.keep(
            Postfix(self.folder, relay=relay, discard=discard, domain=domain, settings=settings)
        )

    def dovecot(self, users: Mapping[str, str], *, more: str = "", quota: str = "") -> Dovecot:
        """Start a private Dovecot; see Dovecot."""
        return self.keep(Dovecot(self.folder, users, more=more, quota=quota))

    def exim(self) -> Exim:
        """Start a private Exim; see Exim."""
        return self.keep(Exim(self.folder))

    def opensmtpd(self, relay: str) -> OpenSmtpd:
        """Start a private OpenSMTPD; see OpenSmtpd."""
        return self.keep(OpenSmtpd(self.folder, relay))

    def haproxy(self, *ways: Way, source: str = "127.0.0.1") -> Haproxy:
        """Start a private HAProxy; see Haproxy."""
        return self.keep(Haproxy(self.folder, ways, source))

    def names(self, zones: Mapping[str, str], *, signed: bool = False) -> Names:
        """Start a name server; see Names."""
        return self.keep(Names(self.folder, zones, signed=signed))

    def signing_milter(self, domain: str, selector: str, key: Path) -> SigningMilter:
        """Start OpenDKIM as a milter; see SigningMilter."""
        return self.keep(SigningMilter(self.folder, domain, selector, key))
