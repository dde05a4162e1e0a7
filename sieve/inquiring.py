"""Make one check of a mail's origin: answer what it asks of the DNS and of the body.

No answer comes later than the deadline of the check; past it each one is TEMPORARY, and the check ends as temperror.
Nothing is raised for what a stranger, his name servers or our own disk did.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from columba.common.dns.resolver import RecordType, Resolver, Status
from columba.common.errors import StoreError
from columba.common.mailauth.canonical import hash_body
from columba.common.mailauth.result import TEMPORARY, AskBody, AskDns, BodyForm, Told
from columba.sieve.names import record_text
from columba.sieve.run.message import Message
from columba.sieve.run.requests import Inquire

Hashes = Callable[[tuple[BodyForm, ...]], Awaitable[tuple[str, ...]]]
_S: Final = 1e9


class Inquirer:
    """Drives checks. resolver: None answers nothing."""

    def __init__(self, resolver: Resolver | None, dns_timeout_s: float, timeout_s: float) -> None:
        self._resolver = resolver
        self._dns_timeout_s, self._timeout_s = dns_timeout_s, timeout_s

    async def make(self, asked: Inquire, hashes: Hashes, until_ns: int) -> None:
        """Drive a check to its end. until_ns: CLOCK_MONOTONIC, when all must be over; 0: the check's own time alone."""
        end_ns = time.monotonic_ns() + int(self._timeout_s * _S)
        end_ns = min(end_ns, until_ns) if until_ns else end_ns
        check = asked.check
        try:
            ask = next(check)
            while True:
                ask = check.send(await self._tell(ask, hashes, end_ns))
        except StopIteration:
            return

    async def _tell(self, ask: AskDns | AskBody, hashes: Hashes, end_ns: int) -> Told:
        now_ns = time.monotonic_ns()
        if now_ns >= end_ns:
            return TEMPORARY
        if isinstance(ask, AskBody):
            try:
                return Told(await hashes(ask.forms))
            except (StoreError, TimeoutError):
                return TEMPORARY
        if self._resolver is None:
            return TEMPORARY
        question_ns = min(end_ns, now_ns + int(self._dns_timeout_s * _S))
        kind = RecordType(ask.type.upper())
        answer = await self._resolver.query(ask.name, kind, question_ns)
        if answer.is_temporary:
            return TEMPORARY
        texts = tuple(record_text(record) for record in answer.records)
        return Told(texts, is_nameless=answer.status is Status.NO_NAME)


def in_memory(message: Message) -> Hashes:
    """Return what hashes a body that is small, or a test's."""

    async def hashes(forms: tuple[BodyForm, ...]) -> tuple[str, ...]:
        body = message.read_body()
        return tuple(hash_body(form, [body]).hex() for form in forms)

    return hashes
