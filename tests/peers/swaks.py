"""swaks as the SMTP client: one mail, with the whole dialogue as text."""

import re
from dataclasses import dataclass

from tests.peers.process import require, run


@dataclass(frozen=True)
class Talk:
    """What swaks did: its exit status (0: accepted) and the transcript."""

    status: int
    transcript: str

    @property
    def replies(self) -> list[str]:
        """Return the server's reply lines in order, over TLS too."""
        return re.findall(r"^<[-~*]+\s+(\d{3}[ -].*?)\r?$", self.transcript, re.MULTILINE)

    @property
    def final(self) -> str:
        """Return the last reply before that to QUIT."""
        return [line for line in self.replies if not line.startswith("221")][-1]


def swaks(
    port: int,
    *arguments: str,
    sender: str = "from@sender.test",
    recipients: str = "to@sink.test",
    timeout_s: float = 60.0,
) -> Talk:
    """Send one mail to 127.0.0.1:port; further arguments are swaks's own (--tls, --auth …)."""
    require("swaks")
    argv = ["swaks", "--server", "127.0.0.1", "--port", str(port), "--from", sender]
    argv += ["--to", recipients, "--helo", "client.sender.test"]
    done = run([*argv, "--timeout", str(int(timeout_s)), *arguments], timeout_s + 5)
    return Talk(done.returncode, done.stdout)
