"""The tree of errors.

Pure: every exception that Columba raises on purpose stands below ColumbaError and carries what its
handler needs: whether a later try may help, and the exit code when it ends a program (sysexits.h).
"""

from typing import ClassVar, Final

EX_OK: Final = 0
EX_USAGE: Final = 64
EX_DATAERR: Final = 65
EX_NOUSER: Final = 67
EX_NOTFOUND: Final = 68
EX_UNAVAILABLE: Final = 69
EX_SOFTWARE: Final = 70
EX_CANTCREAT: Final = 73
EX_IOERR: Final = 74
EX_TEMPFAIL: Final = 75
EX_PROTOCOL: Final = 76
EX_NOPERM: Final = 77
EX_CONFIG: Final = 78


class ColumbaError(Exception):
    """Root of all errors. `temporary` says whether a later try may help."""

    temporary: ClassVar[bool] = True
    exit_code: ClassVar[int] = EX_SOFTWARE


class ConfigError(ColumbaError):
    """A configuration or script is wrong; shown as `FILE line N: text` (column where known)."""

    temporary = False
    exit_code = EX_CONFIG

    def __init__(self, text: str, file: str = "", line: int = 0, column: int = 0) -> None:
        super().__init__(text)
        self.text, self.file, self.line, self.column = text, file, line, column

    def __str__(self) -> str:
        """Return the one line that an administrator reads."""
        if not self.file:
            return self.text
        where = f"{self.file} line {self.line}" if self.line else self.file
        column = f" column {self.column}" if self.column else ""
        return f"{where}{column}: {self.text}"


class LocalProtocolError(ColumbaError):
    """We broke a protocol: a bug of ours."""

    temporary = True


class RemoteProtocolError(ColumbaError):
    """The other side broke a protocol."""

    exit_code = EX_PROTOCOL


class StoreError(ColumbaError):
    """A store could not do what was asked."""

    exit_code = EX_IOERR


class NotFoundError(StoreError):
    """No such object."""

    temporary = False
    exit_code = EX_NOTFOUND


class ConditionError(StoreError):
    """A conditional write lost: the object is not in the state that the writer expected."""


class FullError(StoreError):
    """No space, or past a limit."""


class UnavailableError(StoreError):
    """The store does not answer, or refuses for now."""


class PeerError(ColumbaError):
    """A call to another process of ours has no answer."""

    exit_code = EX_TEMPFAIL


class PeerGoneError(PeerError):
    """The worker died before it answered: whether it did the work is unknown."""


class PeerLateError(PeerError):
    """The deadline passed: whether the worker did or will do the work is unknown."""


class NoPeerError(PeerError):
    """No worker is there or all are busy; nothing was begun."""


class RefusedError(ColumbaError):
    """Policy or a limit says no."""

    temporary = False
    exit_code = EX_DATAERR
