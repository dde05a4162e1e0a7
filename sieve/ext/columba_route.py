"""vnd.columba.route: choose where a recipient's mail goes. docs/sieve/vnd.columba.route.md.

Pure. A route is a setting, not a delivery: it says where kept mail goes, the last one holds, and it leaves
the implicit keep as it is.
"""

import re
from collections.abc import Callable
from typing import Final, cast, get_args

from columba.sieve.core.actions import add_action
from columba.sieve.ext.columba_parts import table_name
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import PER_RECIPIENT, Stage
from columba.sieve.lang.words import Extension, Kind, Tag, Word
from columba.sieve.run.actions import RouteKind, RouteTo, TlsDemand
from columba.sieve.run.code import Code, plain
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text, constant_text

KIND: Final = "kind of route"
_TAGS: Final = (
    Tag("mx", KIND),
    Tag("relay", KIND, Kind.STRING),
    Tag("lmtp", KIND, Kind.STRING),
    Tag("maildir", KIND, Kind.STRING),
    Tag("discard", KIND),
    Tag("domain", takes=Kind.STRING),
    Tag("port", takes=Kind.NUMBER),
    Tag("tls", takes=Kind.STRING),
    Tag("source", takes=Kind.STRING),
    Tag("helo", takes=Kind.STRING),
    Tag("sign", takes=Kind.STRING),
    Tag("auth", takes=Kind.STRING),
    Tag("concurrency", takes=Kind.NUMBER),
    Tag("timeout", takes=Kind.NUMBER),
)
_SENDING: Final = {"port", "tls", "source", "helo", "sign", "concurrency", "timeout"}
# Which options go with which kind of route.
_OPTIONS: Final = {
    "mx": {"domain", *_SENDING},
    "relay": {"auth", *_SENDING},
    "lmtp": {"auth", *_SENDING},
    "maildir": set[str](),
    "discard": set[str](),
}
_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,253})|\[[0-9A-Fa-f:.]{2,45}\]")
_ADDRESS: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}")
# A path below the mail root: no part of it may lead out of there.
_MAILDIR: Final = re.compile(
    r"(?!\.{1,2}(?:/|$))[^/\x00-\x1f\x7f]+(?:/(?!\.{1,2}(?:/|$))[^/\x00-\x1f\x7f]+)*"
)
_SOCKET: Final = re.compile(r"/[^\x00-\x1f\x7f]{1,106}")
PORT_LAST: Final = 65535
_WITH_PORT: Final = re.compile(r"(.+):([0-9]{1,5})")
# The least and the most of each number.
_NUMBERS: Final = {"port": (1, PORT_LAST), "concurrency": (1, 10_000), "timeout": (5, 86_400)}
_NONE: Final = constant_text("")
_STAGES: Final = PER_RECIPIENT | {Stage.RETRY}


def _is_host(value: str) -> bool:
    return _HOST.fullmatch(value) is not None


def _is_tls(value: str) -> bool:
    return value in get_args(TlsDemand)


def host_and_port(text: str) -> tuple[str, int]:
    """Split what :relay and :lmtp take, "host" or "host:port"; port 0: none is said. A path has none."""
    found = None if text.startswith("/") else _WITH_PORT.fullmatch(text)
    is_port = found is not None and _is_host(found[1]) and 0 < int(found[2]) <= PORT_LAST
    return (found[1], int(found[2])) if found is not None and is_port else (text, 0)


def _is_hop(value: str) -> bool:
    return _is_host(host_and_port(value)[0])


CHECKS: Final[dict[str, tuple[Callable[[str], bool], str]]] = {
    "relay": (_is_hop, "a host name or an [address]"),
    "lmtp": (lambda v: _is_hop(v) or bool(_SOCKET.fullmatch(v)), "a host or an absolute path"),
    "maildir": (lambda v: bool(_MAILDIR.fullmatch(v)), "a path below the mail root"),
    "domain": (_is_host, "a domain"),
    "source": (lambda v: bool(_ADDRESS.fullmatch(v)), "an IP address"),
    "helo": (_is_host, "a host name"),
    "sign": (_is_host, "a domain"),
    "tls": (_is_tls, "none, may, encrypt or verify"),
}


def build_route(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `route`."""
    kind = bound.in_group(KIND)
    if kind is None:
        kinds = ", ".join(":" + name for name in _OPTIONS)
        compiler.error(bound.at, f"the route command requires one of {kinds}")
        return None
    for name, tag in bound.tags.items():
        if name != kind.tag.name and name not in _OPTIONS[kind.tag.name]:
            compiler.error(tag.at, f"the :{name} tag can't be used with :{kind.tag.name}")
            return None
    numbers = _numbers(compiler, bound)
    texts = _texts(compiler, bound)
    table = _table(compiler, bound)
    if texts is None or numbers is None or table is None:
        return None
    return _code(compiler, bound, kind.tag.name, texts, numbers, table)


def _numbers(compiler: Compiler, bound: Bound) -> dict[str, int] | None:
    """Return the number parameters, 0 where a tag does not stand; None after an error."""
    found: dict[str, int] = {}
    for name, (least, most) in _NUMBERS.items():
        node = bound.number_parameter(name)
        if node is not None and not least <= node.value <= most:
            compiler.error(node.at, f"the :{name} of a route is {least} to {most}")
            return None
        found[name] = node.value if node else 0
    return found


def _table(compiler: Compiler, bound: Bound) -> str | None:
    """Return the look-up table that has the credentials, "" for none; None after an error."""
    node = bound.parameter("auth")
    return "" if node is None else table_name(compiler, node)


def _texts(compiler: Compiler, bound: Bound) -> dict[str, Text] | None:
    """Return the string parameters; constant ones are checked now."""
    texts: dict[str, Text] = {}
    for name, (is_right, wanted) in CHECKS.items():
        node = bound.parameter(name)
        if node is None:
            continue
        texts[name] = text = compiler.text(node)
        if text.constant is not None and not is_right(text.constant):
            compiler.error(node.at, f"the :{name} tag of the route command takes {wanted}")
            return None
    return texts


def _code(
    compiler: Compiler,
    bound: Bound,
    kind: str,
    texts: dict[str, Text],
    numbers: dict[str, int],
    table: str,
) -> Code:
    place = compiler.place(bound.at)

    def value(run: Run, name: str) -> str:
        if name not in texts:
            return ""
        found = texts[name].get(run)
        is_right, wanted = CHECKS[name]
        if not is_right(found):
            raise ScriptFailure(f"route :{name} takes {wanted}, but got {found!a:.100}", place)
        return found

    def run_route(run: Run) -> int:
        target = value(run, kind) if kind in CHECKS else value(run, "domain")
        is_path = kind == "maildir" or (kind == "lmtp" and target.startswith("/"))
        said_port = 0
        if kind in ("relay", "lmtp"):
            target, said_port = host_and_port(target)
        action = RouteTo(
            kind=cast(RouteKind, kind),
            host="" if is_path else target,
            port=numbers["port"] or said_port,
            path=target if is_path else "",
            tls=cast(TlsDemand, value(run, "tls") or "may"),
            source=value(run, "source"),
            helo=value(run, "helo"),
            sign=value(run, "sign").lower(),
            auth=table,
            concurrency=numbers["concurrency"],
            timeout_s=numbers["timeout"],
        )
        return add_action(run, action, place)

    return plain(run_route)


ROUTE: Final = Extension(
    "vnd.columba.route",
    words=(Word("route", False, build_route, tags=_TAGS, stages=_STAGES),),
)
