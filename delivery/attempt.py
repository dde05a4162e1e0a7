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

from columba.common.dns.mx import MxProblem, loop_of
from columba.common.errors import LocalProtocolError, UnavailableError
from columba.common.hop.mail import Why
from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.common.net.check import Check
from columba.common.net.stream import StreamError
from columba.common.off_loop import OffLoop
from columba.common.sasl.client import Credentials
from columba.common.smtp.codes import ascii_line
from columba.delivery import form, outcome
from columba.delivery.connect import Finder, connect
from columba.delivery.exchange import HopError, HopTlsError, Patience
from columba.delivery.health import Health
from columba.delivery.job import (
    BARE,
    DOWN,
    FULL,
    LATE,
    UNREADABLE,
    Job,
    Result,
    is_for_next_host,
    same,
)
from columba.delivery.logins import Logins
from columba.delivery.opening import LoopError, Manner
from columba.delivery.outcome import Decision, Stage, Verdict
from columba.delivery.pool import Key, Pool
from columba.delivery.session import Said, Session, TooLateError
from columba.delivery.source import NoSourceError, Source, Sources
from columba.delivery.target import Endpoint
from columba.delivery.tlspolicy.decide import Demand, Use, demand
from columba.delivery.transcript import Entry, Heard, Shelf
from columba.delivery.window import Windows

ENDPOINTS: Final = 20  # places tried for one mail in one try, over all hosts


@dataclass(frozen=True, slots=True)
class Ways:
    """How connections are made (from the settings). ignored: EHLO keywords that are not used."""

    helo: str
    connect_s: float
    greeting_s: float
    ignored: tuple[str, ...] = ()
    endpoints_max: int = ENDPOINTS


@dataclass(frozen=True, slots=True)
class Tools:
    """What all attempts of a process share."""

    finder: Finder
    pool: Pool
    health: Health
    windows: Windows
    sources: Sources
    logins: Logins
    shelf: Shelf
    contexts: Mapping[Check, SSLContext]
    off_loop: OffLoop
    event: Event
    spawn: Callable[[Coroutine[object, object, None], str], object]


@dataclass(slots=True)
class Try:
    """One try: what all its connections have in common, and how many places are left to try."""

    job: Job
    source: Source
    helo: str
    login: Credentials | None
    wanted: Demand
    places: int

    def key(self, endpoint: Endpoint) -> Key:
        """Return what a connection must have in common with ours to be used."""
        user = self.login.user if self.login else ""
        lmtp = self.job.target.lmtp
        return Key(endpoint, self.wanted, self.source.name, self.helo, lmtp, user)


