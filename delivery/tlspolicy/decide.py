"""One demand on TLS, out of all that has a say.

Pure. The route's demand is the only voice so far; DANE, MTA-STS, REQUIRETLS and pins join here, and the strongest wins.
A demand is never lowered because a try failed; `may` alone goes on in clear, since clear is within what it allows.
"""

from dataclasses import dataclass
from enum import Enum

from columba.common.net.check import Check
from columba.delivery.target import TlsDemand


class Use(Enum):
    """Whether STARTTLS is used."""

    NEVER = "never"
    IF_OFFERED = "if offered"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Demand:
    """What a connection must have before mail goes over it."""

    use: Use
    check: Check


def demand(route: TlsDemand, is_unix: bool, requiretls: bool, hides_login: bool = False) -> Demand:
    """Return the demand. A unix socket needs no TLS. RFC 8689 §4.2.1: REQUIRETLS wants a verified name.

    hides_login: a password goes over this connection, and not in clear.
    """
    if is_unix:
        return Demand(Use.NEVER, Check.NOTHING)
    if route == "verify" or requiretls:
        return Demand(Use.ALWAYS, Check.NAME)
    if hides_login:
        return Demand(Use.ALWAYS, Check.NOTHING)
    if route == "none":
        return Demand(Use.NEVER, Check.NOTHING)
    return Demand(Use.ALWAYS if route == "encrypt" else Use.IF_OFFERED, Check.NOTHING)
