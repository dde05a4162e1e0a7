"""OpenDKIM as the judge of our signatures, and as the milter that Postfix signs with."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.peers.process import Program, answers, free_port, require, run


@dataclass(frozen=True)
class Verdict:
    """What OpenDKIM says of one message: passed only if its signature verified."""

    passed: bool
    text: str


def verify(folder: Path, message: bytes, keys: Mapping[str, str]) -> Verdict:
    """Let OpenDKIM verify a message (CRLF line ends); keys: "selector._domainkey.domain" to TXT."""
    require("opendkim")
    records = folder / "opendkim-dns"
    records.write_text("".join(f"{name} {text}\n" for name, text in keys.items()))
    mail = folder / "opendkim-message"
    mail.write_bytes(message)
    config = folder / "opendkim-verify.conf"
    config.write_text(
        f"Mode v\nSyslog no\nTestDNSData file:{records}\nTemporaryDirectory {folder}\n"
    )
    done = run(["opendkim", "-x", str(config), "-vv", "-t", str(mail)])
    passed = bool(re.search(r"verification \(.*\) succeeded", done.stdout))
    return Verdict(passed and done.returncode == 0, done.stdout)


def sign(folder: Path, message: bytes, domain: str, key: Path, form: str) -> bytes:
    """Let OpenDKIM sign a message with selector "sel" and return it with its signature."""
    require("opendkim")
    mail, config = folder / "opendkim-unsigned", folder / "opendkim-sign.conf"
    mail.write_bytes(message)
    config.write_text(
        f"Mode s\nSyslog no\nDomain {domain}\nSelector sel\nKeyFile {key}\nRequireSafeKeys no\n"
        f"Canonicalization {form}\nInternalHosts 127.0.0.1\nTemporaryDirectory {folder}\n"
    )
    done = run(["opendkim", "-x", str(config), "-vv", "-t", str(mail)])
    found = re.search(r"hname='DKIM-Signature' hvalue='([^']*)'", done.stdout)
    assert found, done.stdout
    value = found[1].replace("\r\n", "\n").replace("\n", "\r\n")
    return b"DKIM-Signature: " + value.encode() + b"\r\n" + message


class SigningMilter:
    """opendkim as a milter that signs every mail of a domain."""

    def __init__(self, folder: Path, domain: str, selector: str, key: Path) -> None:
        """Listen on 127.0.0.1:port; key is a PEM file that only its owner can read."""
        require("opendkim")
        self.port = free_port()
        config = folder / f"opendkim-{self.port}.conf"
        config.write_text(
            f"Mode s\nSyslog no\nDomain {domain}\nSelector {selector}\nKeyFile {key}\n"
            f"Socket inet:{self.port}@127.0.0.1\nCanonicalization relaxed/relaxed\n"
            f"InternalHosts 127.0.0.1\nRequireSafeKeys no\nTemporaryDirectory {folder}\n"
        )
        argv = ["opendkim", "-f", "-x", str(config)]
        self.program = Program(argv, folder, f"opendkim-{self.port}")
        try:
            self.program.wait_ready(lambda: answers(("127.0.0.1", self.port)))
        except BaseException:
            self.program.stop()
            raise

    @property
    def postfix_settings(self) -> dict[str, str]:
        """Return what Postfix's main.cf needs to sign through it."""
        return {
            "smtpd_milters": f"inet:127.0.0.1:{self.port}",
            "milter_default_action": "tempfail",
        }

    def stop(self) -> None:
        """End the milter."""
        self.program.stop()
