"""Why the master can't start."""

from columba.common.errors import EX_UNAVAILABLE, ColumbaError


class StartError(ColumbaError):
    """Something in the system is not as it must be: a port in use, a user missing, a running master."""

    def __init__(self, text: str, code: int = EX_UNAVAILABLE) -> None:
        super().__init__(text)
        self.code = code
