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


@dataclass(slots=True)
class Transaction:
    """What MAIL and RCPT said. id names the message from here on; group is the first recipient's (promises §2.4)."""

    id: str
    mail: Mail
    recipients: list[wire.Recipient] = field(default_factory=list)
    group: str = ""

    @property
    def numbers(self) -> list[str]:
        """Return the recipients' numbers."""
        return [recipient.number for recipient in self.recipients]

    @property
    def wants_each(self) -> bool:
        """Tell whether the client is to hear of each recipient on its own, with PRDR (promises §3)."""
        return self.mail.params.prdr and len(self.recipients) > 1

    def add(self, command: Rcpt, address: bytes) -> None:
        """Accept a recipient; address is what its path stands for."""
        params = command.params
        self.recipients.append(
            wire.Recipient(
                number=str(len(self.recipients) + 1),
                address=address,
                original=command.recipient if command.recipient != address else b"",
                orcpt=_orcpt(params),
                notify=_notify(params),
            )
        )

    def envelope(self, size: int, arrived_s: float) -> wire.Envelope:
        """Return the envelope; size in octets as received, arrived_s wall time."""
        params = self.mail.params
        return wire.Envelope(
            sender=self.mail.sender,
            size=size,
            arrived_s=arrived_s,
            body8=params.body == "8BITMIME",
            smtputf8=params.smtputf8,
            requiretls=params.requiretls,
            ret="FULL" if params.ret == "FULL" else "HDRS" if params.ret == "HDRS" else "",
            envid=params.envid.decode("utf-8", "backslashreplace"),
        )


def _orcpt(params: RcptParams) -> str:
    if not params.orcpt:
        return ""
    return f"{params.orcpt_type};{params.orcpt.decode('utf-8', 'backslashreplace')}"


def _notify(params: RcptParams) -> tuple[Notify, ...]:
    return tuple(word for word in _NOTIFIES if word in params.notify)
