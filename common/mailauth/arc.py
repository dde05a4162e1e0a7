"""Check the chain of those who forwarded a mail and sealed what they saw: ARC.

Pure: a generator that asks for keys and the body's hash (result.py). It says whether the chain is whole and who
sealed it last; whether he is believed is for a script to say.
Source: RFC 8617 §4, §5.2.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from columba.common.limits import ARC_SETS
from columba.common.mail.header import Field, Header
from columba.common.mailauth.canonical import relaxed_field
from columba.common.mailauth.dkim import (
    ARC_MESSAGE,
    ARC_SEAL,
    Checked,
    Signature,
    ask_body,
    body_mismatch,
    header_digest,
    read_signature,
    unsigned_field,
    verify_digest,
)
from columba.common.mailauth.result import Check, Verdict

_INSTANCE: Final = re.compile(rb"(?:^|;)\s*i\s*=\s*([1-9][0-9]?)\s*(?:;|$)")
_RESULTS: Final = "ARC-Authentication-Results"


@dataclass(frozen=True, slots=True)
class ArcResult:
    """What ARC says: none, pass, fail, temperror. sealer: the d= of the newest seal, where there is one."""

    verdict: Verdict
    sealer: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ArcSet:
    """What one forwarder added."""

    results: Field
    message: Signature
    seal: Signature


def check_arc(header: Header) -> Check[ArcResult]:
    """Check the chain of a mail as it was received. Never raises."""
    chain = read_chain(header)
    if isinstance(chain, ArcResult):
        return chain
    newest = chain[-1]
    sealer = newest.seal.domain
    mismatch = body_mismatch(newest.message, (yield from ask_body([newest.message])))
    if mismatch is not None:
        return _failed(mismatch, sealer)
    digest = header_digest(newest.message, header)
    checked = yield from verify_digest(newest.message, digest)
    if checked.verdict is not Verdict.PASS:
        return _failed(checked, sealer)
    for each, digest in reversed(list(zip(chain, seal_digests(chain), strict=True))):
        checked = yield from verify_digest(each.seal, digest)
        if checked.verdict is not Verdict.PASS:
            return _failed(checked, sealer)
    return ArcResult(Verdict.PASS, sealer, f"{len(chain)} seals")


def _failed(checked: Checked, sealer: str) -> ArcResult:
    is_temporary = checked.verdict is Verdict.TEMPERROR
    return ArcResult(Verdict.TEMPERROR if is_temporary else Verdict.FAIL, sealer, checked.reason)


def read_chain(header: Header) -> tuple[ArcSet, ...] | ArcResult:
    """Return the sets in their order, or why they are no chain (RFC 8617 §5.2, steps 1 to 3)."""
    parts = {name: _by_instance(header.get_all(name)) for name in (_RESULTS, ARC_MESSAGE, ARC_SEAL)}
    if not any(header.get(name) for name in parts):
        return ArcResult(Verdict.NONE)
    count = len(parts[ARC_SEAL] or ())
    if not 0 < count <= ARC_SETS:
        return ArcResult(Verdict.FAIL, reason=f"a chain has 1 to {ARC_SETS} seals")
    wanted = set(range(1, count + 1))
    if any(found is None or set(found) != wanted for found in parts.values()):
        return ArcResult(Verdict.FAIL, reason="the chain has gaps, or a set twice")
    sets = []
    for number in sorted(wanted):
        results, message, seal = (found[number] for found in parts.values() if found is not None)
        read = [read_signature(message, ARC_MESSAGE), read_signature(seal, ARC_SEAL)]
        signatures = [each for each in read if isinstance(each, Signature)]
        if len(signatures) < 2:
            reason = next(each.reason for each in read if isinstance(each, Checked))
            return ArcResult(Verdict.FAIL, reason=f"set {number}: {reason}")
        sets.append(ArcSet(results, signatures[0], signatures[1]))
    for number, each in enumerate(sets, 1):
        if each.seal.tags[b"cv"] != (b"none" if number == 1 else b"pass"):
            return ArcResult(Verdict.FAIL, sets[-1].seal.domain, f"seal {number} has no valid cv=")
    return tuple(sets)


def _by_instance(fields: tuple[Field, ...]) -> dict[int, Field] | None:
    """Return fields by their i=; None if one has none, or two have the same."""
    found: dict[int, Field] = {}
    for field in fields[: ARC_SETS + 1]:
        match = _INSTANCE.search(field.unfolded)
        if match is None or int(match[1]) in found:
            return None
        found[int(match[1])] = field
    return found


def seal_digests(chain: tuple[ArcSet, ...]) -> list[bytes]:
    """Return what each seal signs: all sets up to its own, in relaxed form (RFC 8617 §5.1.1)."""
    running, digests = hashlib.sha256(), []
    for each in chain:
        running.update(relaxed_field(each.results) + relaxed_field(each.message.field))
        last = running.copy()
        last.update(unsigned_field(each.seal))
        digests.append(last.digest())
        running.update(relaxed_field(each.seal.field))
    return digests
