"""vnd.columba.log: a line of one's own in the log. docs/sieve/vnd.columba.log.md.

Pure. The line is written also when the script fails further on; its words are constant, what varies stands in fields.
"""

import re
from typing import Final, Literal, cast

from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import GO, Code, plain
from columba.sieve.run.state import Run, Said
from columba.sieve.run.values import clean, truncate

_LEVEL: Final = "level"
_FIELD: Final = re.compile(r"([a-z][a-z0-9_]{0,31})=(.*)", re.DOTALL)
_TEXT_BYTES: Final = 200
_VALUE_BYTES: Final = 400
_FIELDS: Final = 16
# What the line has anyway.
_TAKEN: Final = frozenset({"id", "session", "script"})


def build_log(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `log`."""
    tag, place = bound.in_group(_LEVEL), compiler.place(bound.at)
    level = cast(Literal["debug", "info", "warning", "error"], tag.tag.name if tag else "info")
    words = compiler.constant(bound.string(0), "the words of a log line")
    if words is None:
        return None
    fields = []
    nodes = bound.strings(1)
    if len(nodes) > _FIELDS:
        compiler.error(nodes[_FIELDS].at, f"a log line has at most {_FIELDS} fields")
        return None
    for node in nodes:
        match = _FIELD.fullmatch(node.value)
        if match is None or match[1] in _TAKEN:
            compiler.error(node.at, f"'{node.value[:60]}' is no field of the form name=value")
            return None
        fields.append((match[1], compiler.text(node)))

    def run_log(run: Run) -> int:
        said = tuple((name, _value(text.get(run))) for name, text in fields)
        run.say(Said(level, _line(words), said, place))
        return GO

    return plain(run_log)


def _value(text: str) -> str:
    return clean(truncate(text.partition("=")[2], _VALUE_BYTES))


def _line(words: str) -> str:
    return " ".join(clean(truncate(words, _TEXT_BYTES)).split())


LOG: Final = Extension(
    "vnd.columba.log",
    words=(
        Word(
            "log",
            False,
            build_log,
            (Positional(Kind.STRING, "words"), Positional(Kind.STRINGS, "fields")),
            tuple(Tag(name, _LEVEL) for name in ("debug", "info", "warning", "error")),
            optional_last=1,
        ),
    ),
)
