"""What a server offers in its answer to EHLO or LHLO.

Pure. The same Extensions is what a server tells (and by it decides which parameters it takes) and what a
client has read. Source: RFC 5321 §4.1.1.1; each extension's own RFC for its arguments.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from columba.common.smtp.abnf import EHLO_KEYWORD
from columba.common.smtp.codes import Reply


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

    def without(self, *keywords: str) -> "Extensions":
        """Return the same without these keywords."""
        return Extensions({k: v for k, v in self.offered.items() if k not in keywords})


NONE: Final = Extensions(MappingProxyType({}))


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
