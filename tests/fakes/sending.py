"""An SMTP client in a thread: sends one mail and remembers what it heard and when."""

import smtplib
import socket
import threading
import time
from collections.abc import Sequence

MESSAGE = (
    "From: me@sender.test\r\nTo: someone@outside.test\r\nSubject: {subject}\r\n"
    "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{subject}@sender.test>\r\n\r\n{body}\r\n"
)


class Sending:
    """One try to send one mail. code 0: the connection was lost before the answer to end of data."""

    def __init__(
        self,
        port: int,
        recipients: Sequence[str],
        subject: str,
        *,
        sender: str = "me@sender.test",
        body: str = "hello",
        timeout_s: float = 60.0,
    ) -> None:
        """Begin to send."""
        self.code, self.text = 0, ""
        self.began_s = time.monotonic()
        self.heard_s = 0.0
        self.refused: dict[str, int] = {}
        self._port, self._recipients, self._sender = port, list(recipients), sender
        self._message = MESSAGE.format(subject=subject, body=body).encode()
        self._timeout_s = timeout_s
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float = 60.0) -> "Sending":
        """Wait for the answer; raises AssertionError when there is none in time."""
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "no answer in time"
        return self

    @property
    def seconds(self) -> float:
        """Return how long the whole session took."""
        return self.heard_s - self.began_s

    def _run(self) -> None:
        try:
            self._talk()
        except (OSError, smtplib.SMTPException) as error:
            self.text = self.text or repr(error)
        self.heard_s = time.monotonic()

    def _talk(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), self._timeout_s) as connection:
            talk = _Talk(connection)
            talk.read()
            talk.say("EHLO client.test")
            talk.say(f"MAIL FROM:<{self._sender}>")
            accepted = 0
            for recipient in self._recipients:
                code, text = talk.say(f"RCPT TO:<{recipient}>")
                accepted += code == 250
                if code != 250:
                    self.refused[recipient] = code
                    self.code, self.text = code, text
            if accepted:
                self.code, self.text = talk.say("DATA")
                if self.code == 354:
                    self.code, self.text = 0, ""
                    connection.sendall(self._message + b".\r\n")
                    self.code, self.text = talk.read()
            talk.say("QUIT")


class _Talk:
    """Commands and replies."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")

    def say(self, line: str) -> tuple[int, str]:
        """Send a command and return its reply."""
        self._connection.sendall(line.encode() + b"\r\n")
        return self.read()

    def read(self) -> tuple[int, str]:
        """Return the next reply; raises OSError at the end of the connection."""
        lines = []
        while True:
            line = self._file.readline().decode("utf-8", "replace")
            if not line:
                raise ConnectionError("closed")
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return int(line[:3]), "\n".join(lines)
