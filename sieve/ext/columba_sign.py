"""vnd.columba.sign: which keys sign a mail that leaves. docs/sieve/vnd.columba.sign.md.

Pure. The keys themselves are known to the dkim-signer alone; here they have names.
"""

import re
from typing import Final

from columba.sieve.core.actions import add_action
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import PER_RECIPIENT, Stage
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.actions import SignAs
from columba.sieve.run.code import GO, Code, plain
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.state import Run

# RFC 6376 §3.1: a selector is one or more sub-domains.
_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?")
_STAGES: Final = PER_RECIPIENT | {Stage.DATA}


def build_sign(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `sign` and `seal`."""
    place, word = compiler.place(bound.at), bound.word.name
    node = bound.parameter("selector")
    nodes = (*bound.strings(0), *([node] if node is not None else ()))
    for each in nodes:
        known = compiler.text(each).constant
        if known is not None and _NAME.fullmatch(known) is None:
            compiler.error(each.at, f"{word} takes a domain name, not {known!a:.80}")
            return None
    domains = compiler.texts(bound.strings(0))
    selector = compiler.text(node) if node is not None else None

    def name(text: str) -> str:
        if _NAME.fullmatch(text) is None:
            raise ScriptFailure(f"{word} takes a domain name, but got {text!a:.80}", place)
        return text.lower()

    def run_sign(run: Run) -> int:
        chosen = name(selector.get(run)) if selector is not None else ""
        for domain in domains:
            add_action(run, SignAs(name(domain.get(run)), chosen, word == "seal"), place)
        return GO

    return plain(run_sign)


def _word(name: str) -> Word:
    return Word(
        name,
        False,
        build_sign,
        (Positional(Kind.STRINGS, "domains"),),
        (Tag("selector", takes=Kind.STRING),),
        stages=_STAGES,
    )


SIGN: Final = Extension("vnd.columba.sign", words=(_word("sign"), _word("seal")))
