"""mime, foreverypart, extracttext (RFC 5703 §3, §4, §7): look at the parts of a message.

Pure. core/fields.py and core/mimefields.py do what :mime means for header, address and exists.
"""

from typing import Final

from columba.sieve.core.fields import current_parts, parts_below
from columba.sieve.core.mimefields import OPTION_TAGS
from columba.sieve.ext.rfc5173_body import part_text
from columba.sieve.ext.rfc5229_variables import MODIFIER_TAGS, store, variable_name
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import CONTENT
from columba.sieve.lang.tree import Command
from columba.sieve.lang.words import Extension, Kind, Modifier, Positional, Tag, Word
from columba.sieve.run.code import BREAK, GO, Asked, Code, asking, evaluate, plain
from columba.sieve.run.state import Run
from columba.sieve.run.values import truncate

LOOPS: Final = 4  # how deep they may be nested


def build_foreverypart(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5703 §3: the block is run for each part, depth first; a loop in a loop sees the parts below."""
    assert isinstance(bound.node, Command)
    node = bound.parameter("name")
    name = compiler.constant(node, "the name of a loop") if node is not None else ""
    if name is None:
        return None
    if len(compiler.loops) >= LOOPS:
        compiler.error(bound.at, f"more than {LOOPS} foreverypart commands are nested")
        return None
    compiler.loops.append(name)
    block = compiler.block(bound.node.block or ())
    compiler.loops.pop()

    def run_parts(run: Run) -> Asked:
        outer = run.part
        flow = GO
        for number in _numbers(run):
            run.part = number
            flow = yield from evaluate(block, run)
            if flow == BREAK and run.leaving in ("", name):
                run.leaving, flow = "", GO
                break
            if flow != GO:
                break
        run.part = outer
        return flow

    def run_plain(run: Run) -> int:
        try:
            next(run_parts(run))
        except StopIteration as end:
            flow: int = end.value
            return flow
        raise AssertionError("plain code asked")

    return asking(run_parts) if block.plain is None else plain(run_plain)


def _numbers(run: Run) -> list[str]:
    """Return the parts of a loop: all of the message, or those below the part of the outer loop."""
    if run.part is None:
        return [part.number for part in run.message.structure.parts]
    return [part.number for part in parts_below(run.message, run.part)[1:]]


def build_break(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5703 §3.2: leave the innermost loop, or the one that is named."""
    node = bound.parameter("name")
    name = compiler.constant(node, "the name of a loop") if node is not None else ""
    if name is None:
        return None
    if not compiler.loops:
        compiler.error(bound.at, "the break command may stand only within foreverypart")
        return None
    if name and name not in compiler.loops:
        compiler.error(bound.at, f"there is no foreverypart command named '{name[:60]}' around")
        return None

    def run_break(run: Run) -> int:
        run.leaving = name
        return BREAK

    return plain(run_break)


def build_extracttext(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5703 §7: put the text of the part into a variable."""
    if "variables" not in compiler.required:
        compiler.error(bound.at, "the extracttext command requires the extension 'variables'")
        return None
    if not compiler.loops:
        compiler.error(bound.at, "the extracttext command may stand only within foreverypart")
        return None
    name = variable_name(compiler, bound.string(0))
    if name is None:
        return None
    place, first = compiler.place(bound.at), bound.number_parameter("first")
    meanings = [tag.tag.meaning for tag in bound.tags.values()]
    modifiers = [meaning for meaning in meanings if isinstance(meaning, Modifier)]
    modifiers.sort(key=lambda modifier: -modifier.precedence)

    def run_extract(run: Run) -> int:
        part, limit = current_parts(run)[0], run.limits.variable_bytes
        text = ""
        if part.content_type.type == "text":
            text = part_text(part, run.message.read_body())
        if first is not None:
            text = text[: first.value]
        text = truncate(text, limit)
        for modifier in modifiers:
            text = modifier.change(text, limit)
        store(run, name, text, place)
        return GO

    return plain(run_extract)


_MIME: Final = (Tag("mime"), Tag("anychild"))
_NAME: Final = (Tag("name", takes=Kind.STRING),)

MIME: Final = Extension(
    "mime",
    joins=(("header", (*_MIME, *OPTION_TAGS)), ("address", _MIME), ("exists", _MIME)),
    stages=CONTENT,
)
FOREVERYPART: Final = Extension(
    "foreverypart",
    words=(
        Word("foreverypart", False, build_foreverypart, tags=_NAME, has_block=True),
        Word("break", False, build_break, tags=_NAME),
    ),
    stages=CONTENT,
)
EXTRACTTEXT: Final = Extension(
    "extracttext",
    words=(
        Word(
            "extracttext",
            False,
            build_extracttext,
            (Positional(Kind.STRING, "variable name"),),
            (Tag("first", takes=Kind.NUMBER), *MODIFIER_TAGS),
        ),
    ),
    stages=CONTENT,
)
