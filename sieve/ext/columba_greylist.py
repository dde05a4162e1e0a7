"""vnd.columba.greylist: let strangers come again (RFC 6647). docs/sieve/vnd.columba.greylist.md.

Pure. That somebody came is remembered at once, as the mail is refused; that he came again, and so may pass from now
on, is an effect: it is remembered when the mail was delivered or queued.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from columba.common.dict.base import number
from columba.sieve.ext.columba_parts import (
    AS_TAG,
    DICT_TAG,
    affect,
    dict_name,
    found_value,
    key_of,
    need,
    put_result,
    result_variable,
)
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.errors import Position
from columba.sieve.lang.stage import Stage
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import Asked, Code, asking
from columba.sieve.run.effects import Effect
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.requests import DictGet, DictNew, Each, Several
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text, clean

_STAGES: Final = frozenset({Stage.RCPT, Stage.DATA, Stage.ROUTE, Stage.DELIVERY})
_NUMBERS: Final = re.compile(r"[0-9]+")
_REFRESH: Final = 10  # a pass is written again when a tenth of its life is over


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds, and after how many passes a network is trusted; 0: never."""

    delay: int = 300
    window: int = 2 * 86400
    lifetime: int = 36 * 86400
    after: int = 5


def network(address: str) -> str:
    """Return the /24 or /64 of an address: big senders come again from a neighbour."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    ip = mapped or ip
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 64), strict=False))


def triplet(run: Run) -> str:
    """Return network, sender and recipient; numbers in the sender are made equal, as each mail of a list has others."""
    sender, recipients = run.envelope.sender, run.envelope.recipients
    local, _, domain = str(sender or "").lower().rpartition("@")
    to = str(recipients[0]).lower() if recipients else ""
    where = network(run.environment.get("remote-ip", ""))
    return clean(f"{where}/{_NUMBERS.sub('#', local)}@{domain}/{to}")


def build_greylist(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `greylist`: true while the client must wait."""
    place, variable = compiler.place(bound.at), result_variable(compiler, bound)
    name = dict_name(compiler, bound.parameter("dict"))
    nodes = bound.strings(0)
    key = compiler.text(nodes[0]) if nodes else None
    times = _times(bound)
    if name is None or variable is None:
        return None
    if times.delay >= times.window:
        compiler.error(bound.at, "the :window of greylist must be longer than its :delay")
        return None

    def run_greylist(run: Run) -> Asked:
        wanted = _key(run, key, place)
        net = f"grey/net/{network(run.environment.get('remote-ip', ''))}"
        now = int(run.wall_s)
        answer = yield Several((DictGet(name, f"grey/ok/{wanted}"), DictGet(name, net)))
        assert isinstance(answer, Each)
        passed, count = (found_value(need(a, f"dict '{name}'", place)) for a in answer.answers)
        if passed is not None:
            if now - number(passed) > times.lifetime // _REFRESH:
                _pass(run, name, wanted, times, place)
            return False
        if times.after and number(count) >= times.after:
            return False
        asked = DictNew(name, f"grey/first/{wanted}", str(now), times.window)
        first = number(found_value(need((yield asked), f"dict '{name}'", place)))
        left = times.delay - (now - first)
        put_result(run, variable, str(max(0, left)), place)
        if left > 0:
            return True
        _pass(run, name, wanted, times, place)
        affect(run, Effect("add", net, name, expires_s=times.lifetime), place)
        return False

    return asking(run_greylist)


def _times(bound: Bound) -> Times:
    said = {
        tag: number.value
        for tag in ("delay", "window", "lifetime", "after")
        if (number := bound.number_parameter(tag)) is not None
    }
    return Times(**said)


def _key(run: Run, key: Text | None, place: Position) -> str:
    wanted = key_of(run, key, place) if key is not None else triplet(run)
    if not wanted or len(wanted) > 900:
        raise ScriptFailure("the key of greylist is empty or too long", place)
    return wanted


def _pass(run: Run, name: str, key: str, times: Times, place: Position) -> None:
    now = str(int(run.wall_s))
    effect = Effect("set", f"grey/ok/{key}", name, value=now, expires_s=times.lifetime)
    affect(run, effect, place)


GREYLIST: Final = Extension(
    "vnd.columba.greylist",
    words=(
        Word(
            "greylist",
            True,
            build_greylist,
            (Positional(Kind.STRING, "key"),),
            (
                AS_TAG,
                DICT_TAG,
                *(Tag(t, takes=Kind.NUMBER) for t in ("delay", "window", "lifetime", "after")),
            ),
            stages=_STAGES,
            optional_last=1,
        ),
    ),
)
