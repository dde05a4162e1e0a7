"""One try of one mail at one target: hosts in order, connections old and new, until somebody has answered.

A reused connection that turns out dead before anything was said is replaced without a word. Once the end of
data may have been read, no other host is tried. What replies mean is decided in outcome.py; what becomes of a temporary
result (queue, refuse, defer) is the service's business.
"""

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from ssl import SSLContext
from typing import Final

from columba.common.dns.mx import MxProblem
from columba.common.errors import LocalProtocolError, UnavailableError
from columba.common.hop.mail import Why
from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.common.net.check import Check
from columba.common.net.stream import StreamError
from columba.common.off_loop import OffLoop
from columba.common.smtp.client import missing
from columba.common.smtp.command import Mail, Rcpt
from columba.common.smtp.extensions import Extensions
from columba.common.smtp.params import MailParams, RcptParams
from columba.delivery import outcome
from columba.delivery.commitment import Commitment
from columba.delivery.connect import Finder, connect
from columba.delivery.content import Content
from columba.delivery.health import Health
from columba.delivery.outcome import Decision, Detail, Stage, Verdict
from columba.delivery.pool import Key, Pool
from columba.delivery.session import (
    HopError,
    HopTlsError,
    Patience,
    Said,
    Session,
    TooLateError,
    Transaction,
)
from columba.delivery.target import Endpoint, Target
from columba.delivery.tlspolicy.decide import Demand, Use, demand
from columba.delivery.window import Windows

LATE: Final = Decision(
    Verdict.TEMPORARY, Why(451, "4.4.7", "The delivery takes too long, try again later")
)
FULL: Final = Decision(
    Verdict.TEMPORARY, Why(451, "4.3.2", "Too many mails are on their way to this destination")
)
DOWN: Final = Decision(Verdict.TEMPORARY, Why(451, "4.4.1", "The next server does not answer"))
BARE: Final = Decision(
    Verdict.TEMPORARY, Why(451, "4.6.0", "The message has bare line ends"), alert=True
)
UNREADABLE: Final = Decision(
    Verdict.TEMPORARY, Why(451, "4.3.0", "The message can't be read, try again later"), alert=True
)


@dataclass(frozen=True, slots=True)
class Job:
    """One mail for recipients with one target. `is_client`: a client waits for the answer."""

    target: Target
    recipients: tuple[wire.Recipient, ...]
    envelope: wire.Envelope
    content: Content
    commitment: Commitment
    deadline_ns: int
    is_client: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one recipient, and at which hop ("" = none was reached)."""

    decision: Decision
    hop: str = ""
    tls: str = ""


@dataclass(frozen=True, slots=True)
class Ways:
    """How connections are made (from the settings)."""

    helo: str
    detail: Detail
    connect_s: float
    greeting_s: float


@dataclass(frozen=True, slots=True)
class Tools:
    """What all attempts of a process share."""

    finder: Finder
    pool: Pool
    health: Health
    windows: Windows
    contexts: Mapping[Check, SSLContext]
    off_loop: OffLoop
    event: Event
    spawn: Callable[[Coroutine[object, object, None], str], object]


class Attempts:
    """Makes attempts."""

    def __init__(self, tools: Tools, ways: Ways) -> None:
        self._tools, self._ways = tools, ways

    async def run(self, job: Job) -> list[Result]:
        """Return a result for each recipient of the job, in order."""
        window = self._tools.windows.of(job.target.route)
        if not await window.enter(job.deadline_ns):
            return _same(job, Result(FULL))
        try:
            return await self._over_hosts(job)
        finally:
            window.leave()

    async def _over_hosts(self, job: Job) -> list[Result]:
        hosts = await self._tools.finder.hosts(job.target, job.deadline_ns)
        if isinstance(hosts, MxProblem):
            return _same(job, Result(outcome.of_problem(hosts)))
        last = Result(LATE)
        for host in hosts:
            if time.monotonic_ns() >= job.deadline_ns:
                break
            results = await self._at_host(job, host)
            last = results[0]
            if not all(result.decision.next_host for result in results):
                return results
        return _same(job, last)

    async def _at_host(self, job: Job, host: str) -> list[Result]:
        """Try a host's addresses; when none served, each result says next_host."""
        tools = self._tools
        found = await tools.finder.endpoints(job.target, host, job.deadline_ns)
        if isinstance(found, MxProblem):
            return _same(job, Result(replace(outcome.of_problem(found), next_host=True)))
        now_ns = time.monotonic_ns()
        left = [e for e in found if not tools.health.is_down(e, now_ns)]
        results = _same(job, Result(replace(DOWN, next_host=True), host))
        wanted = demand(job.target.tls, job.target.kind == "unix", job.envelope.requiretls)
        for endpoint in left:
            session = tools.pool.take(self._key(job, endpoint, wanted), now_ns)
            if session is not None:
                reused = await self._over(job, session, wanted)
                if reused is not None:
                    return reused
        while left and time.monotonic_ns() < job.deadline_ns:
            tried, results = await self._at_one_of(job, left, wanted)
            if tried is None or not all(result.decision.next_host for result in results):
                return results
            left.remove(tried)
        return results

    async def _at_one_of(
        self, job: Job, endpoints: Sequence[Endpoint], wanted: Demand
    ) -> tuple[Endpoint | None, list[Result]]:
        """Connect to the first of the endpoints that answers; return it, None when none did."""
        tools, ways = self._tools, self._ways
        try:
            stream, endpoint = await connect(
                endpoints, job.target.source, ways.connect_s, job.deadline_ns, tools.health
            )
        except StreamError as error:
            label = endpoints[0].label
            decision = outcome.lost(Stage.CONNECT, str(error), label, ways.detail)
            return None, _same(job, Result(decision, label))
        session = Session(stream, endpoint, job.target.lmtp, tools.off_loop)
        try:
            helo = job.target.helo or ways.helo
            await session.begin(helo, wanted, tools.contexts, self._patience(job))
        except HopTlsError as error:
            if wanted.use is not Use.IF_OFFERED:
                return endpoint, _same(job, self._ended(error, endpoint))
            tools.event.warning(
                "TLS failed, going on in clear", hop=endpoint.label, error=str(error)
            )
            return await self._at_one_of(job, [endpoint], Demand(Use.NEVER, wanted.check))
        except HopError as error:
            tools.health.failed(
                endpoint, time.monotonic_ns() - session.born_ns, time.monotonic_ns()
            )
            return endpoint, _same(job, self._ended(error, endpoint))
        tools.health.worked(endpoint)
        return endpoint, await self._over(job, session, wanted) or []

    async def _over(self, job: Job, session: Session, wanted: Demand) -> list[Result] | None:
        """Send over a session; None when a reused one was dead before the hop said anything."""
        label = session.endpoint.label
        transaction = _transaction(job)
        lacking = _lacking(job, transaction, session.extensions)
        if lacking:
            self._put_away(job, session, wanted)
            return _same(job, Result(_unable(lacking, label), label))
        tls = session.tls_version
        try:
            said = await session.send(transaction, job.commitment, self._patience(job))
        except HopError as error:
            if session.uses and error.stage is Stage.MAIL and _is_stale(error):
                return None
            return _same(job, self._ended(error, session.endpoint))
        except TooLateError:
            return _same(job, Result(LATE, label))
        except LocalProtocolError:
            return _same(job, Result(BARE, label))
        except (UnavailableError, TimeoutError):
            return _same(job, Result(UNREADABLE, label))
        self._put_away(job, session, wanted)
        return [Result(self._decide(one, label), label, tls) for one in said]

    def _put_away(self, job: Job, session: Session, wanted: Demand) -> None:
        key = self._key(job, session.endpoint, wanted)
        for old in self._tools.pool.give_back(key, session, time.monotonic_ns()):
            self._tools.spawn(old.quit(), "closing a connection")

    def _decide(self, said: Said, label: str) -> Decision:
        if said.reply is None:
            return outcome.lost(said.stage, said.reason, label, self._ways.detail)
        return outcome.decide(said.stage, said.reply, label, self._ways.detail)

    def _ended(self, error: HopError, endpoint: Endpoint) -> Result:
        label = endpoint.label
        said = Said(error.stage, error.reply, error.reason)
        return Result(replace(self._decide(said, label), next_host=True), label)

    def _patience(self, job: Job) -> Patience:
        if job.is_client:
            return Patience(job.deadline_ns, greeting_s=self._ways.greeting_s)
        return Patience(job.deadline_ns)

    def _key(self, job: Job, endpoint: Endpoint, wanted: Demand) -> Key:
        target = job.target
        return Key(endpoint, wanted, target.source, target.helo, target.lmtp)


