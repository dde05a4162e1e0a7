"""What a redirect asks of those who deliver it (RFC 6009 §3, §5): notices, and until when.

Pure.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.run.actions import Wishes
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text, constant_text

# RFC 3461 §4.1 and §4.3; RFC 2852 §4; RFC 6009 §5.
_FORMS: Final = {
    "notify": re.compile(
        r"NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2}", re.IGNORECASE
    ),
    "ret": re.compile(r"FULL|HDRS", re.IGNORECASE),
    "bymode": re.compile(r"notify|return", re.IGNORECASE),
    "bytimeabsolute": re.compile(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.IGNORECASE
    ),
}
BY_MAX_S: Final = 999_999_999  # RFC 2852 §4: nine digits
_NEED_TIME: Final = ("bymode", "bytrace")


def chosen_wishes(compiler: Compiler, bound: Bound) -> Callable[[Run], Wishes | None] | None:
    """Return what gives the wishes of a redirect; None after an error."""
    place = compiler.place(bound.at)
    texts: dict[str, Text] = {}
    for name in _FORMS:
        node = bound.parameter(name)
        texts[name] = text = compiler.text(node) if node is not None else constant_text("")
        if node is not None and text.constant is not None and not _is_right(name, text.constant):
            compiler.error(node.at, f"invalid value '{node.value[:60]}' of the :{name} tag")
            return None
    relative = bound.number_parameter("bytimerelative")
    has_time = relative is not None or bound.has("bytimeabsolute")
    for name in _NEED_TIME:
        if bound.has(name) and not has_time:
            text_of_error = f"the :{name} tag requires :bytimerelative or :bytimeabsolute"
            compiler.error(bound.tags[name].at, text_of_error)
            return None
    if not (bound.tags.keys() & {*_FORMS, "bytimerelative"}):
        return lambda run: None

    def wishes(run: Run) -> Wishes:
        said = {name: text.get(run) for name, text in texts.items()}
        for name, value in said.items():
            if bound.has(name) and not _is_right(name, value):
                raise ScriptFailure(f"invalid value {value!a:.60} of the :{name} tag", place)
        by_s = min(relative.value, BY_MAX_S) if relative is not None else None
        if said["bytimeabsolute"]:
            by_s = int(_instant(said["bytimeabsolute"]).timestamp() - run.wall_s)
        return Wishes(
            notify=said["notify"].upper(),
            ret=said["ret"].upper(),
            by_s=by_s,
            by_mode=said["bymode"].lower(),
            is_traced=bound.has("bytrace"),
        )

    return wishes


def _is_right(name: str, value: str) -> bool:
    """Tell whether a tag may have the value."""
    if not _FORMS[name].fullmatch(value):
        return False
    try:
        return name != "bytimeabsolute" or bool(_instant(value))
    except (ValueError, OverflowError):
        return False


def _instant(text: str) -> datetime:
    """Raises ValueError, OverflowError: no such day, or none that a clock here knows."""
    return datetime.fromisoformat(text.upper()).astimezone(UTC)
