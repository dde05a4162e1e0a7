"""The result of a run: the list of actions, and what may stand beside what.

Pure. Rules: RFC 5228 §2.10 (implicit keep, conflicts), RFC 5429 §2.2 (reject stands alone). An equal
action is merged into the earlier one and keeps its place. What was executed before, by an earlier script
of the same message, is no conflict any more: the newcomer is dropped instead.
"""

from dataclasses import dataclass, fields, replace
from typing import Final

from columba.sieve.lang.errors import Position
from columba.sieve.lang.limits import Limits
from columba.sieve.run.actions import (
    Action,
    AddRecipient,
    Delay,
    FileInto,
    Keep,
    Notify,
    QueueAs,
    Redirect,
    Reject,
    RemoveRecipient,
    Reply,
    RouteTo,
    SendReport,
    SignAs,
    Vacation,
)
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.message import Message
from columba.sieve.run.options import number

INBOX: Final = "INBOX"
_DELIVERS: Final = (Keep, FileInto, Redirect)
_REFUSES: Final = (Reject, Reply)


@dataclass(frozen=True, slots=True)
class Entry:
    """An action, the message as it was when the action was added, and where in the script that was."""

    action: Action
    message: Message
    place: Position
    is_executed: bool = False


class Result:
    """The ordered actions of one message."""

    __slots__ = ("_limits", "entries", "flags")

    def __init__(self, limits: Limits, entries: tuple[Entry, ...] = ()) -> None:
        self.entries = list(entries)
        self.flags: tuple[str, ...] | None = None  # RFC 5232's internal variable, once it is used
        self._limits = limits

    @property
    def actions(self) -> tuple[Action, ...]:
        """The explicit actions in their order."""
        return tuple(entry.action for entry in self.entries)

    @property
    def keeps_implicitly(self) -> bool:
        """Whether the implicit keep is still in force."""
        return not any(entry.action.cancels_keep for entry in self.entries)

    def limit(self, limits: Limits) -> None:
        """Let other limits hold for what is added from now on."""
        self._limits = limits

    def add(self, action: Action, message: Message, place: Position) -> None:
        """Add an action. Raises ScriptFailure on a conflict or past a limit."""
        if isinstance(action, Notify):
            action = action.without(self._notified())
            if not action.recipients:
                return
        if self._merged(action, message, place) or self._is_dropped(action, place):
            return
        if len(self.entries) >= self._limits.actions:
            raise ScriptFailure("total number of actions exceeds policy limit", place)
        if isinstance(action, Redirect):
            count = sum(isinstance(entry.action, Redirect) for entry in self.entries)
            if count >= self._limits.redirects:
                raise ScriptFailure("number of redirect actions exceeds policy limit", place)
        if isinstance(action, Notify):
            count = sum(isinstance(entry.action, Notify) for entry in self.entries)
            if count >= most_notifications(self._limits):
                raise ScriptFailure("number of notify actions exceeds policy limit", place)
        self.entries.append(Entry(action, message, place))

    def executed(self) -> "Result":
        """Return the same with all entries marked as executed."""
        result = Result(self._limits, tuple(replace(e, is_executed=True) for e in self.entries))
        result.flags = self.flags
        return result

    def _notified(self) -> frozenset[str]:
        notices = [entry.action for entry in self.entries if isinstance(entry.action, Notify)]
        return frozenset(address.lower() for each in notices for address in each.recipients)

    def _merged(self, action: Action, message: Message, place: Position) -> bool:
        """Merge an action into an equal one."""
        key = _identity(action)
        for i, entry in enumerate(self.entries):
            if key is None or entry.is_executed or _identity(entry.action) != key:
                continue
            merged = _join(entry.action, action)
            self.entries[i] = Entry(merged, entry.message, entry.place)
            return True
        return False

    def _is_dropped(self, action: Action, place: Position) -> bool:
        """Look for conflicts; True: an executed action forbids this one, without an error."""
        for entry in self.entries:
            if not _conflict(entry.action, action):
                continue
            if entry.is_executed:
                return True
            text = (
                f"the {action.name} action conflicts with the {entry.action.name} action"
                f" of line {entry.place.line}"
            )
            raise ScriptFailure(text, place)
        return False


def most_notifications(limits: Limits) -> int:
    """Return how many notify actions one result may have."""
    return number(limits.options, "sieve_notify_max_notifications", 10)


def _conflict(first: Action, second: Action) -> bool:
    """RFC 5429 §2.2: refusing goes with nothing that delivers, and not with a second refusal.

    RFC 5230 §4.7: vacation stands once, and not beside a refusal.
    """
    if isinstance(second, Vacation):
        return isinstance(first, (*_REFUSES, Vacation))
    if isinstance(first, Vacation):
        return isinstance(second, _REFUSES)
    if isinstance(first, _REFUSES):
        return isinstance(second, _DELIVERS + _REFUSES)
    return isinstance(second, _REFUSES) and isinstance(first, _DELIVERS)


def _identity(action: Action) -> tuple[str, str] | None:
    """What makes two actions the same one; None: never."""
    match action:
        case Keep():
            return ("store", INBOX)
        case FileInto(mailbox=name):
            return ("store", INBOX if name.upper() == INBOX else name)
        case Redirect(address=address):
            local, _, domain = address.rpartition("@")
            return ("redirect", f"{local}@{domain.lower()}")
        case Reject() | Reply() | Vacation() | Notify() | SendReport() | Delay():
            return None
        case AddRecipient(address=address) | RemoveRecipient(address=address):
            return (action.name, address)
        case SignAs(domain=domain, selector=selector, is_seal=is_seal):
            return ("seal" if is_seal else "sign", f"{selector}._domainkey.{domain}")
        case RouteTo():
            return ("route", "")
        case _:
            return (action.name, "")


def _join(first: Action, second: Action) -> Action:
    """Merge: a keep stays a keep, and what is no copy stays no copy; of two routes the later holds."""
    if isinstance(first, Keep | FileInto) and isinstance(second, Keep | FileInto):
        flags = first.flags if second.flags is None else second.flags
        if isinstance(first, Keep) or isinstance(second, Keep):
            return Keep(flags)
        is_copy = first.is_copy and second.is_copy
        creates = first.creates or second.creates
        return replace(second, mailbox=first.mailbox, is_copy=is_copy, creates=creates, flags=flags)
    if isinstance(first, Redirect) and isinstance(second, Redirect):
        return replace(second, is_copy=first.is_copy and second.is_copy)
    if isinstance(first, QueueAs) and isinstance(second, QueueAs):
        said = {f.name: getattr(second, f.name) for f in fields(second)}
        return replace(first, **{name: value for name, value in said.items() if value is not None})
    return second
