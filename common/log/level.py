"""The levels of log lines.

Pure.
"""

from enum import IntEnum


class Level(IntEnum):
    """Levels in Dovecot's order; the octet of a record is one more."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3
    FATAL = 4
    PANIC = 5
