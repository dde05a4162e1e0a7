"""Check whether the author's domain stands behind a mail: DMARC.

Pure: a generator that asks the DNS (result.py). It finds the record that holds for the domain in From by a walk up
the tree of names, and compares that domain with those that SPF and DKIM have found. What is done with a mail that
fails is for a script to say.
Source: RFC 9989 (which took the place of RFC 7489): §4.7 records, §4.8 grammar, §4.10 the walk, §5.3 the result.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import idna

from columba.common.limits import DMARC_AUTHORS, DMARC_QUERIES, DMARC_RECORD
from columba.common.mailauth.dkim import DkimResult
from columba.common.mailauth.result import DMARC_POLICIES, AskDns, Check, Verdict, is_domain
from columba.common.mailauth.spf import SpfResult

_VERSION: Final = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
_URI: Final = re.compile(r"[ \t]*[A-Za-z][A-Za-z0-9+.-]*:[^\s,]+")


@dataclass(frozen=True, slots=True)
class DmarcRecord:
    """What a domain asks for. np falls back to sp, sp to p (RFC 9989 §4.7)."""

    p: str
    sp: str
    np: str
    is_strict_dkim: bool = False
    is_strict_spf: bool = False
    psd: str = "u"
    is_test: bool = False


@dataclass(frozen=True, slots=True)
class DmarcResult:
    """What DMARC says: pass, fail, none, temperror, permerror.

    domain: of the author. policy: what its owner asks to do with a mail that fails: none, quarantine, reject.
    """

    verdict: Verdict
    domain: str = ""
    policy: str = "none"
    reason: str = ""


@dataclass(slots=True)
class _Tree:
    """The records that walks have found, by name; None: there is none."""

    known: dict[str, DmarcRecord | None] = field(default_factory=dict)


class _NoAnswer(Exception):  # it ends a check with temperror
    """The DNS does not answer now."""


def parse_dmarc(text: str) -> DmarcRecord | None:
    """Return the record of a TXT record; None if it is none of DMARC, or asks for nothing (RFC 9989 §4.7)."""
    if not _VERSION.match(text) or len(text) > DMARC_RECORD:
        return None
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, _, value = part.partition("=")
        tags.setdefault(name.strip().lower(), value.strip())
    wanted = {name: tags[name].lower() for name in ("p", "sp", "np") if name in tags}
    if "p" not in wanted or not set(wanted.values()) <= set(DMARC_POLICIES):
        # A record that is broken, but wants reports, counts as p=none.
        if not _URI.match(tags.get("rua", "")):
            return None
        wanted = {"p": "none"}
    sp = wanted.get("sp", wanted["p"])
    return DmarcRecord(
        p=wanted["p"],
        sp=sp,
        np=wanted.get("np", sp),
        is_strict_dkim=tags.get("adkim", "r").lower() == "s",
        is_strict_spf=tags.get("aspf", "r").lower() == "s",
        psd=tags.get("psd", "u").lower(),
        is_test=tags.get("t", "n").lower() == "y",
    )


def author_domains(domains: Sequence[str]) -> tuple[str, ...]:
    """Return the domains of From in the form that the DNS knows, each once."""
    return tuple(dict.fromkeys(ascii_domain(domain) for domain in domains if domain))


def check_dmarc(
    authors: Sequence[str],
    spf: Callable[[], Check[SpfResult]],
    dkim: Callable[[], Check[Sequence[DkimResult]]],
) -> Check[DmarcResult]:
    """Check the domains of From, as author_domains gives them; of several, what is worst counts.

    spf, dkim: begin the checks, or repeat what they found; they run only for a domain that has a record.
    Never raises.
    """
    if not authors:
        return DmarcResult(Verdict.NONE, reason="From has no domain")
    if len(authors) > DMARC_AUTHORS:
        return DmarcResult(
            Verdict.PERMERROR, authors[0], reason=f"From has more than {DMARC_AUTHORS} domains"
        )
    found, tree = [], _Tree()
    for author in authors:
        found.append((yield from _check_one(author, tree, spf, dkim)))
    return max(found, key=_badness)


def _badness(result: DmarcResult) -> tuple[int, int]:
    order = (Verdict.PASS, Verdict.NONE, Verdict.PERMERROR, Verdict.TEMPERROR, Verdict.FAIL)
    return order.index(result.verdict), DMARC_POLICIES.index(result.policy)


def _check_one(
    author: str,
    tree: _Tree,
    spf: Callable[[], Check[SpfResult]],
    dkim: Callable[[], Check[Sequence[DkimResult]]],
) -> Check[DmarcResult]:
    if not is_domain(author):
        return DmarcResult(
            Verdict.PERMERROR, author[:255], reason="From has no domain that can be asked"
        )
    try:
        found = yield from _policy(author, tree)
        if found is None:
            return DmarcResult(Verdict.NONE, author, reason="the domain has no DMARC record")
        record, policy = found
        sent, signed = (yield from spf()), (yield from dkim())
        by = yield from _aligned(author, record, sent, signed, tree, Verdict.PASS)
        unsure = by or (yield from _aligned(author, record, sent, signed, tree, Verdict.TEMPERROR))
    except _NoAnswer as error:
        return DmarcResult(Verdict.TEMPERROR, author, reason=str(error))
    if by:
        return DmarcResult(Verdict.PASS, author, policy, by)
    if unsure:
        return DmarcResult(Verdict.TEMPERROR, author, policy, f"{unsure} can't be checked now")
    return DmarcResult(Verdict.FAIL, author, policy, "neither SPF nor DKIM stands for the domain")


def _policy(author: str, tree: _Tree) -> Check[tuple[DmarcRecord, str] | None]:
    """Return the record that holds for a domain, and what it asks for (RFC 9989 §4.10.1). Raises _NoAnswer."""
    own = yield from _record(author, tree)
    if own is not None:
        return own, _softened(own.p, own)
    walked = yield from _walk(author, tree)
    if not walked:
        return None
    domain = _organizational(author, walked)
    record = walked.get(domain) or walked[min(walked, key=_labels)]
    policy = record.sp
    if record.np != record.sp:
        told = yield AskDns(author, "a")
        if told.is_temporary:
            raise _NoAnswer(f"the DNS does not answer for {author}")
        policy = record.np if told.is_nameless else record.sp
    return record, _softened(policy, record)


def _softened(policy: str, record: DmarcRecord) -> str:
    """RFC 9989 §4.7, t=y: the policy is one step weaker than it says."""
    return DMARC_POLICIES[max(0, DMARC_POLICIES.index(policy) - 1)] if record.is_test else policy


def _aligned(
    author: str,
    record: DmarcRecord,
    sent: SpfResult,
    signed: Sequence[DkimResult],
    tree: _Tree,
    verdict: Verdict,
) -> Check[str]:
    """Return what has this result for the domain or one that is aligned with it, else "". Raises _NoAnswer.

    Only those count, also for TEMPERROR: a stranger could sign with a domain of his own that does not answer.
    """
    having = [(s.domain, record.is_strict_dkim, "DKIM") for s in signed if s.verdict is verdict]
    if sent.verdict is verdict:
        having.append((sent.domain, record.is_strict_spf, "SPF"))
    for domain, _, by in having:
        if domain == author:
            return f"{by} of {domain}"
    top = author.rpartition(".")[2]
    for domain, is_strict, by in having:
        if is_strict or domain.rpartition(".")[2] != top or not is_domain(domain):
            continue
        ours = _organizational(author, (yield from _walk(author, tree)))
        if ours == _organizational(domain, (yield from _walk(domain, tree))):
            return f"{by} of {domain}"
    return ""


def _walk(domain: str, tree: _Tree) -> Check[dict[str, DmarcRecord]]:
    """Return the records at a domain and above it, by name (RFC 9989 §4.10). Raises _NoAnswer."""
    found: dict[str, DmarcRecord] = {}
    labels = domain.split(".")
    target = labels
    while target:
        name = ".".join(target)
        record = yield from _record(name, tree)
        if record is not None:
            found[name] = record
            if record.psd == "n" or (record.psd == "y" and target is not labels):
                break
        # Names of eight labels and more are looked for at themselves, then from seven labels on.
        target = target[1:] if len(target) < DMARC_QUERIES else target[1 - DMARC_QUERIES :]
    return found


def _organizational(start: str, walked: dict[str, DmarcRecord]) -> str:
    """Return the organizational domain out of a walk (RFC 9989 §4.10.2)."""
    for name in sorted(walked, key=_labels, reverse=True):
        if walked[name].psd == "n":
            return name
        if walked[name].psd == "y" and name != start:
            return ".".join(start.split(".")[-_labels(name) - 1 :])
    return min(walked, key=_labels) if walked else start


def _labels(name: str) -> int:
    return name.count(".") + 1


def _record(domain: str, tree: _Tree) -> Check[DmarcRecord | None]:
    """Return the record of one name; None if it has none, or several. Raises _NoAnswer."""
    if domain in tree.known:
        return tree.known[domain]
    told = yield AskDns(f"_dmarc.{domain}", "txt")
    if told.is_temporary:
        raise _NoAnswer(f"the DNS does not answer for _dmarc.{domain}")
    texts = [text for text in told.records if _VERSION.match(text)]
    tree.known[domain] = parse_dmarc(texts[0]) if len(texts) == 1 else None
    return tree.known[domain]


def ascii_domain(domain: str) -> str:
    """Return a domain in lower case and A-labels, without a last dot; what can't be so written stays as it is."""
    domain = domain.lower().removesuffix(".")
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except UnicodeError:  # idna.IDNAError is one
        return domain
