"""Postfix's smtp-sink as the next hop, and smtp-source as a load of clients."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.peers.process import Program, answers, free_port, require, run


@dataclass(frozen=True)
class Received:
    """One mail that a sink took: the envelope and the message as they came."""

    sender: str
    recipients: tuple[str, ...]
    message: bytes

    @property
    def headers(self) -> bytes:
        """Return the header block of the message."""
        return self.message.partition(b"\n\n")[0]


class Sink:
    """A running smtp-sink; mails are dumped to files unless `dump` is off (for speed)."""

    def __init__(
        self,
        folder: Path,
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
        more: tuple[str, ...] = (),
    ) -> None:
        """Start it. refuse, defer, close name commands ("RCPT,."); delay is "COMMAND:SECONDS"."""
        require("smtp-sink")
        self.port = port or free_port()
        self.address = ("127.0.0.1", self.port)
        self._mails = folder / f"sink-{self.port}"
        self._mails.mkdir(exist_ok=True)
        options = [
            *(("-f", refuse) if refuse else ()),
            *(("-r", defer) if defer else ()),
            *(("-q", close) if close else ()),
            *(("-Q", close_421) if close_421 else ()),
            *(("-W", delay) if delay else ()),
            *(("-B", hard_reply) if hard_reply else ()),
            *(("-b", soft_reply) if soft_reply else ()),
            *(("-L",) if lmtp else ()),
            *(("-d", f"{self._mails}/%s.") if dump else ()),
            *more,
        ]
        (folder / f"smtp-sink-{self.port}.log").unlink(missing_ok=True)  # of one before us
        argv = ["smtp-sink", "-u", _own_name(), "-c", *options, f"127.0.0.1:{self.port}", "512"]
        self.program = Program(argv, folder, f"smtp-sink-{self.port}")
        try:
            self.program.wait_ready(lambda: answers(self.address))
        except BaseException:
            self.program.stop()
            raise

    def count(self) -> int:
        """Return how many mails the sink has answered with 250 after the final dot."""
        with self.program.log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 200))
            counts = re.findall(rb"mesg=(\d+)\r", file.read())
        return int(counts[-1]) if counts else 0

    def mails(self) -> list[Received]:
        """Return what was dumped, in the order of the files' names (seconds, then chance)."""
        return [_read_dump(path) for path in sorted(self._mails.iterdir()) if path.stat().st_size]

    def stop(self) -> None:
        """End the sink."""
        self.program.stop()


def _own_name() -> str:
    """Return the user to run as: smtp-sink demands one of root."""
    import getpass

    return getpass.getuser()


def _read_dump(path: Path) -> Received:
    """Parse smtp-sink's dump: X-Mail-Args and X-Rcpt-Args lines, then a Received field."""
    sender, recipients = "", []
    lines = path.read_bytes().split(b"\n")
    start = 0
    for number, line in enumerate(lines):
        name, _, value = line.partition(b": ")
        if name == b"X-Mail-Args":
            sender = _path_of(value)
        elif name == b"X-Rcpt-Args":
            recipients.append(_path_of(value))
        elif not name.startswith((b"X-Client-", b"X-Helo-", b"X-Mail-", b"X-Rcpt-")):
            start = number
            break
    # smtp-sink's own Received field is folded: skip it and what continues it.
    start += 1
    while start < len(lines) and lines[start][:1] in (b" ", b"\t"):
        start += 1
    return Received(sender, tuple(recipients), b"\n".join(lines[start:]))


def _path_of(arguments: bytes) -> str:
    """Return the address of "<a@b> SIZE=1"."""
    return arguments.decode(errors="replace").partition("<")[2].partition(">")[0]


def smtp_source(
    port: int,
    *,
    messages: int = 1,
    sessions: int = 1,
    size_bytes: int = 10_000,
    sender: str = "from@sender.test",
    recipient: str = "to@sink.test",
    timeout_s: float = 60.0,
    more: tuple[str, ...] = (),
) -> float:
    """Send a load and return the seconds that it took; raise RuntimeError if a mail was refused."""
    import time

    require("smtp-source")
    argv = ["smtp-source", "-s", str(sessions), "-m", str(messages), "-l", str(size_bytes)]
    argv += ["-f", sender, "-t", recipient, *more, f"127.0.0.1:{port}"]
    began = time.monotonic()
    done = run(argv, timeout_s)
    if done.returncode:
        raise RuntimeError(f"smtp-source ended with {done.returncode}: {done.stdout}")
    return time.monotonic() - began
