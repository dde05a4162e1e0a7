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
    params = command.params
    dsn = "DSN" in offered
    fitting = replace(
        params,
        size=params.size if "SIZE" in offered else None,
        body=params.body if "8BITMIME" in offered else "",
        smtputf8=params.smtputf8 and "SMTPUTF8" in offered,
        ret=params.ret if dsn else "",
        envid=params.envid if dsn else b"",
        auth=params.auth if "AUTH" in offered else b"",
        requiretls=params.requiretls and "REQUIRETLS" in offered,
        prdr=params.prdr and "PRDR" in offered,
    )
    return command if fitting == params else replace(command, params=fitting)


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
    params, size = command.params, offered.size
    needs = {
        "SIZE": bool(size and params.size and params.size > size),
        "SMTPUTF8": params.smtputf8 and "SMTPUTF8" not in offered,
        "REQUIRETLS": params.requiretls and "REQUIRETLS" not in offered,
        "8BITMIME": params.body == "8BITMIME" and "8BITMIME" not in offered,
    }
    return tuple(keyword for keyword, is_missing in needs.items() if is_missing)


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
