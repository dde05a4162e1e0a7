"""The bounds of the Sieve engine, each with its source.

Pure: numbers only. Limits is what a compilation and a run are given; settings fill it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

IDENTIFIER: Final = 32  # characters of a word or tag
NUMBER: Final = 2**64 - 1
NUMBER_DIGITS: Final = 40  # leading zeros included; a longer one is too big whatever it says


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds and what else a site may set. The defaults are those of Pigeonhole where it has one."""

    script_bytes: int = 1 << 20
    string_bytes: int = 1 << 20
    arguments: int = 32  # of one command or test
    nesting: int = 32  # of blocks, and of tests; the outermost level counts
    actions: int = 32
    redirects: int = 4
    cpu_ms: int = 1_000
    requests: int = 256  # questions that one run may ask
    variables: int = 255  # RFC 5229 §6 asks for 128 at least
    variable_name: int = 64  # RFC 5229 §6 asks for 32 at least
    variable_bytes: int = 4096  # RFC 5229 §6 asks for 4000 at least
    match_variables: int = 32  # RFC 5229 §3.2 asks for 9 at least
    includes: int = 255  # different scripts that one may include
    include_depth: int = 10
    regex_bytes: int = 8192
    delimiters: str = "+"  # between user and detail of an address; each character is one
    reply_bytes: int = 2048  # of the text of reject and reply
    # Settings of extensions by name, as Pigeonhole calls them; each extension reads its own.
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    # What external lists hold (RFC 6134), by what list_name makes of their names.
    lists: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)


def list_name(name: str) -> str:
    """Return the one spelling of the name of a list (RFC 6134 §2.3: ":addrbook:" is short for its URN)."""
    name = name.strip().lower()
    return f"urn:ietf:params:sieve{name}" if name.startswith(":") else name
