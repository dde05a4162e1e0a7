"""What a script decides to do with a message.

Pure. Each is an immutable value that says nothing of how it is done. `name` is the word that the tester
shows. `cancels_keep`: the implicit keep of RFC 5228 §2.10.2 falls away. `flags`: RFC 5232, None if the script
does not say.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

RouteKind = Literal["mx", "relay", "lmtp", "maildir", "discard"]
TlsDemand = Literal["none", "may", "encrypt", "verify"]
DsnReturns = Literal["none", "headers", "full"]


@dataclass(frozen=True, slots=True)
class Keep:
    """Deliver as if there were no script (RFC 5228 §4.3)."""

    flags: tuple[str, ...] | None = None
    name: ClassVar = "keep"
    cancels_keep: ClassVar = True


@dataclass(frozen=True, slots=True)
class FileInto:
    """Deliver into a folder (RFC 5228 §4.1); is_copy: RFC 3894.

    creates: the folder may be made (RFC 5490); special_use: a folder of this use is preferred (RFC 8579).
    """

    mailbox: str
    is_copy: bool = False
    flags: tuple[str, ...] | None = None
    creates: bool = False
    special_use: str = ""
    name: ClassVar = "store"

    @property
    def cancels_keep(self) -> bool:
        """A copy leaves the implicit keep as it is."""
        return not self.is_copy


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a redirect asks for (RFC 6009), as MAIL and RCPT have it; "" and None: nothing.

    by_s: the deadline in seconds from the run on. by_mode "": as "notify".
    """

    notify: str = ""
    ret: str = ""
    by_s: int | None = None
    by_mode: str = ""
    is_traced: bool = False


@dataclass(frozen=True, slots=True)
class Redirect:
    """Send to another address (RFC 5228 §4.2), written local@domain; is_copy: RFC 3894."""

    address: str
    is_copy: bool = False
    wishes: Wishes | None = None
    name: ClassVar = "redirect"

    @property
    def cancels_keep(self) -> bool:
        """A copy leaves the implicit keep as it is."""
        return not self.is_copy


@dataclass(frozen=True, slots=True)
class Discard:
    """Nothing but this: do not keep (RFC 5228 §4.4)."""

    name: ClassVar = "discard"
    cancels_keep: ClassVar = True


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse with a text for people (RFC 5429). is_extended: ereject, which never makes a report."""

    text: str
    is_extended: bool = False
    name: ClassVar = "reject"
    cancels_keep: ClassVar = True


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the SMTP client with this (vnd.columba.smtp); lines are ASCII, at least one. closes: then hang up."""

    code: int
    enhanced: str
    lines: tuple[str, ...]
    closes: bool = False
    name: ClassVar = "reply"
    cancels_keep: ClassVar = True


@dataclass(frozen=True, slots=True)
class RouteTo:
    """Where the mail goes that is kept (vnd.columba.route); fields as in wire.Route.

    sign is the domain to sign for, "" if the script does not say. auth: a look-up table, "" for no login.
    """

    kind: RouteKind
    host: str = ""
    port: int = 0
    path: str = ""
    tls: TlsDemand = "may"
    source: str = ""
    helo: str = ""
    sign: str = ""
    auth: str = ""
    concurrency: int = 0
    timeout_s: int = 0
    name: ClassVar = "route"
    cancels_keep: ClassVar = False


@dataclass(frozen=True, slots=True)
class Delay:
    """Wait before the answer (vnd.columba.smtp); several add up."""

    seconds: int
    name: ClassVar = "delay"
    cancels_keep: ClassVar = False


@dataclass(frozen=True, slots=True)
class SetSender:
    """Change the envelope sender (vnd.columba.envelope), written local@domain; "" is the null sender."""

    address: str
    name: ClassVar = "set_sender"
    cancels_keep: ClassVar = False


