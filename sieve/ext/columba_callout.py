"""vnd.columba.callout: ask the next hop about a recipient before it is accepted. docs/sieve/vnd.columba.callout.md.

Pure. A hop that can't be reached, or answers 4xx, is a temporary error, unless the script says :lenient: then the
recipient counts as accepted, and the hop decides later.
"""

from dataclasses import replace
from typing import Final

from columba.sieve.ext.columba_parts import AS_TAG, put_result, result_variable
from columba.sieve.ext.columba_route import CHECKS, KIND, PORT_LAST, host_and_port
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import Stage
from columba.sieve.lang.words import Extension, Kind, Tag, Word
from columba.sieve.run.code import Asked, Code, asking
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.requests import Callout, Said, Unavailable
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text, clean, constant_text

_STAGES: Final = frozenset({Stage.RCPT, Stage.DATA, Stage.DELIVERY})
_NOTHING: Final = constant_text("")


def build_callout(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `callout`: true if the hop takes the recipient."""
    place, variable = compiler.place(bound.at), result_variable(compiler, bound)
    port, texts = bound.number_parameter("port"), _texts(compiler, bound)
    if port is not None and not 0 < port.value <= PORT_LAST:
        compiler.error(port.at, f"a port is 1 to {PORT_LAST}")
        return None
    if variable is None or texts is None:
        return None
    kind = tag.tag.name if (tag := bound.in_group(KIND)) else "mx"
    is_lenient, shows_sender = bound.has("lenient"), bound.has("real_sender")
    question = Callout(kind, port=port.value if port else 0, holds=bound.has("hold"))

    def value(run: Run, name: str) -> str:
        found = clean(texts[name].get(run))
        wrong = _wrong(name, found) if found else ""
        if wrong:
            raise ScriptFailure(f"callout :{name} takes {wrong}, but got {found!a:.100}", place)
        return found

    def question_of(run: Run) -> Callout:
        target, said_port = host_and_port(value(run, "domain" if kind == "mx" else kind))
        is_path = target.startswith("/")
        first = str(run.envelope.recipients[0]) if run.envelope.recipients else ""
        return replace(
            question,
            host="" if is_path else target,
            path=target if is_path else "",
            port=question.port or said_port,
            tls=value(run, "tls") or "may",
            sender=clean(str(run.envelope.sender or "")) if shows_sender else value(run, "sender"),
            recipient=value(run, "recipient") or clean(first),
        )

    def run_callout(run: Run) -> Asked:
        asked = question_of(run)
        if not asked.recipient:
            raise ScriptFailure("callout has no recipient to ask about", place)
        answer = yield asked
        if isinstance(answer, Said):
            put_result(run, variable, f"{answer.code} {answer.enhanced} {answer.text}", place)
            if not 400 <= answer.code < 500:
                return answer.code < 400
        if is_lenient:
            return True
        why = answer.text if isinstance(answer, Said | Unavailable) else ""
        raise ScriptFailure(f"callout has no answer: {why}", place)

    return asking(run_callout)


def _texts(compiler: Compiler, bound: Bound) -> dict[str, Text] | None:
    """Return the string parameters; constant ones are checked now. None after an error."""
    texts: dict[str, Text] = {}
    for name in ("relay", "lmtp", "domain", "tls", "sender", "recipient"):
        node = bound.parameter(name)
        texts[name] = compiler.text(node) if node is not None else _NOTHING
        wrong = _wrong(name, texts[name].constant) if node is not None else ""
        if node is not None and wrong:
            compiler.error(node.at, f"the :{name} tag of the callout test takes {wrong}")
            return None
    return texts


def _wrong(name: str, value: str | None) -> str:
    """Return what a parameter takes, if its value is something else."""
    check = CHECKS.get(name)
    return "" if check is None or value is None or check[0](value) else check[1]


CALLOUT: Final = Extension(
    "vnd.columba.callout",
    words=(
        Word(
            "callout",
            True,
            build_callout,
            tags=(
                AS_TAG,
                Tag("mx", KIND),
                Tag("relay", KIND, Kind.STRING),
                Tag("lmtp", KIND, Kind.STRING),
                *(Tag(t, takes=Kind.STRING) for t in ("domain", "tls", "sender", "recipient")),
                Tag("port", takes=Kind.NUMBER),
                Tag("real_sender"),
                Tag("lenient"),
                Tag("hold"),
            ),
            stages=_STAGES,
        ),
    ),
)
