"""Keep the TLS files as processes have them: notice a changed certificate, renew ticket keys, warn before the end.

One owner, the master's loop, calls turn() and hands `files` over when it says so. A pair that can't be read or does
not fit together (a file may be half replaced) changes nothing; what is there stays in use.
"""

import datetime
from typing import Final

from cryptography import x509

from columba.common.ipc.tlsfiles import TlsFiles
from columba.common.log.event import Event
from columba.master import certificates
from columba.master.errors import StartError
from columba.master.settings import MasterSettings

TICKETS_S: Final = 12 * 3600.0  # RFC 8446 §4.6.1 allows seven days
EXPIRY_S: Final = 24 * 3600.0  # between two looks at the dates


class Renewal:
    """`files` is what a process gets at birth."""

    def __init__(self, settings: MasterSettings, files: TlsFiles, event: Event) -> None:
        self._settings, self._event = settings, event
        self._marks = certificates.marks(settings)
        self._looked_s = self._tickets_s = self._dated_s = float("-inf")
        self.files = files

    def reload(self, settings: MasterSettings, files: TlsFiles) -> bool:
        """Take what a new configuration says; tell whether processes must hear of it."""
        self._settings, self._marks = settings, certificates.marks(settings)
        self._dated_s = float("-inf")
        return self._take(files)

    def turn(self, now_s: float) -> bool:
        """Do what is due; tell whether processes must hear of new files."""
        changed = False
        if now_s - self._looked_s >= self._settings.ssl_reload_interval:
            self._looked_s = now_s
            changed = self._look()
        if now_s - self._tickets_s >= TICKETS_S:
            self._tickets_s = now_s
            tickets = certificates.new_tickets()
            self.files = TlsFiles(self.files.pairs, self.files.trust, tickets)
            changed = bool(self.files.pairs)
        if now_s - self._dated_s >= EXPIRY_S:
            self._dated_s = now_s
            self._warn(datetime.datetime.now(datetime.UTC))
        return changed

    def _look(self) -> bool:
        marks = certificates.marks(self._settings)
        if marks == self._marks:
            return False
        self._marks = marks
        try:
            files = certificates.read_files(self._settings)
            certificates.check(files)
        except StartError as error:
            self._event.error(f"New TLS files are not used, the old ones stay: {error}")
            return False
        self._dated_s = float("-inf")
        return self._take(files)

    def _take(self, files: TlsFiles) -> bool:
        if (files.pairs, files.trust) == (self.files.pairs, self.files.trust):
            return False
        self.files = TlsFiles(files.pairs, files.trust, self.files.tickets)
        names = [" ".join(pair.names) or "the default name" for pair in files.pairs]
        self._event.info(f"TLS files have changed, in use now: {', '.join(names) or 'none'}")
        return True

    def _warn(self, now: datetime.datetime) -> None:
        limit_s = self._settings.ssl_expiry_warning
        for pair in self.files.pairs:
            name = " ".join(pair.names) or "the default name"
            left = expires(pair.cert) - now
            if left.total_seconds() <= 0:
                self._event.error(f"The certificate for {name} has expired {-left.days} days ago")
            elif left.total_seconds() < limit_s:
                self._event.warning(f"The certificate for {name} expires in {left.days} days")


def expires(cert: bytes) -> datetime.datetime:
    """Return when a chain's first certificate ends, in UTC. Raises ValueError."""
    return x509.load_pem_x509_certificates(cert)[0].not_valid_after_utc
