"""vacation (RFC 5230) and vacation-seconds (RFC 6131): answer that one is away.

Pure. run/vacation.py decides who is answered, and writes the reply.
"""

from typing import Final

from columba.common.mail.addresses import parse_mailboxes
from columba.sieve.core.actions import add_action
from columba.sieve.ext.rfc8580_fcc import chosen_copy
from columba.sieve.lang.binding import Bound, as_strings
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import PER_RECIPIENT
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.actions import Vacation
from columba.sieve.run.code import Code, plain
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text, clean, constant_text

DAY_S: Final = 86_400
_PERIOD: Final = "period"
_NONE: Final = constant_text("")


def build_vacation(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5230 §4."""
    texts: dict[str, Text] = {}
    for name in ("subject", "from", "handle"):
        node = bound.parameter(name)
        texts[name] = compiler.text(node) if node is not None else _NONE
    sender = texts["from"]
    node = bound.parameter("from")
    if node is not None and sender.constant is not None and not is_mailbox(sender.constant):
        compiler.error(node.at, f"the :from address '{sender.constant[:100]}' is invalid")
        return None
    tag = bound.tags.get("addresses")
    addresses = compiler.texts(as_strings(tag.parameter)) if tag is not None else ()
    reason, place = compiler.text(bound.string(0)), compiler.place(bound.at)
    period, copy = _period_s(bound), chosen_copy(compiler, bound)
    is_mime = bound.has("mime")

    def run_vacation(run: Run) -> int:
        action = Vacation(
            reason=reason.get(run),
            subject=clean(texts["subject"].get(run)),
            sender=clean(sender.get(run)),
            addresses=tuple(clean(address.get(run)) for address in addresses),
            is_mime=is_mime,
            handle=clean(texts["handle"].get(run)),
            period_s=period,
            copy=copy(run),
        )
        return add_action(run, action, place)

    return plain(run_vacation)


def is_mailbox(text: str) -> bool:
    """Tell whether a text is exactly one address, perhaps with a name."""
    boxes = parse_mailboxes(clean(text).encode("utf-8"))
    return len(boxes) == 1 and bool(boxes[0].domain)


def _period_s(bound: Bound) -> int:
    days, seconds = bound.number_parameter("days"), bound.number_parameter("seconds")
    if seconds is not None:
        return seconds.value
    return days.value * DAY_S if days is not None else 7 * DAY_S


VACATION: Final = Extension(
    "vacation",
    words=(
        Word(
            "vacation",
            False,
            build_vacation,
            (Positional(Kind.STRING, "reason"),),
            (
                Tag("days", _PERIOD, Kind.NUMBER),
                Tag("subject", takes=Kind.STRING),
                Tag("from", takes=Kind.STRING),
                Tag("addresses", takes=Kind.STRINGS),
                Tag("mime"),
                Tag("handle", takes=Kind.STRING),
            ),
        ),
    ),
    stages=PER_RECIPIENT,
)
VACATION_SECONDS: Final = Extension(
    "vacation-seconds",
    joins=(("vacation", (Tag("seconds", _PERIOD, Kind.NUMBER),)),),
    implies=("vacation",),
    stages=PER_RECIPIENT,
)
