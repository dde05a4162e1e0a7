"""environment (RFC 5183), with the items of an MTA.

Pure. The values come with the run. A standard item that is not known there makes the test false (RFC 5183
§4); a misspelt one of ours is an error.
"""

from collections.abc import Sequence
from typing import Final

from columba.sieve.core.matching import MATCH_TAGS, value_test
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.words import Extension, Kind, Positional, Word
from columba.sieve.run.code import Asked, Code, asking, evaluate, plain
from columba.sieve.run.requests import ClientName, Found
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text

PREFIX: Final = "vnd.columba."
_VENDOR: Final = "vnd.dovecot."
_CONFIG: Final = "vnd.dovecot.config."
# docs/sieve/vnd.columba.environment.md says what each means.
OWN_ITEMS: Final = frozenset(
    PREFIX + name
    for name in (
        "age",
        "arc",
        "arc-sealer",
        "attempt",
        "cipher",
        "code",
        "dkim-domains",
        "dmarc",
        "dmarc-domain",
        "dmarc-policy",
        "enhanced",
        "errors",
        "expires",
        "helo",
        "hop",
        "id",
        "kind",
        "listener",
        "local-ip",
        "local-port",
        "login",
        "messages",
        "next",
        "port",
        "pregreet",
        "protocol",
        "ptr",
        "recipients",
        "refused",
        "route",
        "session",
        "spf",
        "spf-domain",
        "spf-text",
        "stage",
        "text",
        "tls",
        "trusted",
    )
)
# These are known once the DNS was asked, which a run does when it first needs one of them.
_NAME: Final = "remote-host"
_STATE: Final = PREFIX + "ptr"


def item_value(run: Run, name: str, *, has_vendor: bool) -> str | None:
    """Return the value of an item, or None if it is not known; has_vendor: also those of settings."""
    name = name.lower()
    if name.startswith(_VENDOR):
        if not has_vendor:
            return None
        if name.startswith(_CONFIG):
            return run.limits.options.get(f"sieve_environment/{name.removeprefix(_CONFIG)}")
    return run.environment.get(name)


def build_environment(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5183 §4."""
    node = bound.string(0)
    name = compiler.text(node)
    item = name.constant.lower() if name.constant is not None else ""
    if item.startswith(PREFIX) and item not in OWN_ITEMS:
        compiler.error(node.at, f"unknown environment item '{item}'")
        return None

    has_vendor = "vnd.dovecot.environment" in compiler.required

    def values(run: Run) -> Sequence[str]:
        return (item_value(run, name.get(run), has_vendor=has_vendor) or "",)

    test = value_test(compiler, bound, values, bound.strings(1))
    if test is None or (match := test.plain) is None:
        return None
    # RFC 5183 §4: what is not known makes the test false, whatever it is compared with.
    checked = plain(
        lambda run: item_value(run, name.get(run), has_vendor=has_vendor) is not None and match(run)
    )
    if item and item not in (_NAME, _STATE):
        return checked
    return asking(lambda run: _with_name(run, name, checked))


def _with_name(run: Run, item: Text, test: Code) -> Asked:
    """Evaluate a test, after asking for the client's name where the test is about that."""
    known = run.environment
    is_needed = item.get(run).lower() in (_NAME, _STATE)
    if is_needed and not known.get(_NAME) and not known.get(_STATE):
        answer = yield ClientName(known.get("remote-ip", ""))
        state, _, name = (answer.value if isinstance(answer, Found) else "unknown").partition(" ")
        run.environment = {**known, _NAME: name, _STATE: state}
    return (yield from evaluate(test, run))


ENVIRONMENT: Final = Extension(
    "environment",
    words=(
        Word(
            "environment",
            True,
            build_environment,
            (Positional(Kind.STRING, "item name"), Positional(Kind.STRINGS, "key list")),
            MATCH_TAGS,
        ),
    ),
)
