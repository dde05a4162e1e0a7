"""IMAP flags as scripts handle them (RFC 5232 §2).

Pure. Flags are compared without case; what is no flag is left out.
"""

import re
from collections.abc import Iterable
from typing import Final

from columba.sieve.run.state import Run

_SYSTEM: Final = frozenset({"\\answered", "\\flagged", "\\deleted", "\\seen", "\\draft"})
# RFC 3501 §9: an atom, and not "]".
_KEYWORD: Final = re.compile(r"[^\x00-\x20\x7f-\U0010ffff(){%*\"\\\]]+")


def split_flags(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the flags in texts, each once, in order; blanks separate them."""
    found: dict[str, str] = {}
    for text in texts:
        for flag in text.split():
            if flag.lower() in _SYSTEM or _KEYWORD.fullmatch(flag):
                found.setdefault(flag.lower(), flag)
    return tuple(found.values())


def internal_flags(run: Run) -> tuple[str, ...]:
    """Return the internal variable; it begins as the flags that the message has in its store."""
    if run.result.flags is None:
        run.result.flags = split_flags(run.message.flags)
    return run.result.flags
