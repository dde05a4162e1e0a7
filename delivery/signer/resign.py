"""Whether the signatures that a queued mail has from us still serve, or are to be made anew (promises §6).

Pure. A signature serves while its selector is active here and its x= is a day away: the next hop may keep the mail for
hours before somebody checks it. One that serves no more is taken out, for a verifier that meets it first would say
"expired" or "no key" of a mail that is signed well. So is one of another domain
than policy names by now.
"""

import re
from collections.abc import Collection, Iterable
from typing import Final

from columba.common.mail.header import Field, Header
from columba.delivery.signer.choose import Keys
from columba.delivery.signer.sign import Signer

NEAR_S: Final = 86_400.0
_TAG: Final = re.compile(r"\s*([a-z]+)\s*=\s*([^;]*)")


def serves(header: Header, signed: Collection[str], keys: Keys, now_s: float) -> bool:
    """Tell whether all signatures from us are still good; signed = the names of their records."""
    own = ours(header, signed)
    return bool(own) and all(_serves(_tags(field), keys, now_s) for field in own)


def covers(signed: Collection[str], keys: Iterable[Signer]) -> bool:
    """Tell whether each domain that is to sign has signed: policy may have chosen others since then."""
    known = {name.lower().partition("._domainkey.")[2] for name in signed}
    return all(key.domain.lower() in known for key in keys)


def ours(header: Header, signed: Collection[str]) -> tuple[Field, ...]:
    """Return the signatures whose records have these names."""
    known = {name.lower() for name in signed}
    return tuple(
        field for field in header.get_all("DKIM-Signature") if _record_name(_tags(field)) in known
    )


def _serves(tags: dict[str, str], keys: Keys, now_s: float) -> bool:
    if keys.find(tags.get("d", "").lower(), tags.get("s", "").lower()) is None:
        return False
    expiry = tags.get("x", "")
    return not expiry.isdigit() or float(expiry) - now_s >= NEAR_S


def _record_name(tags: dict[str, str]) -> str:
    return f"{tags.get('s', '')}._domainkey.{tags.get('d', '')}".lower()


def _tags(field: Field) -> dict[str, str]:
    """Return the tags of a signature (RFC 6376 §3.2); folding does not count."""
    found: dict[str, str] = {}
    for part in field.unfolded.decode("ascii", "replace").split(";"):
        match = _TAG.match(part)
        if match is not None:
            found[match[1]] = "".join(match[2].split())
    return found
