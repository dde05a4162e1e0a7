"""vnd.columba.dns: ask the domain name system. docs/sieve/vnd.columba.dns.md.

Pure. "There is no such record" makes the test false; no answer is a temporary error, unless the script says
:lenient.
"""

import ipaddress
from typing import Final

from columba.sieve.core.matching import (
    MATCH_TAGS,
    chosen_comparator,
    chosen_match_type,
    chosen_matcher,
)
from columba.sieve.ext.columba_parts import AS_TAG, need, put_result, result_variable
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import Asked, Code, asking
from columba.sieve.run.match import Matcher
from columba.sieve.run.requests import Records, Resolve, Unavailable
from columba.sieve.run.state import Run
from columba.sieve.run.values import clean

TYPES: Final = ("a", "aaaa", "cname", "mx", "ptr", "tlsa", "txt")
_NAME_MAX: Final = 255


def question_name(kind: str, name: str) -> str:
    """Return the name to ask; for PTR it is made from an address (RFC 1035 §3.5, RFC 3596 §2.5)."""
    if kind != "ptr":
        return name
    try:
        return ipaddress.ip_address(name).reverse_pointer
    except ValueError:
        return name


def build_dns(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `dns`: with keys it compares the records, without it asks whether there are any."""
    place, variable = compiler.place(bound.at), result_variable(compiler, bound)
    kind = compiler.constant(bound.string(0), "the type of a DNS record")
    name, keys = compiler.text(bound.string(1)), bound.strings(2)
    if kind is None or variable is None:
        return None
    kind = kind.lower()
    if kind not in TYPES:
        compiler.error(bound.string(0).at, f"the types of DNS records are {', '.join(TYPES)}")
        return None
    matcher: Matcher | None = None
    if keys:
        comparator, match_type = chosen_comparator(compiler, bound), chosen_match_type(bound)
        matcher = chosen_matcher(compiler, bound, match_type, comparator, keys)
        if matcher is None:
            return None
    is_secure, is_lenient = bound.has("secure"), bound.has("lenient")

    def run_dns(run: Run) -> Asked:
        wanted = question_name(kind, clean(name.get(run)).strip())
        if not wanted or len(wanted) > _NAME_MAX:
            return False
        answer = yield Resolve(wanted, kind)
        if is_lenient and isinstance(answer, Unavailable):
            return False
        answer = need(answer, f"the DNS, asked for {wanted} {kind.upper()},", place)
        records = answer.values if isinstance(answer, Records) else ()
        if is_secure and not (isinstance(answer, Records) and answer.is_secure):
            records = ()
        is_true = bool(matcher(run, records) if matcher else records)
        if is_true and records and variable:
            fits = (record for record in records if matcher is None or matcher(run, [record]))
            put_result(run, variable, next(fits, records[0]), place)
        return is_true

    return asking(run_dns)


DNS: Final = Extension(
    "vnd.columba.dns",
    words=(
        Word(
            "dns",
            True,
            build_dns,
            (
                Positional(Kind.STRING, "type"),
                Positional(Kind.STRING, "name"),
                Positional(Kind.STRINGS, "keys"),
            ),
            (AS_TAG, Tag("secure"), Tag("lenient"), *MATCH_TAGS),
            optional_last=1,
        ),
    ),
)
