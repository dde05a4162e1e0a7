"""Answer what scripts ask from what a test file or the command line pretends: nothing leaves this process.

Tables, dicts, the DNS and next hops are settings of the test file:

    columba_table/NAME/KEY = value
    columba_dict/NAME/KEY = value            a dict is there once one of its keys is set, `default` always
    columba_dns/TYPE/NAME = record | record  "fail" alone: no answer; a first "secure" marks it as validated
    (checks of vnd.columba.mailauth read these records too, and nothing else: MX as "10 mx.example")
    columba_hop/RECIPIENT = 550 5.1.1 Unknown   what a next hop says; without it, 250
    columba_duplicates = yes                    messages are remembered; without it, nothing is a duplicate
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from columba.common.dict.base import Add, Drop, Put
from columba.common.dict.memory import MemoryDict
from columba.common.mailauth.canonical import hash_body
from columba.common.mailauth.result import TEMPORARY, AskBody, AskDns, Told
from columba.sieve.ext.rfc7352_duplicate import SEEN
from columba.sieve.run.effects import MARKS, Effect
from columba.sieve.run.message import Message
from columba.sieve.run.options import is_yes
from columba.sieve.run.requests import (
    Answer,
    Callout,
    DictAdd,
    DictGet,
    DictNew,
    Each,
    Found,
    Inquire,
    Lookup,
    MailboxExists,
    Metadata,
    Missing,
    Records,
    Request,
    Resolve,
    Said,
    Several,
    SpecialUse,
    Unavailable,
)
from columba.sieve.svtest.world import World

DEFAULT: Final = "default"
DICT: Final = "columba_dict/"
DNS: Final = "columba_dns/"
HOP: Final = "columba_hop/"
DUPLICATES: Final = "columba_duplicates"
NO_TABLE: Final = "there is no such table (columba-sieve-test takes --lookup TABLE:KEY=VALUE)"


@dataclass(slots=True)
class Pretended:
    """What is asked beside the pretended mail store. dns: (type, name) to records; hops: recipient to reply."""

    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    dicts: dict[str, MemoryDict] = field(default_factory=dict)
    dns: Mapping[tuple[str, str], str] = field(default_factory=dict)
    hops: Mapping[str, str] = field(default_factory=dict)
    remembers: bool = False

    def dict_of(self, name: str) -> MemoryDict | None:
        """Return a dict; the default one and that of our own marks are always there."""
        if name in (DEFAULT, MARKS):
            return self.dicts.setdefault(name, MemoryDict())
        return self.dicts.get(name)

    def tell(self, settings: Mapping[str, str], tables: Mapping[str, Mapping[str, str]]) -> None:
        """Take what the settings of a test file pretend; dicts keep what they have."""
        dns: dict[tuple[str, str], str] = {}
        hops: dict[str, str] = {}
        for setting, value in settings.items():
            if setting.startswith(DICT):
                name, _, key = setting.removeprefix(DICT).partition("/")
                self.dicts.setdefault(name, MemoryDict()).apply(Put(key, value))
            elif setting.startswith(DNS):
                kind, _, name = setting.removeprefix(DNS).partition("/")
                dns[kind.lower(), name.lower()] = value
            elif setting.startswith(HOP):
                hops[setting.removeprefix(HOP)] = value
        self.tables, self.dns, self.hops = tables, dns, hops
        self.remembers = is_yes(settings, DUPLICATES)

    def commit(self, effects: list[Effect]) -> None:
        """Do the lasting effects of a run, as if its mail was delivered."""
        for effect in effects:
            known = self.dict_of(effect.dict)
            if known is None or (effect.key.startswith(SEEN) and not self.remembers):
                continue
            match effect.kind:
                case "set":
                    known.apply(Put(effect.key, effect.value, effect.expires_s))
                case "add":
                    known.apply(Add(effect.key, effect.amount, effect.expires_s))
                case "unset":
                    known.apply(Drop(effect.key))


def answer(request: Request, pretended: Pretended, world: World) -> Answer:
    """Answer a request."""
    match request:
        case Lookup(table=name, key=key):
            if name not in pretended.tables:
                return Unavailable(NO_TABLE)
            return _found(pretended.tables[name].get(key))
        case DictGet() | DictAdd() | DictNew():
            return _from_dict(request, pretended.dict_of(request.dict))
        case Resolve():
            return _resolved(pretended.dns.get((request.type, request.name.lower().rstrip("."))))
        case Callout(recipient=recipient):
            return _said(pretended.hops.get(recipient, "250 2.1.5 OK"))
        case Several(questions):
            return Each(tuple(answer(question, pretended, world) for question in questions))
        case MailboxExists(mailbox=mailbox):
            return _found("yes" if world.has(mailbox) else None)
        case Metadata(mailbox=mailbox, annotation=annotation):
            return _found(world.annotation(mailbox, annotation))
        case SpecialUse(use=use, mailbox=mailbox):
            return _found("yes" if world.has_use(mailbox, use) else None)
        case _:
            return Missing()


def inquire(asked: Inquire, pretended: Pretended, message: Message) -> Answer:
    """Make a check of a mail's origin with what is pretended of the DNS."""
    check = asked.check
    try:
        ask = next(check)
        while True:
            ask = check.send(_told(ask, pretended, message))
    except StopIteration:
        return Found(asked.name)


def _told(ask: AskDns | AskBody, pretended: Pretended, message: Message) -> Told:
    if isinstance(ask, AskBody):
        body = message.read_body()
        return Told(tuple(hash_body(form, [body]).hex() for form in ask.forms))
    name = ask.name.lower().rstrip(".")
    found = _resolved(pretended.dns.get((ask.type, name)))
    if isinstance(found, Unavailable):
        return TEMPORARY
    if isinstance(found, Records):
        return Told(found.values)
    is_known = any(known == name or known.endswith("." + name) for _, known in pretended.dns)
    return Told(is_nameless=not is_known)


def _found(value: str | None) -> Answer:
    return Missing() if value is None else Found(value)


def _from_dict(asked: DictGet | DictAdd | DictNew, known: MemoryDict | None) -> Answer:
    if known is None:
        return Unavailable("there is no such dict")
    match asked:
        case DictAdd(key=key, amount=amount, expires_s=expires_s):
            known.apply(Add(key, amount, expires_s))
        case DictNew(key=key, value=value, expires_s=expires_s) if known.find(key) is None:
            known.apply(Put(key, value, expires_s))
    return _found(known.find(asked.key))


def _resolved(records: str | None) -> Answer:
    if records is None:
        return Missing()
    if records == "fail":
        return Unavailable("SERVFAIL")
    values = [record.strip() for record in records.split("|")]
    is_secure = values[0] == "secure"
    return Records(tuple(values[is_secure:]), is_secure)


def _said(reply: str) -> Answer:
    code, _, rest = reply.partition(" ")
    enhanced, _, text = rest.partition(" ")
    return Said(int(code), enhanced, text) if code.isdecimal() else Unavailable(reply)
