"""Queries with places for the key: `select mailbox from users where name = '%{user | username}'`.

Pure. The words are those of Dovecot: %{user} (or %{key}) is the whole key; filters behind "|" take a part of it or
change it: username, domain, lower, upper. %% is a percent sign. What is put in never becomes syntax: SQL gets it as
parameters, other languages through their own escape. A part that is empty (the domain of a key without "@") means that
nothing can be found: nobody is asked then.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from columba.common.errors import ConfigError

_VARIABLE: Final = re.compile(r"%(?:%|\{([^{}]*)\})")
_LITERAL: Final = re.compile(r"'((?:[^']|'')*)'")
_FILTERS: Final[dict[str, Callable[[str], str]]] = {
    "username": lambda key: key.rpartition("@")[0] if "@" in key else key,
    "domain": lambda key: key.rpartition("@")[2] if "@" in key else "",
    "lower": str.lower,
    "upper": str.upper,
}
_NAMES: Final = ("key", "user")
Escape = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Template:
    """Text with places for the key; filters None: plain text."""

    parts: tuple[tuple[str, tuple[str, ...] | None], ...]

    @property
    def has_key(self) -> bool:
        """Tell whether the key stands in it at all."""
        return any(filters is not None for _, filters in self.parts)

    def fill(self, key: str, escape: Escape = str) -> str | None:
        """Return the text for a key; None if a part of the key that it needs is empty."""
        made = []
        for text, filters in self.parts:
            value = key
            for name in filters or ():
                value = _FILTERS[name](value)
            if filters is not None and not value:
                return None
            made.append(text if filters is None else escape(value))
        return "".join(made)


@dataclass(frozen=True, slots=True)
class Query:
    """SQL with a placeholder for each parameter, and what the parameters are."""

    text: str
    parameters: tuple[Template, ...]

    def values(self, key: str) -> tuple[str, ...] | None:
        """Return the parameters for a key; None if nothing can be found."""
        filled = [template.fill(key) for template in self.parameters]
        values = tuple(value for value in filled if value is not None)
        return values if len(values) == len(filled) else None


def parse_template(text: str) -> Template:
    """Read a template; raises ConfigError."""
    parts: list[tuple[str, tuple[str, ...] | None]] = []
    end = 0
    for match in _VARIABLE.finditer(text):
        parts.append((text[end : match.start()], None))
        parts.append(("%", None) if match[1] is None else ("", _filters(match[1])))
        end = match.end()
    parts.append((text[end:], None))
    return Template(
        tuple((each, filters) for each, filters in parts if each or filters is not None)
    )


def parse_query(text: str, placeholder: Callable[[int], str], escape: Escape = str) -> Query:
    """Read SQL; raises ConfigError if the key stands nowhere in it.

    placeholder makes that of the n-th parameter, from 1. escape: what plain SQL must be made for the driver. Quotes
    around a place for the key may stand or be missing: '%{user}' and %{user} are the same parameter, and 'x/%{user}'
    is one too.
    """
    made: list[str] = []
    parameters: list[Template] = []

    def add_plain(part: str) -> None:
        for each, filters in parse_template(part).parts:
            if filters is None:
                made.append(escape(each))
            else:
                add_parameter(Template((("", filters),)))

    def add_parameter(template: Template) -> None:
        parameters.append(template)
        made.append(placeholder(len(parameters)))

    end = 0
    for literal in _LITERAL.finditer(text):
        template = parse_template(literal[1].replace("''", "'"))
        if not template.has_key:
            continue
        add_plain(text[end : literal.start()])
        add_parameter(template)
        end = literal.end()
    add_plain(text[end:])
    if not parameters:
        raise ConfigError("the query has no place for the key: write %{user}")
    return Query("".join(made), tuple(parameters))


def _filters(text: str) -> tuple[str, ...]:
    name, *filters = (word.strip() for word in text.split("|"))
    unknown = [word for word in filters if word not in _FILTERS]
    if name not in _NAMES or unknown:
        known = f"%{{user}} with {', '.join(_FILTERS)}"
        raise ConfigError(f"%{{{text}}} is not known (there is {known})")
    return tuple(filters)
