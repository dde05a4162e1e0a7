"""Send two mails through a development server and show the way of each.

One comes from a user through submission and leaves for another domain; one comes from outside for that user.
"""

import re
import smtplib
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from typing import Final

from columba.common.ids import ID_LENGTH
from columba.master.dev.plan import OUTSIDER, PASSWORD, USER, Plan

LIMIT_S: Final = 60.0
TRACE_S: Final = 10.0
_ID: Final = re.compile(rf"\b[0-9A-HJKMNP-TV-Z]{{{ID_LENGTH}}}\b")
_CLIENT: Final = "laptop.columba.test"


@dataclass(frozen=True, slots=True)
class Sent:
    """What the server answered to the end of a mail, after how many ms, and its id ("" if it gave none)."""

    code: int
    text: str
    took_ms: float
    id: str


def submit(plan: Plan) -> Sent:
    """Send a mail as the user, with STARTTLS and AUTH (RFC 6409); raises OSError, SMTPException."""
    context = ssl.create_default_context(cafile=str(plan.certificate))
    with smtplib.SMTP("localhost", plan.submission_port, _CLIENT, LIMIT_S) as client:
        client.starttls(context=context)
        client.login(USER, PASSWORD)
        return _send(client, USER, OUTSIDER, "Through submission, to the outside")


def receive(plan: Plan) -> Sent:
    """Send a mail to the user as a stranger; raises OSError, SMTPException."""
    with smtplib.SMTP("127.0.0.1", plan.smtp_port, "mx.elsewhere.test", LIMIT_S) as client:
        return _send(client, OUTSIDER, USER, "From outside, to a mailbox here")


def trace(plan: Plan, sent: Sent) -> str:
    """Return what `columbadm trace` says of a mail; its last lines may come a moment late."""
    argv = [sys.executable, "-m", "columba.master.cli", "-c", str(plan.config), "trace", sent.id]
    shown = ""
    end = time.monotonic() + TRACE_S
    while time.monotonic() < end:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode == 0 and done.stdout == shown:
            break
        shown = done.stdout if done.returncode == 0 else done.stderr
        time.sleep(0.3)
    return shown


def _send(client: smtplib.SMTP, sender: str, recipient: str, subject: str) -> Sent:
    """Send one mail and keep the server's own words, which smtplib's sendmail throws away."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, recipient, subject
    mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="columba.test")
    mail.set_content("Sent by the development server to itself.\n")
    client.ehlo_or_helo_if_needed()
    for code, text in (client.mail(sender), client.rcpt(recipient)):
        if code >= 300:
            return Sent(code, _words(text), 0.0, "")
    began = time.monotonic()
    code, text = client.data(mail.as_bytes(policy=SMTP))
    words = _words(text)
    found = _ID.search(words)
    return Sent(code, words, (time.monotonic() - began) * 1000, found.group() if found else "")


def _words(text: bytes) -> str:
    """Return a reply's text on one line."""
    return " ".join(text.decode("utf-8", "replace").split())
