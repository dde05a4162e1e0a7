"""The actions of RFC 5228 §4 that need no extension: keep, discard, redirect.

Pure.
"""

from collections.abc import Callable
from typing import Final

from columba.common.mail.addresses import Mailbox, parse_addresses
from columba.sieve.core.wishes import chosen_wishes
from columba.sieve.lang.binding import Bound, as_strings
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.errors import Position
from columba.sieve.lang.limits import list_name
from columba.sieve.lang.stage import DISPOSITION
from columba.sieve.lang.words import Kind, Positional, Word
from columba.sieve.run.actions import Action, Discard, Keep, Redirect
from columba.sieve.run.code import GO, Code, plain
from columba.sieve.run.envelope import Path, parse_path
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.flags import internal_flags, split_flags
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text, clean


def add_action(run: Run, action: Action, place: Position) -> int:
    """Add an action to the result with the message as it is now; go on."""
    message = run.message
    if message.enclosed is not None and isinstance(action, Redirect):
        message = message.enclosed  # RFC 5703 §6: enclose does not affect what is redirected
    run.result.add(action, message, place)
    return GO


def build_keep(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5228 §4.3."""
    place, flags = compiler.place(bound.at), chosen_flags(compiler, bound)
    return plain(lambda run: add_action(run, Keep(flags(run)), place))


def chosen_flags(compiler: Compiler, bound: Bound) -> Callable[[Run], tuple[str, ...] | None]:
    """Return what gives the flags of what is stored: :flags, else the internal variable (RFC 5232 §5)."""
    if "imap4flags" not in compiler.required:
        return lambda run: None
    tag = bound.tags.get("flags")
    if tag is None:
        return internal_flags
    texts = compiler.texts(as_strings(tag.parameter))
    return lambda run: split_flags(text.get(run) for text in texts)


def build_discard(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5228 §4.4."""
    place = compiler.place(bound.at)
    return plain(lambda run: add_action(run, Discard(), place))


def build_redirect(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5228 §4.2; RFC 3894 adds :copy."""
    node, place = bound.string(0), compiler.place(bound.at)
    target, is_copy = compiler.text(node), bound.has("copy")
    wishes = chosen_wishes(compiler, bound)
    if wishes is None:
        return None
    if bound.has("list"):
        return plain(lambda run: _redirect_to_list(run, target, place, is_copy))
    if target.constant is not None and target_address(target.constant) is None:
        compiler.error(node.at, f"redirect address '{target.constant[:100]}' is invalid")
        return None

    def run_redirect(run: Run) -> int:
        text = target.get(run)
        address = target_address(text)
        if address is None:
            raise ScriptFailure(f"redirect address '{text[:100]}' is invalid", place)
        return add_action(run, Redirect(address, is_copy, wishes(run)), place)

    return plain(run_redirect)


def _redirect_to_list(run: Run, name: Text, place: Position, is_copy: bool) -> int:
    """RFC 6134 §2.5: send to each address of a list."""
    for item in sorted(run.limits.lists.get(list_name(name.get(run)), ())):
        address = target_address(item)
        if address is not None:
            add_action(run, Redirect(address, is_copy), place)
    return GO


def target_address(text: str) -> str | None:
    """Return an address with a domain in its plainest form, or None if this is none.

    RFC 5228 §2.4.2.3: it may have a name before it, but no route.
    """
    if clean(text) != text:
        return None
    path = _named(text) if "<" in text or "(" in text else parse_path(text)
    if path is None or not path.domain or path.domain.startswith(".") or ".." in path.domain:
        return None
    return None if text.startswith("@") or path.domain.endswith(".") else str(path)


def _named(text: str) -> Path | None:
    found = parse_addresses(text.encode("utf-8"))
    if not found.is_clean or len(found.entries) != 1 or "<@" in text:
        return None
    box = found.entries[0]
    return Path(box.local, box.domain) if isinstance(box, Mailbox) else None


WORDS: Final = (
    Word("keep", False, build_keep, stages=DISPOSITION),
    Word("discard", False, build_discard, stages=DISPOSITION),
    Word(
        "redirect", False, build_redirect, (Positional(Kind.STRING, "address"),), stages=DISPOSITION
    ),
)
