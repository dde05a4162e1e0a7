"""enotify (RFC 5435): notify of mail, with the method mailto (RFC 5436).

Pure. run/notify.py writes the notification.
"""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from columba.sieve.core.actions import add_action
from columba.sieve.core.matching import MATCH_TAGS, value_test
from columba.sieve.ext.rfc5230_vacation import is_mailbox
from columba.sieve.ext.rfc5436_mailto import Mailto, is_mailto, parse_mailto
from columba.sieve.ext.rfc8580_fcc import chosen_copy
from columba.sieve.lang.binding import Bound, as_strings
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import CONTENT
from columba.sieve.lang.words import Extension, Kind, Modifier, Positional, Tag, Word
from columba.sieve.run.actions import FileInto, Notify
from columba.sieve.run.code import Code, plain
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.result import most_notifications
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text, clean, constant_text, truncate

_IMPORTANCE: Final = frozenset({"1", "2", "3"})
_PROHIBITED: Final = "local policy prohibits the use of a notify action"
# RFC 5435 §3.6
_OPTION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*=")
_ONLINE: Final = "maybe"  # RFC 5436 §2.1: whether the recipient reads mail now is not known


def build_notify(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5435 §3."""
    if most_notifications(compiler.limits) == 0:
        compiler.error(bound.at, _PROHIBITED)
        return None
    method, place = compiler.text(bound.string(0)), compiler.place(bound.at)
    wrong = wrong_method(method.constant) if method.constant is not None else ""
    if wrong:
        compiler.error(bound.string(0).at, wrong)
        return None
    texts = _texts(compiler, bound)
    if texts is None:
        return None
    copy = chosen_copy(compiler, bound)

    def run_notify(run: Run) -> int:
        if most_notifications(run.limits) == 0:
            raise ScriptFailure(_PROHIBITED, place)
        uri = parse_mailto(method.get(run))
        if uri is None:
            raise ScriptFailure(wrong_method(method.get(run)), place)
        sender, importance = texts["from"].get(run), texts["importance"].get(run)
        if sender and not is_mailbox(sender):
            raise ScriptFailure(f"the :from address '{clean(sender)[:100]}' is invalid", place)
        message = clean(texts["message"].get(run))
        action = _action(uri, clean(sender), importance, message, copy(run))
        return add_action(run, action, place)

    return plain(run_notify)


def _texts(compiler: Compiler, bound: Bound) -> dict[str, Text] | None:
    """Return the parameters of tags; None after an error."""
    texts: dict[str, Text] = {}
    for name in ("from", "importance", "message"):
        node = bound.parameter(name)
        texts[name] = compiler.text(node) if node is not None else constant_text("")
        known = texts[name].constant
        if node is None or known is None:
            continue
        if name == "importance" and known not in _IMPORTANCE:
            compiler.error(node.at, f"the importance '{known[:20]}' is invalid: it is 1, 2 or 3")
            return None
        if name == "from" and not is_mailbox(known):
            compiler.error(node.at, f"the :from address '{known[:100]}' is invalid")
            return None
    options = bound.tags.get("options")
    if options is not None:
        for option, text in zip(
            nodes := as_strings(options.parameter), compiler.texts(nodes), strict=True
        ):
            if text.constant is not None and not _OPTION.match(text.constant):
                compiler.error(
                    option.at, f"'{option.value[:60]}' is no option of the form name=value"
                )
                return None
            compiler.warn(option.at, "the method mailto knows no options")
    return texts


def wrong_method(uri: str) -> str:
    """Return what is wrong with a method, or ""."""
    if not is_mailto(uri):
        return f"unknown notification method '{clean(uri)[:60]}'"
    return "" if parse_mailto(uri) is not None else f"invalid URI '{clean(uri)[:100]}'"


def _action(
    uri: Mailto, sender: str, importance: str, message: str, copy: FileInto | None
) -> Notify:
    return Notify(
        to=uri.to,
        cc=uri.cc,
        bcc=uri.bcc,
        sender=sender,
        importance=importance or "2",
        message=message,
        subject=uri.subject,
        body=uri.body,
        fields=uri.fields,
        copy=copy,
    )


def build_valid(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5435 §4: true if all of them can be used."""
    uris = compiler.texts(bound.strings(0))
    return plain(lambda run: not any(wrong_method(uri.get(run)) for uri in uris))


def build_capability(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5435 §5: the one capability that is known is "online"."""
    uri, name = compiler.text(bound.string(0)), compiler.text(bound.string(1))

    def values(run: Run) -> Sequence[str]:
        known = name.get(run).lower() == "online" and not wrong_method(uri.get(run))
        return (_ONLINE,) if known else ()

    return value_test(compiler, bound, values, bound.strings(2))


def encode_url(value: str, limit: int) -> str:
    """RFC 5435 §6: all but unreserved characters as %XX; never cut within one, nor within a character."""
    short = truncate(value, limit)
    encoded = quote(short.encode("utf-8", "surrogateescape"), safe="-._~")
    while len(encoded) > limit:
        short = short[: min(len(short) - 1, max(1, len(short) * limit // len(encoded)))]
        encoded = quote(short.encode("utf-8", "surrogateescape"), safe="-._~")
    grown = len(short)
    while grown < len(value):
        more = quote(value[grown].encode("utf-8", "surrogateescape"), safe="-._~")
        if len(encoded) + len(more) > limit:
            break
        encoded, grown = encoded + more, grown + 1
    return encoded


_URI: Final = Positional(Kind.STRING, "notification URI")
_KEYS: Final = Positional(Kind.STRINGS, "key list")

ENOTIFY: Final = Extension(
    "enotify",
    words=(
        Word(
            "notify",
            False,
            build_notify,
            (Positional(Kind.STRING, "method"),),
            (
                Tag("from", takes=Kind.STRING),
                Tag("importance", takes=Kind.STRING),
                Tag("options", takes=Kind.STRINGS),
                Tag("message", takes=Kind.STRING),
            ),
        ),
        Word(
            "valid_notify_method",
            True,
            build_valid,
            (Positional(Kind.STRINGS, "notification URIs"),),
        ),
        Word(
            "notify_method_capability",
            True,
            build_capability,
            (_URI, Positional(Kind.STRING, "capability"), _KEYS),
            MATCH_TAGS,
        ),
    ),
    joins=(
        (
            "set",
            (Tag("encodeurl", "modifier of precedence 15", meaning=Modifier(15, encode_url)),),
        ),
    ),
    stages=CONTENT,
)
