"""duplicate (RFC 7352): was this message, or one like it, seen before?

Pure. No memory of earlier messages is attached yet, so nothing is a duplicate; hence only the tester has it.
"""

from typing import Final

from columba.sieve.core.tests import FIELD_NAME
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import TESTER
from columba.sieve.lang.words import Extension, Kind, Tag, Word
from columba.sieve.run.code import Code, plain

_SOURCE: Final = "source of the unique id"


def build_duplicate(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 7352 §3."""
    header = bound.parameter("header")
    for name in ("handle", "uniqueid"):
        node = bound.parameter(name)
        if node is not None:
            compiler.text(node)
    if header is not None:
        name_text = compiler.text(header)
        if name_text.constant is not None and not FIELD_NAME.fullmatch(name_text.constant):
            compiler.warn(header.at, f"'{header.value[:60]}' is not a valid header field name")
    return plain(lambda run: False)


DUPLICATE: Final = Extension(
    "duplicate",
    words=(
        Word(
            "duplicate",
            True,
            build_duplicate,
            tags=(
                Tag("handle", takes=Kind.STRING),
                Tag("header", _SOURCE, Kind.STRING),
                Tag("uniqueid", _SOURCE, Kind.STRING),
                Tag("seconds", takes=Kind.NUMBER),
                Tag("last"),
            ),
        ),
    ),
    stages=TESTER,
)
