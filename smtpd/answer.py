"""From the outcomes of all recipients to the one answer to end of data.

Pure: promises §3 as one function. The first row that matches wins:

    any refused                      4xx, the reason of the first; the accepted ones go to the fence
    all failed                       the common code, else 550, a line for each
    all accepted                     250, "Queued as" if any is queued
    some accepted, the rest failed   250, after the one DSN for the failed ones is durable

accepted = delivered, queued or discarded. A recipient without an outcome counts as refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from columba.common import limits
from columba.common.hop.mail import ACCEPTED
from columba.common.ipc import wire
from columba.common.smtp import codes
from columba.common.smtp.codes import Reply, ascii_line, reply


class Duty(Enum):
    """What must be done before the answer is written."""

    NONE = "nothing"
    BOUNCE = "a DSN for the failed recipients must be durable"
    WITHHOLD = "recipients that were accepted must become fence records"


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply, the outcomes that it is about, and what it needs first."""

    reply: Reply
    duty: Duty = Duty.NONE
    outcomes: tuple[wire.Outcome, ...] = ()


def answer(id: str, numbers: Sequence[str], outcomes: Sequence[wire.Outcome]) -> Answer:
    """Return the one answer for these recipients.

    numbers are those that smtpd gave; an outcome belongs to number n if it names n or a split of it (n.1).
    """
    known = _for_each(numbers, outcomes)
    accepted = [o for o in known if o.kind in ACCEPTED]
    failed = [o for o in known if o.kind == "failed"]
    refused = [o for o in known if o.kind not in (*ACCEPTED, "failed")]
    if refused or not known:
        duty = Duty.WITHHOLD if accepted else Duty.NONE
        return Answer(_refusal(refused), duty, tuple(known))
    if not accepted:
        return Answer(_failure(failed), Duty.NONE, tuple(known))
    duty = Duty.BOUNCE if failed else Duty.NONE
    return Answer(_success(id, accepted), duty, tuple(known))


def answer_each(
    id: str, numbers: Sequence[str], outcomes: Sequence[wire.Outcome]
) -> tuple[Answer, ...]:
    """Return one answer for each recipient in order (LMTP, PRDR).

    Where each recipient hears its own result there is no fence and no DSN of ours, but where splits of
    one recipient differ.
    """
    return tuple(answer(id, (number,), _of(number, outcomes)) for number in numbers)


def prdr_replies(each: Sequence[Reply], common: Reply) -> tuple[Reply, ...]:
    """Return all replies to a client that asked for one for each recipient: 353, those, and the one for all.

    The last is 250 if any recipient was accepted, else the common failure (promises §3).
    """
    last = next((found for found in each if found.positive), common)
    return (codes.PRDR_FOLLOWS, *each, last)


def named(reply: Reply, id: str) -> Reply:
    """Return a refusal with the message's id behind its last line, so that both sides can speak of it."""
    if reply.positive:
        return reply
    *head, last = reply.lines
    return Reply(reply.code, reply.enhanced, (*head, f"{last} ({id})"))


def soften(reply: Reply) -> Reply:
    """Return a 5xx reply as 4xx, for soft_bounce."""
    if not reply.permanent:
        return reply
    enhanced = "4" + reply.enhanced[1:] if reply.enhanced else ""
    lines = tuple("4" + line[1:] if line[:2] == "5." else line for line in reply.lines)
    return Reply(450, enhanced, lines)


def _for_each(numbers: Sequence[str], outcomes: Sequence[wire.Outcome]) -> list[wire.Outcome]:
    if len(numbers) == 1 and len(outcomes) == 1 and outcomes[0].number == numbers[0]:
        return [outcomes[0]]
    found: list[wire.Outcome] = []
    for number in numbers:
        found += _of(number, outcomes) or [_unknown(number)]
    return found


def _of(number: str, outcomes: Sequence[wire.Outcome]) -> list[wire.Outcome]:
    prefix = number + "."
    return [o for o in outcomes if o.number == number or o.number.startswith(prefix)]


def _unknown(number: str) -> wire.Outcome:
    text = "Result unknown, try again later"
    return wire.Outcome(number=number, kind="refused", code=451, enhanced="4.3.0", text=text)


def _refusal(refused: Sequence[wire.Outcome]) -> Reply:
    first = refused[0] if refused else _unknown("0")
    # 421 would say that we close; a code of another class would be no refusal.
    code = first.code if 400 <= first.code < 500 and first.code != 421 else 451
    enhanced = first.enhanced if first.enhanced.startswith("4.") else "4.3.0"
    return reply(code, enhanced, ascii_line(first.text) or "Try again later")


def _failure(failed: Sequence[wire.Outcome]) -> Reply:
    found = {_failed_code(outcome) for outcome in failed}
    code = found.pop() if len(found) == 1 else 550
    if len(failed) == 1:
        return reply(
            code, _failed_status(failed[0]), ascii_line(failed[0].text) or "Delivery failed"
        )
    lines = (
        f"{_failed_status(o)} {ascii_line(f'<{_shown(o)}> {o.text}')}"
        for o in failed[: limits.REPLY_LINES]
    )
    return Reply(code, "", tuple(lines))


def _success(id: str, accepted: Sequence[wire.Outcome]) -> Reply:
    if any(outcome.kind == "queued" for outcome in accepted):
        return reply(250, "2.0.0", f"Queued as {id}")
    words = next((o.text for o in accepted if o.kind == "delivered" and o.text), "")
    return reply(250, "2.0.0", ascii_line(f"Ok {id}: {words}" if words else f"Ok {id}"))


def _failed_code(outcome: wire.Outcome) -> int:
    return outcome.code if 500 <= outcome.code < 600 else 550


def _failed_status(outcome: wire.Outcome) -> str:
    return outcome.enhanced if outcome.enhanced.startswith("5.") else "5.0.0"


def _shown(outcome: wire.Outcome) -> str:
    return (outcome.original or outcome.address).decode("ascii", "backslashreplace")