class Attempts:
    """Makes attempts. held_ns: how much longer than usual a connection may be idle after one."""

    def __init__(self, tools: Tools, ways: Ways, held_ns: int = 0) -> None:
        self._tools, self._ways, self._held_ns = tools, ways, held_ns

    async def run(self, job: Job) -> list[Result]:
        """Return a result for each recipient of the job, in order."""
        target = job.target
        if target.timeout_s:
            until_ns = time.monotonic_ns() + target.timeout_s * 1_000_000_000
            job = replace(job, deadline_ns=min(job.deadline_ns, until_ns))
        window = self._tools.windows.of(target.route, target.concurrency)
        if not await window.enter(job.deadline_ns):
            return same(job, Result(FULL))
        try:
            results = await self._begin(job)
            window.learn(any(result.decision.is_pressed for result in results))
            return results
        finally:
            window.leave()

    async def _begin(self, job: Job) -> list[Result]:
        target, tools = job.target, self._tools
        try:
            source = tools.sources.draw(target.source)
            login = await tools.logins.of(target)
        except (NoSourceError, UnavailableError) as error:
            why = Why(451, "4.3.5", ascii_line(str(error)))
            return same(job, Result(Decision(Verdict.TEMPORARY, why, alert=True)))
        wanted = demand(
            target.tls,
            target.kind == "unix",
            job.envelope.requiretls,
            login is not None and not tools.logins.allows_clear,
        )
        helo = target.helo or source.helo or self._ways.helo
        return await self._over_hosts(
            Try(job, source, helo, login, wanted, self._ways.endpoints_max)
        )

    async def _over_hosts(self, this: Try) -> list[Result]:
        job = this.job
        hosts = await self._tools.finder.hosts(job.target, job.deadline_ns)
        if isinstance(hosts, MxProblem):
            return same(job, Result(outcome.of_problem(hosts)))
        last = Result(LATE)
        for host in hosts:
            if time.monotonic_ns() >= job.deadline_ns or not this.places:
                break
            results = await self._at_host(this, host)
            last = results[0]
            if not is_for_next_host(results):
                return results
        return same(job, last)

    async def _at_host(self, this: Try, host: str) -> list[Result]:
        """Try a host's addresses; when none served, each result says next_host."""
        job, tools = this.job, self._tools
        found = await tools.finder.endpoints(job.target, host, job.deadline_ns)
        if isinstance(found, MxProblem):
            return same(job, Result(replace(outcome.of_problem(found), next_host=True)))
        now_ns = time.monotonic_ns()
        left = [e for e in found if not tools.health.is_down(e, now_ns)]
        left = list(this.source.reachable(left))[: this.places]
        results = same(job, Result(DOWN, host))
        for endpoint in left:
            session = tools.pool.take(this.key(endpoint), now_ns)
            if session is not None:
                reused = await self._over(this, session)
                if reused is not None:
                    return reused
        while left and time.monotonic_ns() < job.deadline_ns:
            tried, results = await self._at_one_of(this, left)
            if tried is None or not is_for_next_host(results):
                this.places -= len(left) if tried is None else 0
                return results
            left.remove(tried)
            this.places -= 1
        return results

    async def _at_one_of(
        self, this: Try, endpoints: Sequence[Endpoint]
    ) -> tuple[Endpoint | None, list[Result]]:
        """Connect to the first of the endpoints that answers; return it, None when none did."""
        tools, ways, job = self._tools, self._ways, this.job
        try:
            stream, endpoint = await connect(
                endpoints, this.source, ways.connect_s, job.deadline_ns, tools.health
            )
        except StreamError as error:
            label = endpoints[0].label
            self._note(job, label, str(error))
            return None, same(job, Result(outcome.lost(Stage.CONNECT, str(error), label), label))
        session = Session(stream, endpoint, job.target.lmtp, tools.off_loop)
        try:
            await session.begin(self._manner(this))
        except LoopError:
            self._keep(job, session)
            return endpoint, same(job, Result(outcome.of_problem(loop_of(job.target.name))))
        except HopTlsError as error:
            self._keep(job, session)
            if this.wanted.use is not Use.IF_OFFERED:
                return endpoint, same(job, self._ended(error, endpoint))
            tools.event.warning(
                "TLS failed, going on in clear", hop=endpoint.label, error=str(error)
            )
            return await self._at_one_of(_in_clear(this), [endpoint])
        except HopError as error:
            self._keep(job, session)
            now_ns = time.monotonic_ns()
            tools.health.failed(endpoint, now_ns - session.born_ns, now_ns)
            return endpoint, same(job, self._ended(error, endpoint))
        tools.health.worked(endpoint)
        return endpoint, await self._over(this, session) or []

    async def _over(self, this: Try, session: Session) -> list[Result] | None:
        """Send over a session, in as many transactions as the hop wants; what it can't take goes on elsewhere.

        None when a reused session was dead before the hop said anything.
        """
        job = this.job
        done: dict[str, Result] = {}
        left = job
        while left.recipients:
            part = form.first_batch(left, session.extensions)
            results, again = await self._send(this, part, session)
            if part is job and results and not again and not is_for_next_host(results):
                self._put_away(this, session)
                return results
            if results is None or is_for_next_host(results):
                if not done:
                    self._put_away(this, session)
                    return results and same(job, results[0])
                results, part, again = await self._elsewhere(this, left), left, set()
            pairs = zip(part.recipients, results, strict=True)
            done |= {r.number: result for r, result in pairs if r.number not in again}
            left = replace(left, recipients=_not_in(left, done))
            if left.recipients and not session.is_usable:
                rest = await self._elsewhere(this, left)
                pairs = zip(left.recipients, rest, strict=True)
                done |= {r.number: result for r, result in pairs}
                break
        self._put_away(this, session)
        return [done[recipient.number] for recipient in job.recipients]

    async def _elsewhere(self, this: Try, left: Job) -> list[Result]:
        """Send to those that one connection could not take, over another."""
        return await self._over_hosts(replace(this, job=left))

    async def _send(
        self, this: Try, part: Job, session: Session
    ) -> tuple[list[Result] | None, set[str]]:
        """Make one transaction; return its results (None: see _over), and the numbers that go again at once."""
        label, offered = session.endpoint.label, session.extensions
        transaction = form.transaction(part, offered)
        missed = form.lacking(part, transaction, offered)
        if missed:
            return same(part, Result(form.unable(missed, label, offered), label)), set()
        tls = session.tls_version
        try:
            said = await session.send(transaction, part.commitment, self._patience(part))
        except HopError as error:
            if is_stale(session, error):
                return None, set()
            return same(part, self._ended(error, session.endpoint)), set()
        except TooLateError:
            return same(part, Result(LATE, label)), set()
        except LocalProtocolError:
            return same(part, Result(BARE, label)), set()
        except (UnavailableError, TimeoutError):
            return same(part, Result(UNREADABLE, label)), set()
        finally:
            self._keep(part, session)
        has_dsn = "DSN" in offered
        results = [Result(self._decide(one, label), label, tls, has_dsn) for one in said]
        return results, form.left_over(part, said, results)

    def _put_away(self, this: Try, session: Session) -> None:
        key, now_ns = this.key(session.endpoint), time.monotonic_ns()
        for old in self._tools.pool.give_back(key, session, now_ns, self._held_ns):
            self._tools.spawn(old.quit(), "closing a connection")

    def _keep(self, job: Job, session: Session) -> None:
        """Keep what was said, for the administrator who asks for it."""
        heard = session.heard()
        if job.id:
            self._tools.shelf.put(job.id, heard)

    def _note(self, job: Job, label: str, text: str) -> None:
        said: Entry = (time.monotonic_ns(), "*", text.encode())
        self._tools.shelf.put(job.id, Heard(label, (said,)))

    def _decide(self, said: Said, label: str) -> Decision:
        if said.reply is None:
            return outcome.lost(said.stage, said.reason, label)
        return outcome.decide(said.stage, said.reply, label)

    def _ended(self, error: HopError, endpoint: Endpoint) -> Result:
        label = endpoint.label
        said = Said(error.stage, error.reply, error.reason)
        may_go_on = error.stage is not Stage.AUTH  # the same password would be wrong there too
        return Result(replace(self._decide(said, label), next_host=may_go_on), label)

    def _manner(self, this: Try) -> Manner:
        return Manner(
            this.helo.encode(),
            this.wanted,
            self._tools.contexts,
            self._patience(this.job),
            this.login,
            self._tools.logins.allows_clear,
            self._ways.helo.lower() if this.job.target.kind == "mx" else "",
            self._ways.ignored,
        )

    def _patience(self, job: Job) -> Patience:
        if job.is_client:
            return Patience(job.deadline_ns, greeting_s=self._ways.greeting_s)
        return Patience(job.deadline_ns)


def is_stale(session: Session, error: HopError) -> bool:
    """Tell whether the hop had closed an idle connection, perhaps with a 421, before it heard of this mail."""
    if not session.uses or error.stage is not Stage.MAIL:
        return False
    return error.reply is None or error.reply.code == 421


def _in_clear(this: Try) -> Try:
    return replace(this, wanted=Demand(Use.NEVER, this.wanted.check))


def _not_in(job: Job, done: Mapping[str, Result]) -> tuple[wire.Recipient, ...]:
    return tuple(r for r in job.recipients if r.number not in done)
