"""A zone in memory, from which checks of common/mailauth are answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from columba.common.mailauth.canonical import hash_body
from columba.common.mailauth.result import TEMPORARY, AskBody, AskDns, BodyForm, Check, Told

FORMS: tuple[BodyForm, ...] = ("simple", "relaxed")
T = TypeVar("T")
MOST = 500  # questions of one check; more is a check that does not end


def bodies(chunks: Sequence[bytes]) -> dict[str, str]:
    """Return the hashes of a body, by form."""
    return {form: hash_body(form, chunks).hex() for form in FORMS}


@dataclass
class Zone:
    """records: (name in lower case, type) to records; silent: questions, or whole names, without an answer."""

    records: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    silent: frozenset[tuple[str, str] | str] = frozenset()
    body: Mapping[str, str] = field(default_factory=dict)  # form to hash
    asked: list[tuple[str, str]] = field(default_factory=list)

    def tell(self, ask: AskDns | AskBody) -> Told:
        """Answer one question."""
        if isinstance(ask, AskBody):
            return Told(tuple(self.body[form] for form in ask.forms)) if self.body else TEMPORARY
        name = ask.name.lower().removesuffix(".")
        self.asked.append((name, ask.type))
        if (name, ask.type) in self.silent or name in self.silent:
            return TEMPORARY
        found = tuple(self.records.get((name, ask.type), ()))
        exists = any(known == name or known.endswith("." + name) for known, _ in self.records)
        return Told(found, is_nameless=not found and not exists)

    def drive(self, check: Check[T]) -> T:
        """Run a check to its end."""
        try:
            ask = next(check)
            for _ in range(MOST):
                ask = check.send(self.tell(ask))
        except StopIteration as stop:
            result: T = stop.value
            return result
        raise AssertionError(f"more than {MOST} questions")
