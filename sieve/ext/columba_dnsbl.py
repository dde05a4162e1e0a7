"""vnd.columba.dnsbl: lists in the DNS of addresses and domains (RFC 5782). docs/sieve/vnd.columba.dnsbl.md.

Pure. All lists are asked at the same time. A list that does not answer, or answers that it does not want to be asked,
has not listed anything; the option columba_dnsbl_unanswered makes a temporary error of it.
"""

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from columba.sieve.ext.columba_parts import AS_TAG, put_result, result_variable
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import Asked, Code, asking
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.requests import Answer, Each, Records, Resolve, Several, Unavailable
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text, clean

OPTION: Final = "columba_dnsbl_unanswered"
LISTS: Final = 32  # of one test
_ITEM: Final = re.compile(r"([A-Za-z0-9_.-]{1,200})(?:=([0-9.\[\];]+))?(?:\*(-?[0-9]{1,4}))?")
_OCTET: Final = re.compile(r"\[([0-9.;]+)\]|([0-9]{1,3})")
_ANY: Final = ((127, 127), (0, 255), (0, 255), (0, 255))
_DOMAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")
_SUBJECT: Final = "what is looked for"
_WRONG: Final = "a list is a zone, perhaps with =CODES (127.0.0.[2..11]) and *WEIGHT"
Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class DnsList:
    """A zone, the ranges that each octet of its answer may be in, and what a listing counts."""

    zone: str
    octets: tuple[Ranges, ...]
    weight: int = 1

    def lists(self, address: str) -> bool:
        """Tell whether an answer of the zone says: listed."""
        try:
            octets = ipaddress.IPv4Address(address).packed
        except ValueError:
            return False
        return all(
            any(low <= octet <= high for low, high in ranges)
            for octet, ranges in zip(octets, self.octets, strict=True)
        )


@lru_cache(maxsize=256)
def parse_list(text: str) -> DnsList | None:
    """Read "zen.example=127.0.0.[2..11]*3"; None if it is none."""
    match = _ITEM.fullmatch(text.strip())
    if match is None:
        return None
    octets = _octets(match[2]) if match[2] else tuple((each,) for each in _ANY)
    if octets is None:
        return None
    return DnsList(match[1].strip(".").lower(), octets, int(match[3] or 1))


def _octets(text: str) -> tuple[Ranges, ...] | None:
    found: list[Ranges] = []
    end = 0
    for match in _OCTET.finditer(text):
        if text[end : match.start()] != ("." if found else ""):
            return None
        end = match.end()
        pairs = [part.partition("..") for part in (match[1] or match[2]).split(";")]
        if not all(low.isdecimal() and (high.isdecimal() or not dots) for low, dots, high in pairs):
            return None
        found.append(tuple((int(low), int(high or low)) for low, _, high in pairs))
    return tuple(found) if len(found) == 4 and end == len(text) else None


def list_name(subject: str, zone: str) -> str:
    """Return the name to ask for an address (RFC 5782 §2.1, §2.4) or a domain (§2.3); "" if it is neither."""
    try:
        ip = ipaddress.ip_address(subject)
    except ValueError:
        return f"{subject}.{zone}" if _DOMAIN.fullmatch(subject) else ""
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    reverse = (mapped or ip).reverse_pointer
    return f"{reverse.removesuffix('.in-addr.arpa').removesuffix('.ip6.arpa')}.{zone}"


def build_dnsbl(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `dnsbl`: true if the weights of the lists that have the subject reach :least."""
    place, nodes = compiler.place(bound.at), bound.strings(0)
    texts, least = compiler.texts(nodes), bound.number_parameter("least")
    variable, reason = result_variable(compiler, bound), result_variable(compiler, bound, "text")
    tag = bound.in_group(_SUBJECT)
    subject_node = bound.parameter(tag.tag.name) if tag else None
    subject_text = compiler.text(subject_node) if subject_node else None
    for node, text in zip(nodes, texts, strict=True):
        if text.constant is not None and parse_list(text.constant) is None:
            compiler.error(node.at, _WRONG)
            return None
    if len(nodes) > LISTS:
        compiler.error(bound.at, f"dnsbl asks at most {LISTS} lists")
        return None
    if variable is None or reason is None:
        return None

    def run_dnsbl(run: Run) -> Asked:
        subject = _subject(run, subject_text)
        lists = [_list(run, text) for text in texts]
        if None in lists:
            raise ScriptFailure(_WRONG, place)
        known = [each for each in lists if each is not None and list_name(subject, each.zone)]
        if not known:
            return False
        answer = yield Several(
            tuple(
                Resolve(list_name(subject, each.zone), "a", list_zone=each.zone) for each in known
            )
        )
        assert isinstance(answer, Each)
        hits = []
        for each, told in zip(known, answer.answers, strict=True):
            if _is_silent(told) and run.limits.options.get(OPTION) == "tempfail":
                raise ScriptFailure(f"the DNS list {each.zone} does not answer", place)
            code = next((a for a in _addresses(told) if each.lists(a)), "")
            if code:
                hits.append((each, code))
        if sum(each.weight for each, _ in hits) < (least.value if least else 1):
            return False
        put_result(run, variable, " ".join(f"{e.zone}={code}" for e, code in hits), place)
        if reason:
            zone = hits[0][0].zone
            told = yield Resolve(list_name(subject, zone), "txt", list_zone=zone)
            put_result(run, reason, told.values[0] if isinstance(told, Records) else "", place)
        return True

    return asking(run_dnsbl)


def _subject(run: Run, text: Text | None) -> str:
    if text is None:
        return run.environment.get("remote-ip", "")
    return clean(text.get(run)).strip().rstrip(".").lower()


def _list(run: Run, text: Text) -> DnsList | None:
    return parse_list(clean(text.get(run)))


def _addresses(answer: Answer) -> tuple[str, ...]:
    """Return the addresses that a list answered. 127.255.255.x says that the question was refused, not a listing."""
    if not isinstance(answer, Records):
        return ()
    return tuple(a for a in answer.values if not a.startswith("127.255.255."))


def _is_silent(answer: Answer) -> bool:
    return isinstance(answer, Unavailable) or (
        isinstance(answer, Records) and not _addresses(answer)
    )


DNSBL: Final = Extension(
    "vnd.columba.dnsbl",
    words=(
        Word(
            "dnsbl",
            True,
            build_dnsbl,
            (Positional(Kind.STRINGS, "lists"),),
            (
                AS_TAG,
                Tag("text", takes=Kind.STRING),
                Tag("address", _SUBJECT, Kind.STRING),
                Tag("domain", _SUBJECT, Kind.STRING),
                Tag("least", takes=Kind.NUMBER),
            ),
        ),
    ),
)
