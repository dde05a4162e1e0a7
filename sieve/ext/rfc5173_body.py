"""body (RFC 5173): look at what follows the header.

Pure. :text is :content "text", with the tags of HTML taken out. Matches never set match variables (§6).
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from columba.common.mail.mime import Part
from columba.sieve.core.matching import MATCH_TAGS, value_test
from columba.sieve.lang.binding import Bound, as_strings
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import CONTENT
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import Code
from columba.sieve.run.html import visible_text
from columba.sieve.run.message import Message
from columba.sieve.run.state import Run

_TRANSFORM: Final = "body transform"
_TEXT_TYPES: Final = ("text",)


def build_body(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5173 §3."""
    values: Callable[[Run], Sequence[str]] = lambda run: text_values(run.message)  # noqa: E731
    if bound.has("raw"):
        values = lambda run: raw_values(run.message)  # noqa: E731
    elif bound.has("content"):
        types = compiler.texts(as_strings(bound.tags["content"].parameter))
        values = lambda run: content_values(  # noqa: E731
            run.message, [text.get(run).lower() for text in types]
        )
    return value_test(compiler, bound, values, bound.strings(0), captures=False)


def raw_values(message: Message) -> Sequence[str]:
    """RFC 5173 §5.1: the body as it came; none if no empty line ends the header."""
    if not message.has_body:
        return ()
    return (message.read_body().decode("utf-8", "surrogateescape"),)


def text_values(message: Message) -> Sequence[str]:
    """RFC 5173 §5.3: the texts in the body."""
    body = message.read_body()
    parts = _leaves_and_all(message)
    return [part_text(part, body) for part in parts if _is_of(part, _TEXT_TYPES)]


def content_values(message: Message, types: Sequence[str]) -> Sequence[str]:
    """RFC 5173 §5.2: what parts of these media types hold, each for itself."""
    body = message.read_body()
    found: list[str] = []
    for part in _leaves_and_all(message):
        if not _is_of(part, types):
            continue
        if part.is_multipart:
            found += _around(message, part, body)
        elif part.is_message:
            found.append(_head(message, part))
        elif part.content_type.type == "text":
            found.append(part.text(body))
        else:
            found.append(part.decoded(body).decode("utf-8", "surrogateescape"))
    return found


def part_text(part: Part, body: bytes) -> str:
    """Return the text of a part, of HTML what people see of it."""
    text = part.text(body)
    if part.content_type.subtype not in {"html", "xhtml"}:
        return text
    return visible_text(text)


def _leaves_and_all(message: Message) -> Sequence[Part]:
    return message.structure.parts if message.has_body else ()


def _is_of(part: Part, types: Sequence[str]) -> bool:
    """RFC 5173 §5.2: "" is every type, one with a stray slash is none."""
    for wanted in types:
        if wanted == "":
            return True
        kind, slash, subtype = wanted.partition("/")
        if not slash and kind == part.content_type.type:
            return True
        if slash and kind and subtype and wanted == part.content_type.name:
            return True
    return False


def _around(message: Message, part: Part, body: bytes) -> list[str]:
    """Return prologue and epilogue of a multipart."""
    content = part.content(body)
    boundary = part.content_type.parameters.get("boundary", "").encode("utf-8", "replace")
    if not boundary:
        return [content.decode("utf-8", "surrogateescape")]
    delimiter = re.compile(rb"(?:\r\n|\A)--" + re.escape(boundary) + rb"(--)?[ \t]*(?:\r\n|\Z)")
    first = delimiter.search(content)
    last = next((m for m in delimiter.finditer(content) if m[1]), None)
    found = [content[: first.start()]] if first else [content]
    if last is not None:
        found.append(content[last.end() :])
    return [piece.decode("utf-8", "surrogateescape") for piece in found]


def _head(message: Message, part: Part) -> str:
    """Return the header of the mail in a message/rfc822 part."""
    number = f"{part.number}.1" if part.number else "1"
    inner = next((p for p in message.structure.parts if p.number == number), None)
    raw = inner.header.raw if inner is not None else b""
    return raw.decode("utf-8", "surrogateescape")


BODY: Final = Extension(
    "body",
    words=(
        Word(
            "body",
            True,
            build_body,
            (Positional(Kind.STRINGS, "key list"),),
            (
                *MATCH_TAGS,
                Tag("raw", _TRANSFORM),
                Tag("content", _TRANSFORM, Kind.STRINGS),
                Tag("text", _TRANSFORM),
            ),
        ),
    ),
    stages=CONTENT,
)
