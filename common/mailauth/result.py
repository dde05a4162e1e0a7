"""What checks of a mail's origin find, and what they ask meanwhile.

Pure: a check is a generator that yields questions and is sent answers; it never waits and never raises for what a
stranger wrote. Who drives it knows the DNS, and sets the deadline: past it, every answer is TEMPORARY.
Sources: RFC 8601 §2.7 (names of results), RFC 7208 §2.6, RFC 6376 §6.1, RFC 9989 §4.
"""

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeVar

from columba.common.limits import DOMAIN, DOMAIN_LABEL

QuestionType = Literal["a", "aaaa", "mx", "ptr", "txt"]
BodyForm = Literal["simple", "relaxed"]


class Verdict(Enum):
    """RFC 8601 §2.7. SPF has no policy, DKIM no softfail; each module says which it gives."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"
    FAIL = "fail"
    SOFTFAIL = "softfail"
    POLICY = "policy"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True)
class AskDns:
    """A question to the DNS. type "ptr": the name is already that below in-addr.arpa or ip6.arpa."""

    name: str
    type: QuestionType


@dataclass(frozen=True, slots=True)
class AskBody:
    """Asks for the SHA-256 of the body as it was received, in each of these canonical forms (RFC 6376 §3.4)."""

    forms: tuple[BodyForm, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """An answer. records: addresses, names, "10 mx.example" or texts; of a body, its hashes in hexadecimal.

    is_temporary: there is no answer now; is_nameless: the name does not exist (NXDOMAIN), nor any below it.
    """

    records: tuple[str, ...] = ()
    is_temporary: bool = False
    is_nameless: bool = False


DMARC_POLICIES: Final = ("none", "quarantine", "reject")  # weakest first
TEMPORARY: Final = Told(is_temporary=True)
Ask = AskDns | AskBody
_T = TypeVar("_T")
Check = Generator[Ask, Told, _T]  # returns what was found


def domain_of(address: str) -> str:
    """Return the domain of an address, in lower case without a last dot; "" if it has none."""
    return address.rpartition("@")[2].lower().removesuffix(".") if "@" in address else ""


def is_domain(name: str) -> bool:
    """Tell whether a name can be asked: labels of 1 to 63 octets, no more than 253 together."""
    labels = name.removesuffix(".").split(".")
    is_short = len(name.encode("utf-8", "surrogateescape")) <= DOMAIN - 1
    return is_short and all(0 < len(label) <= DOMAIN_LABEL for label in labels)