@dataclass(frozen=True, slots=True)
class SetRecipient:
    """Put another address in the place of the recipient that is asked about (vnd.columba.envelope)."""

    address: str
    name: ClassVar = "set_recipient"
    cancels_keep: ClassVar = False


@dataclass(frozen=True, slots=True)
class AddRecipient:
    """Add a recipient to the envelope (vnd.columba.envelope)."""

    address: str
    name: ClassVar = "add_recipient"
    cancels_keep: ClassVar = False


@dataclass(frozen=True, slots=True)
class RemoveRecipient:
    """Take a recipient out of the envelope (vnd.columba.envelope)."""

    address: str
    name: ClassVar = "remove_recipient"
    cancels_keep: ClassVar = False


@dataclass(frozen=True, slots=True)
class SignAs:
    """Sign or seal for a domain (vnd.columba.sign); selector "": the domain's active key."""

    domain: str
    selector: str = ""
    is_seal: bool = False
    name: ClassVar = "sign"
    cancels_keep: ClassVar = False


@dataclass(frozen=True, slots=True)
class QueueAs:
    """What the queue is to do (vnd.columba.queue); None: not said. Times in seconds."""

    hold: str | None = None
    priority: int | None = None
    retry_s: tuple[int, ...] | None = None
    expire_s: int | None = None
    give_up: str | None = None
    name: ClassVar = "queue"
    cancels_keep: ClassVar = False


@dataclass(frozen=True, slots=True)
class WriteDsn:
    """The form of a bounce (vnd.columba.queue): how much goes back; text: words for people; copy: who else gets it."""

    returns: DsnReturns
    text: str = ""
    copy: str = ""
    name: ClassVar = "dsn"
    cancels_keep: ClassVar = False


@dataclass(frozen=True, slots=True)
class Vacation:
    """Answer the sender that one is away (RFC 5230); sender: the From field of the reply, "" if not said.

    reason: the text, a MIME entity if is_mime. period_s: nobody is answered twice within it. copy: RFC 8580.
    """

    reason: str
    subject: str = ""
    sender: str = ""
    addresses: tuple[str, ...] = ()
    is_mime: bool = False
    handle: str = ""
    period_s: int = 0
    copy: FileInto | None = None
    name: ClassVar = "vacation"
    cancels_keep: ClassVar = False


@dataclass(frozen=True, slots=True)
class Notify:
    """Send a notification by mail (RFC 5435, RFC 5436). body None: our own words; fields: name and text.

    sender: its From field, "" if not said; message is what the script says, subject what the URI does.
    """

    to: tuple[str, ...]
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    sender: str = ""
    importance: str = "2"
    message: str = ""
    subject: str = ""
    body: str | None = None
    fields: tuple[tuple[str, str], ...] = ()
    copy: FileInto | None = None
    name: ClassVar = "notify"
    cancels_keep: ClassVar = False

    @property
    def recipients(self) -> tuple[str, ...]:
        """All who are notified."""
        return self.to + self.cc + self.bcc

    def without(self, known: frozenset[str]) -> "Notify":
        """Return it for those who are not known, in lower case."""
        to, cc, bcc = (
            tuple(address for address in some if address.lower() not in known)
            for some in (self.to, self.cc, self.bcc)
        )
        return replace(self, to=to, cc=cc, bcc=bcc)


@dataclass(frozen=True, slots=True)
class SendReport:
    """Report the message to an address (vnd.dovecot.report); is_short: only its header."""

    feedback: str
    text: str
    address: str
    is_short: bool = False
    name: ClassVar = "report"
    cancels_keep: ClassVar = False


Action = (
    SendReport
    | Notify
    | Vacation
    | Keep
    | FileInto
    | Redirect
    | Discard
    | Reject
    | Reply
    | RouteTo
    | Delay
    | SetSender
    | SetRecipient
    | AddRecipient
    | RemoveRecipient
    | SignAs
    | QueueAs
    | WriteDsn
)
