"""vnd.columba.mailauth: what SPF, DKIM, DMARC and ARC say of a mail's origin. docs/sieve/vnd.columba.mailauth.md.

Pure. Each check runs when a script first asks for its result, and once for a mail: what was found stands in
Run.inquiry, and SPF's result goes from stage to stage beside the session's variables, under a name that no script can
say. The service drives the check (run/requests.Inquire).
"""

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

from columba.common.mailauth.result import DMARC_POLICIES, Check, Verdict
from columba.common.mailauth.spf import SpfResult
from columba.sieve.core.matching import (
    MATCH_TAGS,
    chosen_comparator,
    chosen_match_type,
    chosen_matcher,
)
from columba.sieve.ext.columba_parts import AS_TAG, put_result, result_variable
from columba.sieve.lang.binding import Bound, as_strings
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import Stage
from columba.sieve.lang.tree import String
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import Asked, Code, asking
from columba.sieve.run.match import IS
from columba.sieve.run.requests import Inquire
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text, clean

if TYPE_CHECKING:
    from columba.common.mailauth.inquiry import Inquiry

ITEM: Final = "vnd.columba."
MEMO: Final = (
    "mailauth.spf"  # the variable that keeps SPF's result; with its dot no script can name it
)
_SEPARATOR: Final = "\x1f"
_SPF_STAGES: Final = frozenset({Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.DELIVERY})
_DATA_STAGES: Final = frozenset({Stage.DATA, Stage.DELIVERY})
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._@+=/-]")
_COMMON: Final = ("none", "pass", "fail", "temperror", "permerror")
VERDICTS: Final = {
    "spf": (*_COMMON, "neutral", "softfail"),
    "dkim": (*_COMMON, "neutral", "policy"),
    "dmarc": _COMMON,
    "arc": ("none", "pass", "fail", "temperror"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a test compares and tells. values: verdicts; text: all of it; items: of the environment."""

    values: Sequence[str]
    text: str
    items: dict[str, str]


Look = Callable[[Run, "Inquiry"], Finding]


class _Checks(Protocol):
    """The module of Inquiry. It is imported when a script is compiled that needs it: dkimpy takes long to load."""

    Inquiry: "type[Inquiry]"


def inquiry_of(run: Run) -> "Inquiry":
    """Return what is known of the mail of this run; begun anew if it is about another mail or sender."""
    known, items = run.inquiry, run.environment
    sender = clean(str(run.envelope.sender or ""))
    header = run.received.header
    if known is None or known.sender != sender or known.header is not header:
        ip, helo = items.get("remote-ip", ""), items.get(ITEM + "helo", "")
        known = _checks().Inquiry(ip, helo, sender, header, items.get("host", ""), int(run.wall_s))
        known.known_spf = remembered(run.variables.get(MEMO, ""), known)
        run.inquiry = known
    return known


def remember(found: SpfResult, of: "Inquiry") -> str:
    """Return SPF's result as a text that remembered reads."""
    about = (of.ip, of.helo, of.sender)
    said = (found.verdict.value, found.domain, found.reason, found.explanation)
    return _SEPARATOR.join(clean(part).replace(_SEPARATOR, " ") for part in (*about, *said))


def remembered(text: str, of: "Inquiry") -> SpfResult | None:
    """Return the result that an earlier stage found for the same client, name and sender, else None."""
    parts = text.split(_SEPARATOR)
    if len(parts) != 7 or tuple(parts[:3]) != (of.ip, of.helo, of.sender):
        return None
    if parts[3] not in VERDICTS["spf"]:
        return None
    return SpfResult(Verdict(parts[3]), *parts[4:])


def build_spf(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `spf`."""
    if bound.has("helo"):
        return _built(compiler, bound, lambda run: inquiry_of(run).helo_spf(), _of_helo)
    return _built(compiler, bound, lambda run: inquiry_of(run).spf(), _of_spf)


def build_dkim(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `dkim`: with :domain, only signatures of these domains are looked at."""
    domains = _texts(compiler, bound, "domain")

    def look(run: Run, known: "Inquiry") -> Finding:
        wanted = {text.get(run).lower() for text in domains}
        found = [r for r in known.known_dkim or () if not domains or r.domain in wanted]
        texts = [
            f"dkim={r.verdict.value} header.d={_safe(r.domain)} header.s={_safe(r.selector)}"
            for r in found
        ]
        passed = dict.fromkeys(r.domain for r in found if r.verdict is Verdict.PASS)
        items = {"dkim-domains": " ".join(_safe(domain) for domain in passed)}
        return Finding(
            [r.verdict.value for r in found] or ["none"], "; ".join(texts) or "dkim=none", items
        )

    return _built(compiler, bound, lambda run: inquiry_of(run).dkim(), look)


def build_dmarc(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `dmarc`: with :policy, it is false unless the owner of the domain asks for one of these."""
    policies = _texts(compiler, bound, "policy")
    for text, node in zip(policies, _nodes(bound, "policy"), strict=True):
        if text.constant is not None and text.constant.lower() not in DMARC_POLICIES:
            compiler.error(node.at, f"the policies of DMARC are {', '.join(DMARC_POLICIES)}")
            return None

    def look(run: Run, known: "Inquiry") -> Finding:
        found = known.known_dmarc
        assert found is not None
        verdict, wanted = found.verdict.value, {text.get(run).lower() for text in policies}
        text = f"dmarc={verdict} policy.dmarc={found.policy} header.from={_safe(found.domain)}"
        items = {
            "dmarc": verdict,
            "dmarc-domain": _safe(found.domain),
            "dmarc-policy": found.policy,
        }
        return Finding([verdict] if not policies or found.policy in wanted else [], text, items)

    return _built(compiler, bound, lambda run: inquiry_of(run).dmarc(), look)


def build_arc(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `arc`: with :domain, only a chain that one of these sealed last is looked at."""
    domains = _texts(compiler, bound, "domain")

    def look(run: Run, known: "Inquiry") -> Finding:
        found = known.known_arc
        assert found is not None
        wanted = {text.get(run).lower() for text in domains}
        values = [found.verdict.value] if not domains or found.sealer in wanted else []
        text = f"arc={found.verdict.value}" + (
            f" header.d={_safe(found.sealer)}" if found.sealer else ""
        )
        return Finding(
            values, text, {"arc": found.verdict.value, "arc-sealer": _safe(found.sealer)}
        )

    return _built(compiler, bound, lambda run: inquiry_of(run).arc(), look)


def _of_spf(run: Run, known: "Inquiry") -> Finding:
    found = known.known_spf
    assert found is not None
    run.variables[MEMO] = remember(found, known)
    what = "mailfrom" if known.sender else "helo"
    return _spf_finding(found, f"spf={found.verdict.value} smtp.{what}={_safe(found.domain)}")


def _of_helo(run: Run, known: "Inquiry") -> Finding:
    found = known.known_helo or known.known_spf
    assert found is not None
    return _spf_finding(found, f"spf={found.verdict.value} smtp.helo={_safe(found.domain)}")


def _spf_finding(found: SpfResult, text: str) -> Finding:
    items = {
        "spf": found.verdict.value,
        "spf-domain": _safe(found.domain),
        "spf-text": found.explanation,
    }
    return Finding([found.verdict.value], text, items)


def _built(
    compiler: Compiler, bound: Bound, begin: Callable[[Run], Check[object]], look: Look
) -> Code | None:
    """Make the code of a test: have the check made, then compare what it found."""
    _checks()
    place, variable = compiler.place(bound.at), result_variable(compiler, bound)
    kind, keys, name = chosen_match_type(bound), bound.strings(0), bound.word.name
    for key in keys if kind is IS else ():
        constant = compiler.text(key).constant
        if constant is not None and constant.lower() not in VERDICTS[name]:
            compiler.error(key.at, f"the results of {name} are {', '.join(VERDICTS[name])}")
            return None
    matcher = chosen_matcher(compiler, bound, kind, chosen_comparator(compiler, bound), keys)
    if variable is None or matcher is None:
        return None

    def run_check(run: Run) -> Asked:
        yield Inquire(name, begin(run))
        finding = look(run, inquiry_of(run))
        run.environment = {**run.environment, **{ITEM + k: v for k, v in finding.items.items()}}
        put_result(run, variable, finding.text, place)
        return matcher(run, finding.values)

    return asking(run_check)


def _checks() -> _Checks:
    return cast("_Checks", importlib.import_module("columba.common.mailauth.inquiry"))


def _nodes(bound: Bound, tag: str) -> Sequence[String]:
    found = bound.tags.get(tag)
    return as_strings(found.parameter) if found else ()


def _texts(compiler: Compiler, bound: Bound, tag: str) -> Sequence[Text]:
    return compiler.texts(tuple(_nodes(bound, tag)))


def _safe(text: str) -> str:
    """Return a stranger's word as it may stand in a header field."""
    return _UNSAFE.sub("?", text)


_KEYS: Final = (Positional(Kind.STRINGS, "results"),)
_DOMAIN: Final = Tag("domain", takes=Kind.STRINGS)
MAILAUTH: Final = Extension(
    "vnd.columba.mailauth",
    words=(
        Word("spf", True, build_spf, _KEYS, (AS_TAG, Tag("helo"), *MATCH_TAGS), stages=_SPF_STAGES),
        Word("dkim", True, build_dkim, _KEYS, (AS_TAG, _DOMAIN, *MATCH_TAGS), stages=_DATA_STAGES),
        Word(
            "dmarc",
            True,
            build_dmarc,
            _KEYS,
            (AS_TAG, Tag("policy", takes=Kind.STRINGS), *MATCH_TAGS),
            stages=_DATA_STAGES,
        ),
        Word("arc", True, build_arc, _KEYS, (AS_TAG, _DOMAIN, *MATCH_TAGS), stages=_DATA_STAGES),
    ),
    stages=_SPF_STAGES,
)
