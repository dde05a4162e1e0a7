"""The whole contract between the master and its children: environment, descriptors, status records.

Pure: names and codecs. The master sets these variables, passes these descriptors, and reads 16-octet
status records from one pipe per service; a child writes one at once when it is ready, at each change that
matters, and at least every hang_limit / 3. The first record makes the slot `ready`.

Signals to a child: TERM = stop accepting, cut deadlines to now + shutdown_timeout - 10 s, end when idle;
INT = end only if idle, else send a record; USR1 = reopen logs (log service). POLLHUP on the dead pipe =
the master is gone: drain and end.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

ENV_SERVICE: Final = (
    "COLUMBA_SERVICE"  # smtpd, sieve, dkim, delivery, queue, auth, anvil, stats, log
)
ENV_SLOT: Final = "COLUMBA_SLOT"
ENV_GENERATION: Final = (
    "COLUMBA_GENERATION"  # 32 bits, grows for ever, never reused on a run directory
)
ENV_RUN: Final = "COLUMBA_RUN"  # base_dir
ENV_CLIENT_LIMIT: Final = "COLUMBA_CLIENT_LIMIT"
ENV_PROCESS_LIMIT: Final = "COLUMBA_PROCESS_LIMIT"
ENV_RESTART_REQUEST_COUNT: Final = "COLUMBA_RESTART_REQUEST_COUNT"  # 0 = unlimited
ENV_HANG_LIMIT_MS: Final = "COLUMBA_HANG_LIMIT_MS"
ENV_SHUTDOWN_TIMEOUT_MS: Final = "COLUMBA_SHUTDOWN_TIMEOUT_MS"
ENV_STATUS_FD: Final = "COLUMBA_STATUS_FD"
ENV_DEAD_FD: Final = "COLUMBA_DEAD_FD"
ENV_SETTINGS_FD: Final = "COLUMBA_SETTINGS_FD"  # memfd: this service's settings only
ENV_LISTENERS: Final = "COLUMBA_LISTENERS"  # JSON list of Listener
ENV_TLS_FD: Final = "COLUMBA_TLS_FD"  # memfd: what tlsfiles.dump wrote (smtpd, delivery)
ENV_NEWS_FD: Final = "COLUMBA_NEWS_FD"  # socket: NEWS_TLS with a memfd at each change of these
ENV_DIRECTORY_FD: Final = "COLUMBA_DIRECTORY_FD"  # anvil: one directory table per line, JSON
ENV_LOG_FDS: Final = "COLUMBA_LOG_FDS"  # log: JSON object service → descriptor of its stderr pipe
ENV_DEBUG: Final = "COLUMBA_DEBUG"  # "1": debug lines too

NEWS_TLS: Final = b"tls"
AVAILABLE_RETIRING: Final = 0xFFFFFFFF  # no more clients; ends when the present ones are done
_STATUS: Final = struct.Struct("<iIII")
STATUS_SIZE: Final = _STATUS.size


@dataclass(frozen=True, slots=True)
class Status:
    """One status record. available = how many more clients; note = the service's own figure."""

    pid: int
    generation: int
    available: int
    note: int = 0

    def pack(self) -> bytes:
        """Return the 16 octets, written to the pipe with one write."""
        return _STATUS.pack(self.pid, self.generation, self.available, self.note)


def unpack_statuses(data: bytes) -> list[Status]:
    """Return the whole records at the head of data; each is 16 octets."""
    whole = len(data) - len(data) % STATUS_SIZE
    return [Status(*fields) for fields in _STATUS.iter_unpack(data[:whole])]


@dataclass(frozen=True, slots=True)
class Listener:
    """One socket, bound and listening, that the child inherits."""

    name: str  # of the section: smtp, submission, submissions, lmtp, http, auth-client …
    fd: int
    kind: str  # inet, unix
    type: str = ""  # what is spoken on it, when the name does not say it
    ssl: bool = False  # implicit TLS
    haproxy: bool = False  # clients come through a proxy, with a PROXY header
    settings: str = ""  # JSON: settings that are other than the service's own; "" = none


def dump(items: Sequence[Listener]) -> str:
    """Return the JSON for the environment."""
    return json.dumps([asdict(item) for item in items])


def load_listeners(text: str) -> list[Listener]:
    """Return the listeners of COLUMBA_LISTENERS."""
    return [Listener(**item) for item in json.loads(text or "[]")]