def _same(job: Job, result: Result) -> list[Result]:
    return [result] * len(job.recipients)


def _transaction(job: Job) -> Transaction:
    envelope, content = job.envelope, job.content
    addresses = (envelope.sender, *(r.address for r in job.recipients))
    # RFC 6531 §3.4: only a mail that is internationalised needs a hop that is.
    needs_utf8 = envelope.smtputf8 and not (
        all(address.isascii() for address in addresses) and content.header.isascii()
    )
    params = MailParams(
        size=content.size,
        body="8BITMIME" if envelope.body8 else "",
        smtputf8=needs_utf8,
        ret=envelope.ret,
        envid=envelope.envid.encode(),
        requiretls=envelope.requiretls,
    )
    rcpts = tuple(Rcpt(r.address, _rcpt_params(r)) for r in job.recipients)
    return Transaction(Mail(envelope.sender, params), rcpts, content)


def _rcpt_params(recipient: wire.Recipient) -> RcptParams:
    kind, _, original = recipient.orcpt.partition(";")
    return RcptParams(recipient.notify, kind if original else "", original.encode())


def _is_stale(error: HopError) -> bool:
    """Tell whether the hop had closed the connection, perhaps with a 421, before it heard of this mail."""
    return error.reply is None or error.reply.code == 421


def _lacking(job: Job, transaction: Transaction, offered: Extensions) -> tuple[str, ...]:
    """Return what the mail can't do without.

    7-bit content needs no 8BITMIME, whatever the client declared; nor does LMTP, which ends at the mailbox.
    """
    lacking = missing(transaction.mail, offered)
    content = transaction.content
    is_7bit = content.body.is_inline and content.header.isascii() and content.body.inline.isascii()
    if is_7bit or job.target.lmtp:
        return tuple(keyword for keyword in lacking if keyword != "8BITMIME")
    return lacking


def _unable(lacking: Sequence[str], label: str) -> Decision:
    """Return what follows from what the hop lacks (RFC 6531 §3.2, RFC 8689 §4.2.1, RFC 6152 §3)."""
    codes = {"SMTPUTF8": (550, "5.6.7"), "REQUIRETLS": (550, "5.7.30"), "8BITMIME": (554, "5.6.3")}
    code, enhanced = codes[lacking[0]]
    text = f"{label} does not offer {', '.join(lacking)}"
    decision = replace(outcome.refused_by_us(code, enhanced, text), next_host=True)
    if lacking == ("8BITMIME",):
        return replace(decision, verdict=Verdict.REWORK)
    return decision
