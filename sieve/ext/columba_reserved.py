"""Capabilities whose names are kept free: to require one is an error that says so. docs/sieve/vnd.columba.*.md.

Pure. `ihave` is false for them, so that a script can be written for both.
"""

from typing import Final

from columba.sieve.lang.words import Extension


def _reserved(name: str, reason: str) -> Extension:
    return Extension(f"vnd.columba.{name}", stages=frozenset(), reserved=reason)


MILTER: Final = _reserved("milter", "this version does not speak to milters yet")
POLICY: Final = _reserved("policy", "this version does not ask policy services yet")
