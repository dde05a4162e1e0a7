"""Check whether a host may send for a domain: SPF.

Pure: a generator that asks the DNS (result.py). It counts the terms that ask, and the answers that have nothing,
and stops at the limits of RFC 7208 §4.6.4. It knows nothing of mail but the identity that it is given.
Source: RFC 7208; the openspf test suite is run against it (tests/data/spf).
"""

import ipaddress
from dataclasses import dataclass

from columba.common.limits import SPF_NAMES, SPF_TERMS, SPF_VOID
from columba.common.mailauth.result import AskDns, Check, QuestionType, Verdict, is_domain
from columba.common.mailauth.spf_macro import (
    UNKNOWN,
    Address,
    SpfIdentity,
    expand,
    expand_domain,
    needs_name,
    reversed_name,
)
from columba.common.mailauth.spf_record import (
    Mechanism,
    SpfRecord,
    SpfSyntaxError,
    check_macros,
    is_spf,
    parse_record,
)

EXPLANATION_MAX = 400  # characters of a stranger's words in our reply


@dataclass(frozen=True, slots=True)
class SpfResult:
    """What SPF says. domain: whose record was asked; reason: why, for logs; explanation: the domain's own words."""

    verdict: Verdict
    domain: str = ""
    reason: str = ""
    explanation: str = ""


class _Stop(Exception):  # it carries a result, not an error
    """The check is over, wherever it stands."""

    def __init__(self, verdict: Verdict, reason: str) -> None:
        super().__init__(reason)
        self.verdict, self.reason = verdict, reason


@dataclass(slots=True)
class _Count:
    """What was asked so far, over all records."""

    terms: int = 0
    void: int = 0


def check_spf(
    ip: str, sender: str, helo: str, receiver: str = UNKNOWN, wall_s: int = 0
) -> Check[SpfResult]:
    """Check the identity MAIL FROM, or HELO where the sender is null (RFC 7208 §2.4).

    ip: of the client, any text; sender, helo: as the client said them. Never raises.
    """
    identity = sender if "@" in sender else f"postmaster@{sender or helo}"
    local, _, domain = identity.rpartition("@")
    identity = f"{local or 'postmaster'}@{domain}"  # RFC 7208 §4.3
    domain = domain.lower().removesuffix(".")
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return SpfResult(Verdict.NONE, domain, "the client has no address")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if not is_domain(domain) or "." not in domain or domain.endswith("]"):
        return SpfResult(Verdict.NONE, domain, "no domain to ask")  # RFC 7208 §4.3
    who = SpfIdentity(mapped or address, identity, helo, receiver, wall_s)
    try:
        verdict, reason, exp, where = yield from _check_host(who, domain, _Count())
    except _Stop as stop:
        return SpfResult(stop.verdict, domain, stop.reason)
    told = ""
    if verdict is Verdict.FAIL and exp:
        told = yield from _explanation(who, exp, where)
    return SpfResult(verdict, domain, reason, told)


def _check_host(
    who: SpfIdentity, domain: str, count: _Count
) -> Check[tuple[Verdict, str, str, str]]:
    """Return (result, reason, exp, the domain whose exp it is). Raises _Stop. RFC 7208 §4."""
    record = yield from _record(domain)
    if record is None:
        return Verdict.NONE, f"{domain} has no SPF record", "", domain
    for term in record.mechanisms:
        if (yield from _matches(term, who, domain, count)):
            return term.result, f"{domain}: {term.name}", record.exp, domain
    if not record.redirect:
        return Verdict.NEUTRAL, f"{domain}: nothing matches", "", domain  # RFC 7208 §4.7
    _count_term(count)
    target = yield from _target(record.redirect, who, domain)
    if not is_domain(target):
        raise _Stop(Verdict.PERMERROR, f"{domain}: redirect to no domain")
    found = yield from _check_host(who, target, count)
    if found[0] is Verdict.NONE:  # RFC 7208 §6.1
        raise _Stop(Verdict.PERMERROR, f"{domain}: redirect to {target}, which has no SPF record")
    return found


def _record(domain: str) -> Check[SpfRecord | None]:
    """Return the record of a domain, None if it has none (RFC 7208 §4.4, §4.5)."""
    told = yield AskDns(domain, "txt")
    if told.is_temporary:
        raise _Stop(Verdict.TEMPERROR, f"the DNS does not answer for {domain}")
    texts = [text for text in told.records if is_spf(text)]
    if not texts:
        return None
    if len(texts) > 1:
        raise _Stop(Verdict.PERMERROR, f"{domain} has more than one SPF record")
    try:
        return parse_record(texts[0])
    except SpfSyntaxError as error:
        raise _Stop(Verdict.PERMERROR, f"{domain}: {error}") from error


