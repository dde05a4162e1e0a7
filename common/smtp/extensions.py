"""What a server offers in its answer to EHLO or LHLO.

Pure. The same Extensions is what a server tells (and by it decides which parameters it takes) and what a
client has read. Source: RFC 5321 §4.1.1.1; each extension's own RFC for its arguments.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from columba.common.smtp.abnf import EHLO_KEYWORD
from columba.common.smtp.codes import Reply


@dataclass(frozen=True, slots=True)
class Limits:
    """RFC 9422 §4: mails in a session, recipients and recipients' domains in a transaction; 0 = not said."""

    mails: int = 0
    rcpts: int = 0
    rcpt_domains: int = 0


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Extensions:
    """EHLO keywords in capitals, in order, each with its arguments as sent."""

    offered: Mapping[str, tuple[str, ...]]

    def __contains__(self, keyword: object) -> bool:
        return keyword in self.offered

    @property
    def size(self) -> int | None:
        """Return the greatest message size in octets: None = not offered, 0 = no fixed limit (RFC 1870 §4)."""
        if "SIZE" not in self.offered:
            return None
        words = self.offered["SIZE"]
        return int(words[0]) if words and words[0].isascii() and words[0].isdigit() else 0

    @property
    def auth(self) -> tuple[str, ...]:
        """Return the offered SASL mechanisms in capitals."""
        return tuple(word.upper() for word in self.offered.get("AUTH", ()))

    @property
    def limits(self) -> Limits:
        """Return what LIMITS says; a word that is unknown or no number from 1 to 999999 says nothing."""
        words = self.offered.get("LIMITS")
        if not words:
            return NO_LIMITS
        found = dict(word.upper().split("=", 1) for word in words if "=" in word)
        numbers = (_number(found.get(n, "")) for n in ("MAILMAX", "RCPTMAX", "RCPTDOMAINMAX"))
        return Limits(*numbers)

    def without(self, *keywords: str) -> "Extensions":
        """Return the same without these keywords."""
        return Extensions({k: v for k, v in self.offered.items() if k not in keywords})


NONE: Final = Extensions(MappingProxyType({}))
# What a server of ours can offer, in the order of its answer. STARTTLS, AUTH, REQUIRETLS, XCLIENT, XFORWARD and
# FUTURERELEASE are said only where they can be used.
OFFERABLE: Final = (
    "PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES", "LIMITS", "PRDR",
    "FUTURERELEASE", "REQUIRETLS", "XCLIENT", "XFORWARD", "STARTTLS", "AUTH",
)  # fmt: skip


def chosen(default: Iterable[str], words: Sequence[str]) -> tuple[str, ...]:
    """Return the keywords that an administrator's words choose, in the order of OFFERABLE.

    No words: the default. Words with a minus are taken from it; others stand instead of it. Raises ValueError.
    """
    plain = {word.upper() for word in words if not word.startswith("-")}
    taken = {word[1:].upper() for word in words if word.startswith("-")}
    if unknown := sorted((plain | taken) - set(OFFERABLE)):
        raise ValueError(f"{unknown[0]} is not known (use {', '.join(OFFERABLE)})")
    base = plain or set(default)
    return tuple(keyword for keyword in OFFERABLE if keyword in base - taken)


def _number(word: str) -> int:
    return int(word) if word.isascii() and word.isdigit() and len(word) <= 6 else 0


def offer(pairs: Iterable[tuple[str, str]]) -> Extensions:
    """Return what a server offers, from (keyword, arguments separated by blanks)."""
    return Extensions({keyword.upper(): tuple(words.split()) for keyword, words in pairs})


def ehlo_reply(hostname: str, extensions: Extensions) -> Reply:
    """Return the 250 to EHLO or LHLO."""
    lines = (" ".join((keyword, *words)) for keyword, words in extensions.offered.items())
    return Reply(250, "", (hostname, *lines))


def parse_ehlo(reply: Reply) -> Extensions:
    """Return what the lines after the first offer; a line that is no keyword is ignored.

    "AUTH=PLAIN", as some old servers write it, counts as "AUTH PLAIN".
    """
    found: dict[str, tuple[str, ...]] = {}
    for line in reply.lines[1:]:
        words = line.split()
        if words and words[0][:5].upper() == "AUTH=":
            words = ["AUTH", words[0][5:], *words[1:]]
        if words and EHLO_KEYWORD.fullmatch(words[0]):
            keyword = words[0].upper()
            found[keyword] = found.get(keyword, ()) + tuple(words[1:])
    return Extensions(found)
