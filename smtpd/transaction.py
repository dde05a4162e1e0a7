"""One mail transaction, from MAIL to the end of data.

Pure. Recipients are numbered 1, 2, … in the order of their acceptance.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from columba.common.ipc import wire
from columba.common.smtp.command import Mail, Rcpt
from columba.common.smtp.params import RcptParams

Notify = Literal["NEVER", "SUCCESS", "FAILURE", "DELAY"]
_NOTIFIES: Final[tuple[Notify, ...]] = ("NEVER", "SUCCESS", "FAILURE", "DELAY")


ACCEPTED: Final = wire.Verdict()


@dataclass(slots=True)
class Transaction:
    """What MAIL and RCPT said. id names the message from here on; group is the first recipient's (promises §2).

    count: how many recipients the client named with success; policy may have made others or several of one. sender: the
    envelope sender, which policy may have changed. effects: of policy's answer to MAIL; the first recipient takes them
    along. hold_until_s is wall time, 0 if the mail may leave at once.
    """

    id: str
    mail: Mail
    recipients: list[wire.Recipient] = field(default_factory=list)
    count: int = 0
    group: str = ""
    hold_until_s: float = 0.0
    changed_sender: bytes | None = None
    effects: tuple[wire.Effect, ...] = ()

    @property
    def sender(self) -> bytes:
        """Return the envelope sender."""
        return self.mail.sender if self.changed_sender is None else self.changed_sender

    @property
    def numbers(self) -> list[str]:
        """Return the numbers of the client's recipients, in order; what policy made of 3 is 3.1, 3.2."""
        return [str(n) for n in range(1, self.count + 1)]

    @property
    def wants_each(self) -> bool:
        """Tell whether the client is to hear of each recipient on its own, with PRDR (promises §3)."""
        return self.mail.params.prdr and self.count > 1

    def begun(self, verdict: wire.Verdict) -> None:
        """Take what policy decided at MAIL."""
        self.changed_sender, self.effects = verdict.sender, verdict.effects

    def add(self, command: Rcpt, address: bytes, verdict: wire.Verdict = ACCEPTED) -> None:
        """Accept a recipient; address is what its path stands for, unless policy puts others in its place."""
        self.count += 1
        params, number = command.params, str(self.count)
        addresses = (address,) if verdict.recipients is None else verdict.recipients
        for n, each in enumerate(addresses, 1):
            self.recipients.append(
                wire.Recipient(
                    number=number if len(addresses) == 1 else f"{number}.{n}",
                    address=each,
                    original=command.recipient if command.recipient != each else b"",
                    orcpt=_orcpt(params),
                    notify=_notify(params),
                    wish=verdict.wish,
                    effects=(*self.effects, *verdict.effects) if n == 1 else (),
                )
            )
        self.effects = ()

    def envelope(self, size: int, arrived_s: float, tls_optional: bool = False) -> wire.Envelope:
        """Return the envelope; size in octets as received, arrived_s wall time.

        tls_optional: the header says TLS-Required: No; REQUIRETLS is stronger (RFC 8689 §4.1).
        """
        params = self.mail.params
        return wire.Envelope(
            sender=self.sender,
            size=size,
            arrived_s=arrived_s,
            body8=params.body == "8BITMIME",
            smtputf8=params.smtputf8,
            requiretls=params.requiretls,
            ret="FULL" if params.ret == "FULL" else "HDRS" if params.ret == "HDRS" else "",
            envid=params.envid.decode("utf-8", "backslashreplace"),
            hold_until_s=self.hold_until_s,
            tls_optional=tls_optional and not params.requiretls,
        )


def _orcpt(params: RcptParams) -> str:
    if not params.orcpt:
        return ""
    return f"{params.orcpt_type};{params.orcpt.decode('utf-8', 'backslashreplace')}"


def _notify(params: RcptParams) -> tuple[Notify, ...]:
    return tuple(word for word in _NOTIFIES if word in params.notify)
