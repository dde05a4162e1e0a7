"""Say how a child ended, in Dovecot's words.

Pure: an ending goes in, a line comes out.
"""

from dataclasses import dataclass
from typing import Final

EXIT_LOG: Final = 80
EXIT_OUT_OF_MEMORY: Final = 83
EXIT_EXEC_FAILED: Final = 84
EXIT_FATAL: Final = 89
CORE_SIGNALS: Final = (6, 7, 11)  # ABRT, BUS, SEGV


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: by a signal (then code is 0), or with an exit code."""

    code: int
    signal: int = 0
    dumped: bool = False

    @property
    def failed(self) -> bool:
        """Whether this was no clean end."""
        return self.code != 0 or self.signal != 0


def exit_words(service: str, pid: int, how: Exit, memory_limit_bytes: int) -> str:
    """Return the line for an ending; empty for a clean one."""
    head = f"service({service}): child {pid}"
    if how.signal:
        core = " (core dumps disabled)" if how.signal in CORE_SIGNALS else ""
        return f"{head} killed with signal {how.signal}{' (core dumped)' if how.dumped else core}"
    if how.code == 0:
        return ""
    reasons = {
        EXIT_LOG: " (Can't open log file)",
        EXIT_OUT_OF_MEMORY: f" (Out of memory (service {service} {{ memory_limit={memory_limit_bytes >> 20}M }},"
        " you may need to increase it))",
        EXIT_EXEC_FAILED: " (exec() failed)",
        EXIT_FATAL: " (Fatal failure)",
    }
    return f"{head} returned error {how.code}{reasons.get(how.code, '')}"
