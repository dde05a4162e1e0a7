"""Read an SPF record.

Pure: text to terms. The whole record is read before anything is evaluated, because a mistake anywhere in it makes
its result permerror (RFC 7208 §4.6). Macros stay as they are: spf_macro.py expands them.
Source: RFC 7208 §4.5, §4.6.1, §5, §6, §12 (the grammar).
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from columba.common.limits import SPF_RECORD
from columba.common.mailauth.result import Verdict

QUALIFIERS: Final = {
    "+": Verdict.PASS,
    "-": Verdict.FAIL,
    "~": Verdict.SOFTFAIL,
    "?": Verdict.NEUTRAL,
}
# macro-expand = ( "%{" macro-letter *DIGIT ["r"] *delimiter "}" ) / "%%" / "%_" / "%-"
MACRO: Final = re.compile(r"%(?:\{([A-Za-z])([0-9]*)([rR]?)([-.+,/_=]*)\}|([%_-]))")
# The letters c, r and t stand only in explanations (RFC 7208 §7.2).
_LETTERS: Final = frozenset("slodiphv")
_EXP_LETTERS: Final = _LETTERS | frozenset("crt")
_VISIBLE: Final = re.compile(r"[\x21-\x7e]*")
_TERM: Final = re.compile(r"([-+?~]?)([A-Za-z][A-Za-z0-9_.-]*)(.*)", re.DOTALL)
# domain-spec [ip4-cidr-length] ["/" ip6-cidr-length]; a "/" may stand in the domain-spec too
_CIDR: Final = re.compile(r"(.*?)(?:/(0|[1-9][0-9]?))?(?://(0|[1-9][0-9]{0,2}))?", re.DOTALL)
# toplabel = ( *alphanum ALPHA *alphanum ) / ( 1*alphanum "-" *( alphanum / "-" ) alphanum )
_ALL_DIGITS: Final = re.compile(r"[0-9]+")
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SpfSyntaxError(ValueError):
    """A record that can't be read: permerror."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """A term that may match. domain: its domain-spec, "" where it has none; network: of ip4 and ip6."""

    result: Verdict
    name: str
    domain: str = ""
    bits4: int = 32
    bits6: int = 128
    network: Network | None = None


@dataclass(frozen=True, slots=True)
class SpfRecord:
    """What a record says; redirect and exp are domain-specs, "" where there is none."""

    mechanisms: tuple[Mechanism, ...]
    redirect: str = ""
    exp: str = ""


def is_spf(text: str) -> bool:
    """Tell whether a TXT record is one of SPF (RFC 7208 §4.5)."""
    return text[:6].lower() == "v=spf1" and text[6:7] in ("", " ")


def parse_record(text: str) -> SpfRecord:
    """Return the terms of a record, for which is_spf is true. Raises SpfSyntaxError."""
    if len(text) > SPF_RECORD:
        raise SpfSyntaxError(f"the record is longer than {SPF_RECORD} octets")
    if not text.isascii():
        raise SpfSyntaxError("the record is not ASCII")  # RFC 7208 §3.1
    mechanisms: list[Mechanism] = []
    modifiers: dict[str, str] = {}
    for term in text[6:].split(" "):
        if not term:
            continue
        match = _TERM.fullmatch(term)
        if match is None or not _VISIBLE.fullmatch(term):
            raise SpfSyntaxError(f"{term!a:.60} is no term")
        qualifier, name, rest = match.groups()
        if rest.startswith("=") and not qualifier:
            _modifier(modifiers, name.lower(), rest[1:])
        else:
            mechanisms.append(_mechanism(QUALIFIERS[qualifier or "+"], name.lower(), rest, term))
    return SpfRecord(tuple(mechanisms), modifiers.get("redirect", ""), modifiers.get("exp", ""))


def check_macros(text: str, *, is_explanation: bool = False) -> None:
    """Raise SpfSyntaxError unless text is a macro-string (RFC 7208 §7.1)."""
    end = 0
    known = _EXP_LETTERS if is_explanation else _LETTERS
    for match in MACRO.finditer(text):
        if "%" in text[end : match.start()]:
            break
        end = match.end()
        if match[1] and match[1].lower() not in known:
            raise SpfSyntaxError(f"there is no macro {match[0]:.20}")
        if match[2] and int(match[2][:4]) == 0:
            raise SpfSyntaxError(f"{match[0]:.20} keeps no part")
    if "%" in text[end:]:
        raise SpfSyntaxError(f"{text!a:.60} has a % that begins no macro")


def _modifier(known: dict[str, str], name: str, value: str) -> None:
    if name in ("redirect", "exp"):
        if name in known:
            raise SpfSyntaxError(f"{name} stands twice")  # RFC 7208 §6
        _check_domain(value)
    else:
        check_macros(value)  # unknown modifiers are ignored, if they are written right
    known[name] = value


def _mechanism(result: Verdict, name: str, rest: str, term: str) -> Mechanism:
    match name:
        case "all" if not rest:
            return Mechanism(result, name)
        case "include" | "exists" if rest.startswith(":"):
            return Mechanism(result, name, _check_domain(rest[1:]))
        case "ptr" if not rest or rest.startswith(":"):
            return Mechanism(result, name, _check_domain(rest[1:]) if rest else "")
        case "a" | "mx":
            return _with_cidr(result, name, rest, term)
        case "ip4" | "ip6" if rest.startswith(":"):
            return Mechanism(result, name, network=_network(name, rest[1:], term))
    raise SpfSyntaxError(f"{term!a:.60} is no mechanism")


def _with_cidr(result: Verdict, name: str, rest: str, term: str) -> Mechanism:
    match = _CIDR.fullmatch(rest)
    assert match is not None
    domain, bits4, bits6 = match[1], int(match[2] or 32), int(match[3] or 128)
    if bits4 > 32 or bits6 > 128 or (domain and not domain.startswith(":")):
        raise SpfSyntaxError(f"{term!a:.60} is no mechanism")
    return Mechanism(result, name, _check_domain(domain[1:]) if domain else "", bits4, bits6)


def _network(name: str, text: str, term: str) -> Network:
    address, slash, bits = text.partition("/")
    if slash and not (bits.isdecimal() and (bits == "0" or not bits.startswith("0"))):
        raise SpfSyntaxError(f"{term!a:.60} has no valid length")
    try:
        if name == "ip4":
            return ipaddress.IPv4Network(text, strict=False)
        if "%" in address:
            raise SpfSyntaxError(f"{term!a:.60} has a zone")
        return ipaddress.IPv6Network(text, strict=False)
    except ValueError as error:
        raise SpfSyntaxError(f"{term!a:.60}: {error}"[:200]) from error


def _check_domain(spec: str) -> str:
    """Return a domain-spec: macro-string domain-end. Raises SpfSyntaxError."""
    check_macros(spec)
    if any(match.end() == len(spec) and match[1] for match in MACRO.finditer(spec)):
        return spec
    head, dot, top = spec.removesuffix(".").rpartition(".")
    if (
        not dot
        or not _LABEL.fullmatch(top)
        or _ALL_DIGITS.fullmatch(top)
        or not _tail_is_free(head, top)
    ):
        raise SpfSyntaxError(f"{spec!a:.60} is no domain")
    return spec


def _tail_is_free(head: str, top: str) -> bool:
    """Tell whether the dot before the top label stands outside of any macro."""
    return "}" not in top and head.rfind("%{") <= head.rfind("}")
