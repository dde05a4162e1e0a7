"""What a delivery status notification says to people, in the language of its reader.

Pure. Words are a set of templates, `$name` in them stands for a value; what a translation lacks is English. The
language is the sender's dearest wish that there are words for: of Accept-Language, with the weights that HTTP
knows, else of Content-Language, in which the mail itself is written.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from string import Template
from typing import Final

_WISH: Final = re.compile(
    r"\s*([A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9]{1,8})*\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?))?\s*"
)
_WISHES: Final = 20
_TEXT_MAX: Final = 4000
DEFAULT: Final = "en"


@dataclass(frozen=True, slots=True)
class Words:
    """All templates. Values: $host, in `said` also $reply, in `until` $time."""

    language: str = DEFAULT
    subject_failed: str = "Undelivered mail returned to sender"
    subject_delayed: str = "Mail is delayed: still trying"
    subject_delivered: str = "Successful mail delivery"
    greeting: str = "This is the mail system at $host."
    failed: str = (
        "Your mail could not be delivered to the following addresses. It will not be tried again."
    )
    delayed: str = (
        "Your mail could not yet be delivered to the following addresses. There is\n"
        "nothing you need to do: it is tried again until the time given."
    )
    delivered: str = "Your mail was delivered to the following addresses."
    relayed: str = "Your mail was handed to a host that sends no further notifications."
    expanded: str = "Your mail was delivered to these addresses, and sent on from there."
    said: str = "$host said: $reply"
    until: str = "tried again until $time"
    closing: str = "What you sent follows below, or its header, with details for programs."


ENGLISH: Final = Words()


class WordsError(ValueError):
    """A translation that can't be used; the text says why."""


def words_of(table: Mapping[str, object], language: str) -> Words:
    """Return the words of a translation: names with texts. Raises WordsError."""
    known = {field.name for field in fields(Words)} - {"language"}
    changed: dict[str, str] = {}
    for name, text in table.items():
        if name not in known:
            raise WordsError(f"no such text: {name}")
        if not isinstance(text, str) or len(text) > _TEXT_MAX:
            raise WordsError(f"{name}: a text of up to {_TEXT_MAX} characters is wanted")
        if not Template(text).is_valid() or set(Template(text).get_identifiers()) - _values(name):
            wanted = ", ".join(f"${value}" for value in sorted(_values(name)))
            raise WordsError(f"{name}: only {wanted} can stand in it ($$ is a dollar sign)")
        changed[name] = text.strip("\r\n")
    return replace(ENGLISH, language=language, **changed)


def fill(template: str, **values: str) -> str:
    """Return a text with its values."""
    return Template(template).safe_substitute(values)


def choose(accepted: str, written: str, available: Collection[str]) -> str:
    """Return the language of `available` (English always is) for a reader with these header fields."""
    for wishes in (_wishes(accepted), _wishes(written)):
        for language in wishes:
            if language in {DEFAULT, "*"}:
                return DEFAULT
            if language in available:
                return language
    return DEFAULT


def _wishes(text: str) -> list[str]:
    """Return languages, the dearest first; those of weight 0 are not wanted."""
    found = []
    for place, part in enumerate(text[:1000].split(",")[:_WISHES]):
        match = _WISH.fullmatch(part)
        if match is None:
            continue
        weight = float(match[2]) if match[2] else 1.0
        if weight > 0:
            found.append((-weight, place, match[1].lower()))
    return [language for _, _, language in sorted(found)]


def _values(name: str) -> set[str]:
    return {"said": {"host", "reply"}, "until": {"time"}}.get(name, {"host"})
