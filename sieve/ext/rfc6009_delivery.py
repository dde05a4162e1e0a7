"""envelope-dsn, redirect-dsn, envelope-deliverby, redirect-deliverby (RFC 6009).

Pure. core/actions.py reads the tags of redirect through core/wishes.py; the parts of the envelope have no value where
the client said nothing.
"""

from typing import Final

from columba.sieve.lang.stage import CONTENT
from columba.sieve.lang.words import Extension, Kind, Tag

_BY: Final = "delivery time"
ENVELOPE_DSN: Final = Extension("envelope-dsn", implies=("envelope",), stages=CONTENT)
ENVELOPE_DELIVERBY: Final = Extension("envelope-deliverby", implies=("envelope",), stages=CONTENT)
REDIRECT_DSN: Final = Extension(
    "redirect-dsn",
    joins=(("redirect", (Tag("notify", takes=Kind.STRING), Tag("ret", takes=Kind.STRING))),),
    stages=CONTENT,
)
REDIRECT_DELIVERBY: Final = Extension(
    "redirect-deliverby",
    joins=(
        (
            "redirect",
            (
                Tag("bytimerelative", _BY, Kind.NUMBER),
                Tag("bytimeabsolute", _BY, Kind.STRING),
                Tag("bymode", takes=Kind.STRING),
                Tag("bytrace"),
            ),
        ),
    ),
    stages=CONTENT,
)
