"""fcc (RFC 8580): :fcc stores a copy of what vacation and notify send.

Pure. The copy takes the tags that fileinto has for its folder.
"""

from collections.abc import Callable
from typing import Final

from columba.sieve.core.actions import chosen_flags
from columba.sieve.ext.rfc5228_fileinto import mailbox_problem
from columba.sieve.ext.rfc8579_special_use import is_use
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import PER_RECIPIENT
from columba.sieve.lang.words import Extension, Kind, Tag
from columba.sieve.run.actions import FileInto
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.state import Run

# RFC 8580 §3.2: each of these needs the extension that brings it to fileinto.
_OPTIONS: Final = {"flags": "imap4flags", "create": "mailbox", "specialuse": "special-use"}
_TAGS: Final = (
    Tag("fcc", takes=Kind.STRING),
    Tag("flags", takes=Kind.STRINGS),
    Tag("create"),
    Tag("specialuse", takes=Kind.STRING),
)


def chosen_copy(compiler: Compiler, bound: Bound) -> Callable[[Run], FileInto | None]:
    """Return what gives where a copy is stored; None is nowhere. Notes errors."""
    node, place = bound.parameter("fcc"), compiler.place(bound.at)
    for tag, extension in _OPTIONS.items():
        if not bound.has(tag):
            continue
        if node is None:
            compiler.error(bound.tags[tag].at, f"the :{tag} tag of the {bound.word} requires :fcc")
        elif extension not in compiler.required:
            text = f"the :{tag} tag of the {bound.word} requires the extension '{extension}'"
            compiler.error(bound.tags[tag].at, text)
    if node is None:
        return lambda run: None
    name, flags = compiler.text(node), chosen_flags(compiler, bound)
    problem = mailbox_problem(name.constant) if name.constant is not None else ""
    if problem:
        compiler.error(node.at, f"invalid mailbox name '{name.constant!a:.100}': {problem}")
    use_node = bound.parameter("specialuse")
    use = compiler.text(use_node) if use_node is not None else None
    is_use(compiler, use_node, use)
    creates = bound.has("create")

    def copy(run: Run) -> FileInto | None:
        mailbox = name.get(run)
        if wrong := mailbox_problem(mailbox):
            raise ScriptFailure(f"invalid folder name {mailbox!a:.100}: {wrong}", place)
        chosen = flags(run) if bound.has("flags") else ()
        return FileInto(
            mailbox, flags=chosen, creates=creates, special_use=use.get(run) if use else ""
        )

    return copy


FCC: Final = Extension(
    "fcc",
    joins=(("vacation", _TAGS), ("notify", _TAGS)),
    stages=PER_RECIPIENT,
)
