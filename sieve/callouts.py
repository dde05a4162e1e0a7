"""Ask next hops about recipients, through the delivery process that will have their mail; remember what they said.

What is remembered stands in a dict that all processes share: an acceptance for long, a refusal for a while, anything
else not at all. A dict that does not answer costs the memory, not the answer.
"""

from typing import cast

from columba.common.clock import from_now
from columba.common.dict.base import Dict
from columba.common.errors import PeerError, UnavailableError
from columba.common.hop.destination import destination
from columba.common.ipc import wire
from columba.common.ipc.calls import Caller
from columba.sieve.run.actions import RouteKind, TlsDemand
from columba.sieve.run.requests import Answer, Callout, Said, Unavailable

RESERVE_NS = 1_000_000_000  # the hop's answer comes a second before we stop waiting


class HopCallouts:
    """Callouts of answers.py."""

    def __init__(
        self,
        caller: Caller,
        known: Dict,
        dict_timeout_s: float,
        positive_s: float,
        negative_s: float,
    ) -> None:
        """positive_s, negative_s: how long an acceptance and a refusal are remembered."""
        self._caller, self._known, self._dict_timeout_s = caller, known, dict_timeout_s
        self._positive_s, self._negative_s = int(positive_s), int(negative_s)

    async def ask(self, asked: Callout, timeout_s: float) -> Answer:
        """Return Said or Unavailable."""
        route = wire.Route(
            kind=cast(RouteKind, asked.kind),
            host=asked.host,
            port=asked.port,
            path=asked.path,
            tls=cast(TlsDemand, asked.tls),
        )
        recipient = asked.recipient.encode()
        where = destination(route, recipient)
        key = f"callout/{where}/{asked.sender}/{asked.recipient}"
        if not asked.holds and (known := await self._recall(key)) is not None:
            return known
        until_ns = from_now(timeout_s)
        request = wire.CallOut(
            route=route,
            sender=asked.sender.encode(),
            recipient=recipient,
            deadline_ns=until_ns - RESERVE_NS,
            holds=asked.holds,
        )
        try:
            answer = await self._caller.call("delivery", request, until_ns=until_ns, key=where)
        except PeerError as error:
            return Unavailable(f"delivery: {error}")
        if not isinstance(answer.reply, wire.CalledOut):
            return Unavailable("delivery can't ask now")
        said = Said(answer.reply.code, answer.reply.enhanced, answer.reply.text)
        await self._remember(key, said)
        return said

    async def _recall(self, key: str) -> Said | None:
        try:
            value = await self._known.get(key, self._dict_timeout_s)
        except UnavailableError:
            return None
        code, _, rest = (value or "").partition(" ")
        enhanced, _, text = rest.partition(" ")
        return Said(int(code), enhanced, text, is_remembered=True) if code.isdecimal() else None

    async def _remember(self, key: str, said: Said) -> None:
        life_s = self._positive_s if said.code < 400 else self._negative_s
        if 400 <= said.code < 500 or not life_s:
            return
        value = f"{said.code} {said.enhanced} {said.text}"
        try:
            await self._known.set(key, value, self._dict_timeout_s, life_s)
        except UnavailableError:
            return
