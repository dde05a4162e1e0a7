"""vnd.columba.queue: what the queue does with a mail. docs/sieve/vnd.columba.queue.md.

Pure. In data and route it says how a mail is to be queued, if it is; in retry it decides about the next try, in
bounce about the report.
"""

import re
from collections.abc import Callable
from typing import Final, cast

from columba.sieve.core.actions import add_action, target_address
from columba.sieve.lang.binding import Bound, as_strings
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import Stage
from columba.sieve.lang.words import Extension, Kind, Tag, Word
from columba.sieve.run.actions import DsnReturns, QueueAs, WriteDsn
from columba.sieve.run.code import Code, plain
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text, clean, truncate

_MAIL: Final = frozenset({Stage.RCPT, Stage.DATA, Stage.ROUTE, Stage.DELIVERY})
_QUEUE: Final = _MAIL | {Stage.RETRY, Stage.BOUNCE}
_PRIORITY_LAST: Final = 9
_RETRIES: Final = 50
_TIME: Final = re.compile(r"([0-9]{1,8}) ?(s|secs?|m|mins?|h|hours?|d|days?|w|weeks?)")
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
TIME_MAX_S: Final = 365 * 86_400
# Which tags have a meaning where: only the queue can give up, and a bounce is no longer tried.
_TAG_STAGES: Final = {
    "give_up": frozenset({Stage.RETRY, Stage.DELIVERY}),
    "retry": _QUEUE - {Stage.BOUNCE},
    "expire": _QUEUE - {Stage.BOUNCE},
    "priority": _QUEUE - {Stage.BOUNCE},
}
_RETURNS: Final = "amount that goes back"


def parse_time(text: str) -> int | None:
    """Return seconds: "90 secs", "5m", "2 days"; None if this is no time from a second to a year."""
    match = _TIME.fullmatch(text.strip().lower())
    seconds = int(match[1]) * _UNITS_S[match[2][0]] if match else 0
    return seconds if 0 < seconds <= TIME_MAX_S else None


def build_queue(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `queue`."""
    if not bound.tags:
        compiler.error(bound.at, "the queue command requires at least one tag")
        return None
    for name, tag in bound.tags.items():
        if compiler.stage not in _TAG_STAGES.get(name, _QUEUE):
            text = (
                f"the :{name} tag of the queue command can't be used in the {compiler.stage} stage"
            )
            compiler.error(tag.at, text)
            return None
    times = _times(compiler, bound, "retry"), _times(compiler, bound, "expire")
    priority = _priority(compiler, bound)
    if None in times or priority is None:
        return None
    retry, expire = cast("tuple[Times, Times]", times)
    hold, give_up = _words(compiler, bound, "hold"), _words(compiler, bound, "give_up")
    place = compiler.place(bound.at)

    def run_queue(run: Run) -> int:
        delays = retry(run)
        lasts = expire(run)
        action = QueueAs(
            hold=hold(run),
            priority=priority if bound.has("priority") else None,
            retry_s=delays or None,
            expire_s=lasts[0] if lasts else None,
            give_up=give_up(run),
        )
        return add_action(run, action, place)

    return plain(run_queue)


Times = Callable[[Run], tuple[int, ...]]


def _times(compiler: Compiler, bound: Bound, name: str) -> Times | None:
    """Return what gives the times of a tag, none if it does not stand; None after an error."""
    tag = bound.tags.get(name)
    nodes = as_strings(tag.parameter) if tag is not None else ()
    texts, place = compiler.texts(nodes), compiler.place(bound.at)
    if len(nodes) > _RETRIES:
        compiler.error(nodes[0].at, f"more than {_RETRIES} times")
        return None
    for node, text in zip(nodes, texts, strict=True):
        if text.constant is not None and parse_time(text.constant) is None:
            compiler.error(node.at, f"'{text.constant[:40]}' is no time such as \"10 mins\"")
            return None

    def seconds(run: Run, text: Text) -> int:
        said = text.get(run)
        found = parse_time(said)
        if found is None:
            raise ScriptFailure(f"queue :{name} takes a time, but got {said!a:.40}", place)
        return found

    return lambda run: tuple(seconds(run, text) for text in texts)


def _priority(compiler: Compiler, bound: Bound) -> int | None:
    """Return the priority, 0 if it is not said; None after an error. It is a string, for numbers have no sign."""
    node = bound.parameter("priority")
    if node is None:
        return 0
    text = compiler.constant(node, "a priority")
    if text is None:
        return None
    if re.fullmatch(r"-?[0-9]", text) is None:
        compiler.error(node.at, f"a priority is -{_PRIORITY_LAST} to {_PRIORITY_LAST}")
        return None
    return int(text)


def _words(compiler: Compiler, bound: Bound, name: str) -> Callable[[Run], str | None]:
    node = bound.parameter(name)
    if node is None:
        return lambda run: None
    text = compiler.text(node)
    return lambda run: " ".join(clean(truncate(text.get(run), 400)).split()) or "policy"


def build_dsn(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `dsn`."""
    kind = bound.in_group(_RETURNS)
    text_node, copy_node = bound.parameter("text"), bound.parameter("copy")
    text = compiler.text(text_node) if text_node is not None else None
    copy = compiler.text(copy_node) if copy_node is not None else None
    place = compiler.place(bound.at)
    wrong = "the :copy tag of the dsn command takes an address"
    if copy is not None and copy.constant is not None and target_address(copy.constant) is None:
        compiler.error(bound.at, wrong)
        return None
    returns = cast(DsnReturns, kind.tag.name) if kind is not None else "full"

    def run_dsn(run: Run) -> int:
        to = copy.get(run) if copy is not None else ""
        address = target_address(to) if to else ""
        if address is None:
            raise ScriptFailure(f"{wrong}, but got {to!a:.80}", place)
        words = clean(truncate(text.get(run), run.limits.reply_bytes)) if text is not None else ""
        return add_action(run, WriteDsn(returns, words, address), place)

    return plain(run_dsn)


QUEUE: Final = Extension(
    "vnd.columba.queue",
    words=(
        Word(
            "queue",
            False,
            build_queue,
            tags=(
                Tag("hold", takes=Kind.STRING),
                Tag("priority", takes=Kind.STRING),
                Tag("retry", takes=Kind.STRINGS),
                Tag("expire", takes=Kind.STRING),
                Tag("give_up", takes=Kind.STRING),
            ),
            stages=_QUEUE,
        ),
        Word(
            "dsn",
            False,
            build_dsn,
            tags=(
                Tag("none", _RETURNS),
                Tag("headers", _RETURNS),
                Tag("full", _RETURNS),
                Tag("text", takes=Kind.STRING),
                Tag("copy", takes=Kind.STRING),
            ),
            stages=frozenset({Stage.RETRY, Stage.BOUNCE, Stage.DELIVERY}),
        ),
    ),
)
