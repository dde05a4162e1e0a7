"""What is known of the origin of one mail: each check runs when it is first asked for, and once.

Pure: the checks are generators (result.py). One object stands for one run of a script over one mail.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from columba.common.mail.addresses import parse_mailboxes
from columba.common.mail.header import Header
from columba.common.mailauth.arc import ArcResult, check_arc
from columba.common.mailauth.dkim import DkimResult, check_dkim
from columba.common.mailauth.dmarc import DmarcResult, ascii_domain, author_domains, check_dmarc
from columba.common.mailauth.result import Check
from columba.common.mailauth.spf import SpfResult, check_spf
from columba.common.mailauth.spf_macro import UNKNOWN


@dataclass(slots=True)
class Inquiry:
    """header: of the mail as it was received. ip, helo, sender: as the client said them.

    receiver: our name; wall_s: seconds since 1970. known_*: what was found.
    """

    ip: str
    helo: str
    sender: str
    header: Header = field(default_factory=lambda: Header(b""))
    receiver: str = UNKNOWN
    wall_s: int = 0
    known_spf: SpfResult | None = None
    known_helo: SpfResult | None = None
    known_dkim: Sequence[DkimResult] | None = None
    known_dmarc: DmarcResult | None = None
    known_arc: ArcResult | None = None

    def spf(self) -> Check[SpfResult]:
        """Check the sender, or the name in HELO if that is null (RFC 7208 §2.4)."""
        if self.known_spf is None:
            self.known_spf = yield from check_spf(
                self.ip, self._ascii_sender(), self.helo, self.receiver, self.wall_s
            )
        return self.known_spf

    def helo_spf(self) -> Check[SpfResult]:
        """Check the name in HELO (RFC 7208 §2.3)."""
        if not self.sender:
            return (yield from self.spf())
        if self.known_helo is None:
            self.known_helo = yield from check_spf(
                self.ip, "", self.helo, self.receiver, self.wall_s
            )
        return self.known_helo

    def dkim(self) -> Check[Sequence[DkimResult]]:
        """Check the signatures."""
        if self.known_dkim is None:
            self.known_dkim = yield from check_dkim(self.header)
        return self.known_dkim

    def dmarc(self) -> Check[DmarcResult]:
        """Check the domain in From; asks SPF and DKIM if it has a record."""
        if self.known_dmarc is None:
            boxes = [b for f in self.header.get_all("From") for b in parse_mailboxes(f.value)]
            authors = author_domains([box.domain for box in boxes])
            self.known_dmarc = yield from check_dmarc(authors, self.spf, self.dkim)
        return self.known_dmarc

    def arc(self) -> Check[ArcResult]:
        """Check the chain of seals."""
        if self.known_arc is None:
            self.known_arc = yield from check_arc(self.header)
        return self.known_arc

    def _ascii_sender(self) -> str:
        """RFC 8616 §4: SPF has to do with A-labels."""
        local, at, domain = self.sender.rpartition("@")
        return local + at + ascii_domain(domain) if at else self.sender
