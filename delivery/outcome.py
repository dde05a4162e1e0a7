"""What a next hop's reply makes of a recipient.

Pure: where in the session, which reply → one Decision. `failed` only from a 5xx to MAIL, RCPT, DATA or the end of
data (and from null MX and NXDOMAIN, which mx.py names); everything else that is no success is temporary
(promises §2). What is temporary may become queued, refused or deferred: that is the service's business.
Sources: RFC 5321 §4.2, §4.5.3.1.10; RFC 3463.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from columba.common import limits
from columba.common.dns.mx import MxProblem
from columba.common.hop.mail import Why
from columba.common.smtp.codes import Reply, ascii_line


class Stage(Enum):
    """What was answered. The value is how an administrator and a sender read it."""

    CONNECT = "connection"
    GREETING = "greeting"
    HELLO = "EHLO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    END = "end of data"


class Verdict(Enum):
    """What it means for the recipient."""

    DELIVERED = "delivered"
    FAILED = "failed"
    DISCARDED = "discarded"
    TEMPORARY = "temporary"
    REWORK = "rework"  # dkim-signer makes it 7-bit and calls again, or fails it (promises §6)


class Detail(Enum):
    """How much of the inside of the network our answers tell (`reply_detail`)."""

    HOP = "hop"
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with the reply that the client or the bounce will carry.

    alert: an administrator must look (our own configuration is wrong). next_host: another host may do better.
    is_pressed: the destination asks for less at a time, or does not answer. own_words: what is said in the place of
    why.text where inner names must not be told (`reply_detail = own`); "" = why.text names nobody.
    untried: there was no room here, nobody was asked.
    """

    verdict: Verdict
    why: Why
    alert: bool = False
    next_host: bool = False
    is_pressed: bool = False
    own_words: str = ""
    untried: bool = False


_FINAL_STAGES: Final = frozenset({Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.END})
_HOST_STAGES: Final = frozenset({Stage.CONNECT, Stage.GREETING, Stage.HELLO, Stage.STARTTLS})
_OURS: Final = frozenset({503, 530})  # wrong order, authentication or TLS required: our fault
_TOO_MANY: Final = 552  # RFC 5321 §4.5.3.1.10: to RCPT it may mean 452


def decide(stage: Stage, reply: Reply, label: str) -> Decision:
    """Return what a reply means. label names the hop, e.g. "mx1.example.net[192.0.2.1]:25"."""
    if stage is Stage.END and reply.code // 100 == 2:
        return Decision(Verdict.DELIVERED, _delivered(reply, label), own_words="Delivered")
    decision = _of_refusal(stage, reply, _said(stage, reply, label))
    return replace(decision, own_words=f"The next server refused the mail at {stage.value}")


def _of_refusal(stage: Stage, reply: Reply, text: str) -> Decision:
    code = reply.code
    if code == 421 or code < 400:
        return _temporary(reply, text, next_host=stage is not Stage.END, is_pressed=True)
    if stage in _HOST_STAGES:
        return _temporary(reply, text, next_host=True, is_pressed=True)
    if code in _OURS or (stage is Stage.AUTH and reply.permanent):
        return _temporary(reply, text, alert=True)
    if reply.permanent and stage in _FINAL_STAGES and not _is_too_many(stage, reply):
        return Decision(Verdict.FAILED, Why(code, _enhanced(reply, 5, stage), text))
    # A 4xx to RCPT is about the recipient, and greylisting is no sign of load.
    return _temporary(reply, text, is_pressed=stage is not Stage.RCPT)


def lost(stage: Stage, reason: str, label: str) -> Decision:
    """Return what a broken, silent or senseless connection means: temporary, whenever it happens.

    After the end of data nobody knows whether the mail was taken; it is tried again, for the other way loses
    mail (RFC 5321 §4.5.3.2.6).
    """
    enhanced = "4.4.1" if stage is Stage.CONNECT else "4.4.2"
    return Decision(
        Verdict.TEMPORARY,
        Why(451, enhanced, ascii_line(f"{label}: {reason}")),
        alert=stage is Stage.AUTH,
        next_host=stage is not Stage.END,
        is_pressed=True,
        own_words=f"The next server failed at {stage.value}",
    )


def refused_by_us(code: int, enhanced: str, text: str, own_words: str) -> Decision:
    """Return a final failure that we know without asking the hop: it lacks what the mail can't do without."""
    return Decision(Verdict.FAILED, Why(code, enhanced, ascii_line(text)), own_words=own_words)


def of_problem(problem: MxProblem) -> Decision:
    """Return what a domain without hosts means."""
    verdict = Verdict.FAILED if problem.permanent else Verdict.TEMPORARY
    why = Why(problem.code, problem.enhanced, ascii_line(problem.text))
    return Decision(verdict, why, alert=problem.alert)


def _temporary(
    reply: Reply,
    text: str,
    *,
    alert: bool = False,
    next_host: bool = False,
    is_pressed: bool = False,
) -> Decision:
    """The hop's 421 is never our code (it would end the client's session), nor is a 5xx that is not final."""
    code = reply.code if reply.temporary and reply.code != 421 else 451
    why = Why(code, _enhanced(reply, 4, Stage.END), text)
    return Decision(Verdict.TEMPORARY, why, alert, next_host, is_pressed)


def _is_too_many(stage: Stage, reply: Reply) -> bool:
    return stage is Stage.RCPT and reply.code == _TOO_MANY and reply.enhanced in ("", "5.5.3")


def _enhanced(reply: Reply, wanted: int, stage: Stage) -> str:
    """Return the hop's enhanced code in the class that we answer with."""
    given = reply.status()
    if given.startswith(f"{wanted}."):
        return given if given != "5.0.0" or stage is not Stage.RCPT else "5.1.0"
    subject = given.partition(".")[2]
    return f"{wanted}.{subject}" if reply.enhanced else f"{wanted}.0.0"


def _delivered(reply: Reply, label: str) -> Why:
    given = reply.status()
    enhanced = given if given.startswith("2.") else "2.0.0"
    return Why(250, enhanced, ascii_line(f"{reply.text()} ({label})"))


def _said(stage: Stage, reply: Reply, label: str) -> str:
    words = " ".join(part for part in (str(reply.code), reply.enhanced, reply.text()) if part)
    tail = f" (in reply to {stage.value})"
    head = f"{label} said: "
    return ascii_line(head + words, limits.HOP_TEXT - len(tail)) + tail
