"""The form that a mail takes at a hop: its MAIL and RCPT commands, and what it can't do without.

No I/O: a job and the hop's extensions go in; commands, or the decision that the hop can't have the mail, come out.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from columba.common.hop.destination import domain
from columba.common.ipc import wire
from columba.common.smtp import fit
from columba.common.smtp.command import Mail, Rcpt
from columba.common.smtp.extensions import NO_LIMITS, Extensions
from columba.common.smtp.params import MailParams, RcptParams
from columba.common.smtp.path import with_ascii_domain
from columba.delivery import outcome
from columba.delivery.job import Job, Result
from columba.delivery.outcome import Decision, Stage, Verdict
from columba.delivery.session import Said, Transaction

_TOO_MANY: Final = frozenset({452, 552})  # RFC 5321 §4.5.3.1.10


def first_batch(job: Job, offered: Extensions) -> Job:
    """Return the job for as many recipients as the hop takes in one transaction (RFC 9422)."""
    limits = offered.limits
    if limits is NO_LIMITS or len(job.recipients) == 1:
        return job
    batch = fit.batches(job.recipients, limits, lambda recipient: domain(recipient.address))[0]
    return job if len(batch) == len(job.recipients) else replace(job, recipients=batch)


def transaction(job: Job, offered: Extensions) -> Transaction:
    """Return the commands, as if the hop offered everything; SMTPUTF8 is not needed where A-labels will do."""
    envelope, content = job.envelope, job.content
    addresses = (envelope.sender, *(r.address for r in job.recipients))
    if envelope.smtputf8 and "SMTPUTF8" not in offered:
        addresses = tuple(map(with_ascii_domain, addresses))
    # RFC 6531 §3.4: only a mail that is internationalised needs a hop that is.
    needs_utf8 = envelope.smtputf8 and not (
        all(address.isascii() for address in addresses) and content.header.isascii()
    )
    params = MailParams(
        size=content.size,
        body="8BITMIME" if envelope.body8 else "",
        smtputf8=needs_utf8,
        ret=envelope.ret,
        envid=envelope.envid.encode(),
        requiretls=envelope.requiretls,
        prdr=len(job.recipients) > 1,
    )
    sender, *to = addresses
    people = zip(to, job.recipients, strict=True)
    rcpts = tuple(Rcpt(address, _rcpt_params(recipient)) for address, recipient in people)
    return Transaction(Mail(sender, params), rcpts, content)


def lacking(job: Job, wanted: Transaction, offered: Extensions) -> tuple[str, ...]:
    """Return what the mail can't do without and the hop does not offer.

    7-bit content needs no 8BITMIME, whatever the client declared; nor does LMTP, which ends at the mailbox.
    """
    missed = fit.missing(wanted.mail, offered)
    if "8BITMIME" not in missed:
        return missed
    content = job.content
    is_7bit = content.body.is_inline and content.header.isascii() and content.body.inline.isascii()
    if is_7bit or job.target.lmtp:
        return tuple(keyword for keyword in missed if keyword != "8BITMIME")
    return missed


def unable(missed: Sequence[str], label: str, offered: Extensions) -> Decision:
    """Return what follows: RFC 1870 §6.1, RFC 6531 §3.2, RFC 8689 §4.2.1, RFC 6152 §3."""
    codes = {
        "SIZE": (552, "5.3.4"),
        "SMTPUTF8": (550, "5.6.7"),
        "REQUIRETLS": (550, "5.7.30"),
        "8BITMIME": (554, "5.6.3"),
    }
    code, enhanced = codes[missed[0]]
    words = f"does not offer {', '.join(missed)}"
    if missed[0] == "SIZE":
        words = f"takes mail of at most {offered.size} octets"
    own_words = f"The next server {words}"
    decision = outcome.refused_by_us(code, enhanced, f"{label} {words}", own_words)
    decision = replace(decision, next_host=True)
    return replace(decision, verdict=Verdict.REWORK) if missed == ("8BITMIME",) else decision


def left_over(job: Job, said: Sequence[Said], results: Sequence[Result]) -> set[str]:
    """Return the numbers of recipients that were too many for a transaction that others went through with.

    RFC 5321 §4.5.3.1.10: they are sent at once in another one.
    """
    if len(said) == 1 or not any(
        result.decision.verdict is Verdict.DELIVERED for result in results
    ):
        return set()
    return {r.number for r, one in zip(job.recipients, said, strict=True) if _is_too_many(one)}


def _is_too_many(said: Said) -> bool:
    reply = said.reply
    if said.stage is not Stage.RCPT or reply is None or reply.code not in _TOO_MANY:
        return False
    return reply.enhanced.partition(".")[2] in ("", "5.3")


def _rcpt_params(recipient: wire.Recipient) -> RcptParams:
    kind, _, original = recipient.orcpt.partition(";")
    return RcptParams(recipient.notify, kind if original else "", original.encode())
