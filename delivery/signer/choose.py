"""Choose the keys that sign a mail, or why it may not leave (promises §14).

Pure. Policy's wish comes first; submitted mail needs a key for each domain in From, because a signature of
another domain says nothing about its author; what is forwarded or generated is signed by our own domain. Mail that was
received is never signed by its From domain: we don't know that it is the author's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from columba.common.hop.mail import Why
from columba.common.ipc import wire
from columba.common.mail.addresses import parse_mailboxes
from columba.common.mail.header import Header
from columba.common.smtp.path import a_labels
from columba.delivery.signer.sign import Signer


class Keys(Protocol):
    """Where keys are found; names are compared without case."""

    def active(self, domain: str) -> tuple[Signer, ...]:
        """Return the keys of a domain."""
        ...

    def find(self, domain: str, selector: str) -> Signer | None:
        """Return one key."""
        ...


@dataclass(frozen=True, slots=True)
class Chosen:
    """These sign, in this order; never empty."""

    keys: tuple[Signer, ...]


@dataclass(frozen=True, slots=True)
class NoKey:
    """The mail may not leave. Not final means that our configuration is at fault: try later."""

    why: Why
    is_final: bool


def choose(handoff: wire.Handoff, header: Header, keys: Keys, default: str) -> Chosen | NoKey:
    """Return the keys for a mail. default is the domain that signs what is not the author's."""
    # A seal (RFC 8617) is another wish than a signature: it is passed over here.
    if wishes := tuple(wish for wish in handoff.sign if not wish.seal):
        authors = from_domains(header) if handoff.kind == "submitted" else ()
        return _wished(wishes, keys, authors)
    match handoff.kind:
        case "submitted":
            return _authors(from_domains(header), keys)
        case "received":
            return _of_domain(default, keys)
        case "generated":
            for domain in from_domains(header)[:1]:
                if found := keys.active(domain):
                    return Chosen(found)
            return _of_domain(default, keys)


def from_domains(header: Header) -> tuple[str, ...]:
    """Return the domains of all authors as A-labels in lower case, each once."""
    boxes = [box for field in header.get_all("From") for box in parse_mailboxes(field.value)]
    return tuple(dict.fromkeys(a_label(box.domain) for box in boxes))


def default_domain(configured: str, hostname: str, domains: Iterable[str]) -> str:
    """Return the domain that signs what is not the author's; "" when there is no key for it."""
    if configured:
        return configured.lower()
    known = set(domains)
    labels = hostname.lower().rstrip(".").split(".")
    candidates = [".".join(labels[n:]) for n in range(len(labels) - 1)] or labels
    return next((domain for domain in candidates if domain in known), "")


def a_label(domain: str) -> str:
    """Return a domain as it stands in DNS; one that can't stand there comes back as it is."""
    if domain.isascii():
        return domain.lower().rstrip(".")
    try:
        return a_labels(domain).lower().rstrip(".")
    except UnicodeError:
        return domain


def _wished(wishes: tuple[wire.Sign, ...], keys: Keys, authors: tuple[str, ...]) -> Chosen | NoKey:
    """Return the keys that policy names. Without one for an author the mail is refused (promises §16)."""
    found: list[Signer] = []
    for wish in wishes:
        one = keys.find(wish.domain, wish.selector) if wish.selector else None
        more = keys.active(wish.domain) if not wish.selector else (one,) if one else ()
        if not more and not wish.selector and a_label(wish.domain) in authors:
            return _no_key_of_author(wish.domain)
        if not more:
            name = f"{wish.domain}/{wish.selector}" if wish.selector else wish.domain
            return NoKey(Why(451, "4.3.5", f"No DKIM key for {_shown(name)}"), is_final=False)
        found.extend(key for key in more if key not in found)
    return Chosen(tuple(found))


def _authors(domains: tuple[str, ...], keys: Keys) -> Chosen | NoKey:
    if not domains:
        return NoKey(Why(550, "5.7.1", "The mail has no From address to sign for"), is_final=True)
    found: list[Signer] = []
    for domain in domains:
        more = keys.active(domain)
        if not more:
            return _no_key_of_author(domain)
        found.extend(more)
    return Chosen(tuple(found))


def _no_key_of_author(domain: str) -> NoKey:
    text = f"No DKIM key for the From domain {_shown(domain)}"
    return NoKey(Why(550, "5.7.1", text), is_final=True)


def _of_domain(domain: str, keys: Keys) -> Chosen | NoKey:
    found = keys.active(domain) if domain else ()
    if not found:
        text = "No DKIM key to sign forwarded mail with, see dkim_default"
        return NoKey(Why(451, "4.3.5", text), is_final=False)
    return Chosen(found)


def _shown(name: str) -> str:
    """Return a name for a reply: one line of ASCII."""
    return "".join(c if "!" <= c <= "~" else "?" for c in name[:200])
