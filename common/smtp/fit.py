"""What of a mail fits what a server offers: parameters left out, extensions missed, recipients per transaction.

Pure: commands and Extensions go in, commands or names come out. What can be left out without harm is left out; what
can't is named, and the caller decides what becomes of the mail.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from columba.common.smtp.command import Mail, Rcpt
from columba.common.smtp.extensions import Extensions, Limits
from columba.common.smtp.params import NO_RCPT_PARAMS

T = TypeVar("T")


def fit_mail(command: Mail, offered: Extensions) -> Mail:
    """Return MAIL with only those parameters that the server offers.

    What can't be left out without harm is named by missing(); the caller asks that first.
    """
    params, known = command.params, offered.offered
    has_dsn = "DSN" in known or not (params.ret or params.envid)
    if (  # the usual case, and quick
        has_dsn
        and (params.size is None or "SIZE" in known)
        and (not params.body or "8BITMIME" in known)
        and not (params.smtputf8 and "SMTPUTF8" not in known)
        and not (params.auth and "AUTH" not in known)
        and not (params.requiretls and "REQUIRETLS" not in known)
        and not (params.prdr and "PRDR" not in known)
    ):
        return command
    fitting = replace(
        params,
        size=params.size if "SIZE" in known else None,
        body=params.body if "8BITMIME" in known else "",
        smtputf8=params.smtputf8 and "SMTPUTF8" in known,
        ret=params.ret if has_dsn else "",
        envid=params.envid if has_dsn else b"",
        auth=params.auth if "AUTH" in known else b"",
        requiretls=params.requiretls and "REQUIRETLS" in known,
        prdr=params.prdr and "PRDR" in known,
    )
    return replace(command, params=fitting)


def fit_rcpt(command: Rcpt, offered: Extensions) -> Rcpt:
    """Return RCPT with only those parameters that the server offers."""
    if command.params == NO_RCPT_PARAMS or "DSN" in offered:
        return command
    return replace(command, params=NO_RCPT_PARAMS)


def missing(command: Mail, offered: Extensions) -> tuple[str, ...]:
    """Return the extensions that this mail can't do without and the server does not offer.

    SMTPUTF8 (RFC 6531 §3.2), REQUIRETLS (RFC 8689 §4.2.1), 8BITMIME (RFC 6152 §3); SIZE stands for a mail that is
    greater than the server takes (RFC 1870 §6.1).
    """
    params, known, size = command.params, offered.offered, offered.size
    missed: tuple[str, ...] = ()
    if size and params.size and params.size > size:
        missed = ("SIZE",)
    if params.smtputf8 and "SMTPUTF8" not in known:
        missed += ("SMTPUTF8",)
    if params.requiretls and "REQUIRETLS" not in known:
        missed += ("REQUIRETLS",)
    if params.body == "8BITMIME" and "8BITMIME" not in known:
        missed += ("8BITMIME",)
    return missed


def batches(
    recipients: Iterable[T], limits: Limits, domain: Callable[[T], str]
) -> list[tuple[T, ...]]:
    """Return recipients as transactions that keep RCPTMAX and RCPTDOMAINMAX (RFC 9422 §4), in their order."""
    done: list[tuple[T, ...]] = []
    batch: list[T] = []
    domains: set[str] = set()
    for recipient in recipients:
        name = domain(recipient) if limits.rcpt_domains else ""
        is_full = limits.rcpts and len(batch) >= limits.rcpts
        is_wide = limits.rcpt_domains and len(domains | {name}) > limits.rcpt_domains
        if batch and (is_full or is_wide):
            done.append(tuple(batch))
            batch, domains = [], set()
        batch.append(recipient)
        domains.add(name)
    return [*done, tuple(batch)] if batch else done