def _matches(term: Mechanism, who: SpfIdentity, domain: str, count: _Count) -> Check[bool]:
    if term.name == "all":
        return True
    if term.network is not None:
        return who.ip in term.network
    _count_term(count)
    target = domain
    if term.domain:
        target = yield from _target(term.domain, who, domain)
    if term.name == "include":
        return (yield from _includes(target, who, domain, count))
    if not is_domain(target):
        return False  # RFC 7208 §4.8
    match term.name:
        case "a":
            return (yield from _has_address(target, term, who, count))
        case "mx":
            return (yield from _is_mail_host(target, term, who, count))
        case "exists":
            return bool((yield from _ask(target, "a", count)))
        case _:
            return bool((yield from _validated(target, who, is_subdomain=True)))


def _includes(target: str, who: SpfIdentity, domain: str, count: _Count) -> Check[bool]:
    """RFC 7208 §5.2: only a pass matches; what has no record is an error of the one who includes."""
    verdict = Verdict.NONE
    if is_domain(target):
        verdict = (yield from _check_host(who, target, count))[0]
    if verdict is Verdict.NONE:
        raise _Stop(
            Verdict.PERMERROR, f"{domain}: include of {target:.200}, which has no SPF record"
        )
    return verdict is Verdict.PASS


def _has_address(host: str, term: Mechanism, who: SpfIdentity, count: _Count) -> Check[bool]:
    """Tell whether an address of a host is that of the client, up to a prefix (RFC 7208 §5.3)."""
    texts = yield from _ask(host, "a" if who.ip.version == 4 else "aaaa", count)
    bits = term.bits4 if who.ip.version == 4 else term.bits6
    return any(_is_in(who.ip, text, bits) for text in texts)


def _is_mail_host(target: str, term: Mechanism, who: SpfIdentity, count: _Count) -> Check[bool]:
    hosts = [text.partition(" ")[2] for text in (yield from _ask(target, "mx", count))]
    if len(hosts) > SPF_NAMES:
        raise _Stop(Verdict.PERMERROR, f"{target} has more than {SPF_NAMES} mail hosts")
    for host in hosts:
        if is_domain(host) and (yield from _has_address(host, term, who, count)):
            return True
    return False


def _ask(name: str, kind: QuestionType, count: _Count) -> Check[tuple[str, ...]]:
    """Return records, for a mechanism: no answer is temperror, nothing there counts (RFC 7208 §4.6.4, §5)."""
    told = yield AskDns(name, kind)
    if told.is_temporary:
        raise _Stop(Verdict.TEMPERROR, f"the DNS does not answer for {name}")
    if not told.records:
        count.void += 1
        if count.void > SPF_VOID:
            raise _Stop(Verdict.PERMERROR, f"more than {SPF_VOID} questions found nothing")
    return told.records


def _target(spec: str, who: SpfIdentity, domain: str) -> Check[str]:
    name = UNKNOWN
    if needs_name(spec):
        name = (yield from _validated(domain, who, is_subdomain=False)) or UNKNOWN
    return expand_domain(spec, who, domain, name)


def _validated(target: str, who: SpfIdentity, *, is_subdomain: bool) -> Check[str]:
    """Return a name of the client that leads back to it: the target, else one below it, else any (RFC 7208 §5.5, §7.3).

    is_subdomain: any other does not count. An error finds nothing.
    """
    target = target.lower()
    told = yield AskDns(reversed_name(who.ip), "ptr")
    names = [name.lower().removesuffix(".") for name in told.records[:SPF_NAMES]]
    good = [name for name in names if name == target or name.endswith("." + target)]
    order = sorted(good, key=lambda name: name != target)
    if not is_subdomain:
        order += [name for name in names if name not in good]
    for name in order:
        if not is_domain(name):
            continue
        found = yield AskDns(name, "a" if who.ip.version == 4 else "aaaa")
        if any(_is_in(who.ip, text, who.ip.max_prefixlen) for text in found.records):
            return name
    return ""


def _explanation(who: SpfIdentity, exp: str, domain: str) -> Check[str]:
    """Return the words of the domain about its fail, "" if there are none (RFC 7208 §6.2)."""
    target = yield from _target(exp, who, domain)
    if not is_domain(target):
        return ""
    told = yield AskDns(target, "txt")
    if len(told.records) != 1 or not told.records[0].isascii():
        return ""
    text, name = told.records[0], UNKNOWN
    try:
        check_macros(text, is_explanation=True)
    except SpfSyntaxError:
        return ""
    if needs_name(text):
        name = (yield from _validated(domain, who, is_subdomain=False)) or UNKNOWN
    words = expand(text, who, domain, name)
    return words[:EXPLANATION_MAX] if words.isascii() and words.isprintable() else ""


def _is_in(ip: Address, text: str, bits: int) -> bool:
    """Tell whether an address begins with the bits of another; a record that is none has none."""
    try:
        return ip in ipaddress.ip_network(f"{text}/{bits}", strict=False)
    except ValueError:
        return False


def _count_term(count: _Count) -> None:
    count.terms += 1
    if count.terms > SPF_TERMS:
        raise _Stop(Verdict.PERMERROR, f"more than {SPF_TERMS} terms ask the DNS")
