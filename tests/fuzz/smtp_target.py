"""Coverage-guided fuzzing of the SMTP codecs: `python -m tests.fuzz.smtp_target server|client [ATHERIS OPTIONS]`.

Any octets from the other side, in pieces of any size, give events or a protocol error; what else must hold stands in
tests/fakes/smtp_fuzz.py. Needs the group `fuzz` of dependencies.
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["columba"]):
    from tests.fakes.smtp_fuzz import hear_anything, say_anything

HELLO: Final = b"250-mx\r\n250-CHUNKING\r\n250-PRDR\r\n250 PIPELINING\r\n250 ok\r\n"
SEEDS: Final = {
    "server": (
        b"EHLO x\r\nMAIL FROM:<a@b.example> SIZE=1\r\nRCPT TO:<c@d.example>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n",
        b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example> NOTIFY=NEVER\r\nBDAT 3 LAST\r\nx\r\n",
        b"EHLO x\r\nAUTH PLAIN AGEAYg==\r\nSTARTTLS\r\n",
    ),
    "client": (
        HELLO + b"250 ok\r\n550 5.1.1 no\r\n250 ok\r\n",
        HELLO + b"250 ok\r\n250 ok\r\n353 each\r\n250 ok\r\n450 4.2.1 later\r\n250 ok\r\n",
        b"500 what\r\n250 mx\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n421 bye\r\n",
    ),
}


def try_server(octets: bytes) -> None:
    """Feed a server; the first octet says whether it speaks LMTP, and the size of the pieces."""
    if octets:
        say_anything(octets[1:], (octets[0] >> 1) + 1, bool(octets[0] & 1))


def try_client(octets: bytes) -> None:
    """Feed a client; the first octet says whether it speaks LMTP, and the size of the pieces."""
    if octets:
        hear_anything(octets[1:], (octets[0] >> 1) + 1, bool(octets[0] & 1))


TARGETS: Final = {"server": try_server, "client": try_client}


def main() -> None:
    """Fuzz what the first argument names until the options of atheris end it."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz.smtp_target {'|'.join(TARGETS)} [OPTIONS]")
    name = sys.argv.pop(1)
    with tempfile.TemporaryDirectory() as folder:
        for number, octets in enumerate(SEEDS[name]):
            (Path(folder) / f"{number}s").write_bytes(b"\xfe" + octets)
            (Path(folder) / f"{number}l").write_bytes(b"\xff" + octets)
        atheris.Setup([*sys.argv, folder, f"-artifact_prefix={Path.cwd()}/"], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
