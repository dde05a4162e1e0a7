"""The client's dialogues as data, with the hop's words whole, octet by octet, and split at every position."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from columba.common.clock import SystemClock
from columba.common.ipc import wire
from columba.common.net.check import Check
from columba.common.off_loop import OffLoop
from columba.delivery import form
from columba.delivery.commitment import Commitment
from columba.delivery.exchange import HopError, Patience
from columba.delivery.job import Job
from columba.delivery.opening import Manner
from columba.delivery.session import Session
from columba.delivery.target import Endpoint
from columba.delivery.tlspolicy.decide import Demand, Use
from tests.fakes.delivering import content, host_target, seconds
from tests.fakes.scripted_stream import ScriptedStream


@dataclass
class Dialogue:
    """One of the file."""

    name: str
    to: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    script: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)


def dialogues() -> list[Dialogue]:
    found: list[Dialogue] = []
    for line in Path(__file__).with_name("client_dialogues.txt").read_text().splitlines():
        if line.startswith("=="):
            name, _, rest = line[3:].rpartition(" to ")
            to, *words = rest.split()
            found.append(Dialogue(name, [f"{one}@x.test" for one in to.split(",")], words))
        elif line.startswith(("= ", "! ")):
            found[-1].results.append(line)
        elif line and not line.startswith("# "):
            found[-1].script.append(line)
    return found


ALL = dialogues()
LARGE = (b"y" * 62 + b"\r\n") * 16000


def job_of(dialogue: Dialogue) -> Job:
    """Return the mail of a dialogue: 43 octets, and what its words ask for."""
    has_dsn, is_utf8 = "dsn" in dialogue.words, "utf8" in dialogue.words
    is_idn = "idn" in dialogue.words
    sender = "jürgen@x.test" if is_utf8 else "me@Grün.test" if is_idn else "me@x.test"
    recipients = tuple(
        wire.Recipient(
            number=str(n),
            address=address.encode(),
            orcpt="rfc822;old+one@x.test" if has_dsn else "",
            notify=("SUCCESS", "DELAY") if has_dsn else (),
        )
        for n, address in enumerate(dialogue.to, 1)
    )
    envelope = wire.Envelope(
        sender=sender.encode(),
        smtputf8=is_utf8 or is_idn,
        body8=is_utf8,
        ret="HDRS" if has_dsn else "",
        envid="E+1" if has_dsn else "",
    )
    return Job(
        host_target(25),
        recipients,
        envelope,
        content(LARGE) if "large" in dialogue.words else content(),
        Commitment(SystemClock(), seconds(10)),
        seconds(10),
        is_client=True,
    )


async def play(dialogue: Dialogue, stream: ScriptedStream, patience: Patience) -> list[str]:
    """Return what became of the mail, as the file says it."""
    off_loop = OffLoop(1, "test")
    session = Session(stream, Endpoint("mx", "192.0.2.1", 25), "lmtp" in dialogue.words, off_loop)
    manner = Manner(b"us.test", Demand(Use.NEVER, Check.NOTHING), {}, patience, own_name="us.test")
    job = job_of(dialogue)
    try:
        await session.begin(manner)
        said = await session.send(
            form.transaction(job, session.extensions), job.commitment, patience
        )
    except HopError as error:
        return [f"! {error.stage.name} {error.reply.code if error.reply else 0}"]
    finally:
        off_loop.close()
    noted = b"".join(data for _, _, data in session.heard().entries)
    assert b"LHLO us.test" in noted or b"EHLO us.test" in noted
    assert b"Subject" not in noted and b"two" not in noted
    return [f"= {one.stage.name} {one.reply.code if one.reply else 0}" for one in said]


@pytest.mark.parametrize("dialogue", ALL, ids=[one.name for one in ALL])
async def test_a_dialogue(dialogue: Dialogue) -> None:
    longest = sum(len(line) for line in dialogue.script)
    for piece in (0, *range(1, min(longest, 60))):
        stream = ScriptedStream(dialogue.script, piece)
        found = await play(dialogue, stream, Patience(seconds(10)))
        assert (found, stream.wrong) == (dialogue.results, []), f"in pieces of {piece}"
        assert stream.is_done or "!" in "".join(dialogue.script), "the script was not played"


async def test_each_wait_is_as_long_as_rfc_5321_says() -> None:
    """§4.5.3.2: greeting 5 min, MAIL 5, RCPT 5, DATA 2, a block 3, the end 10; only a deadline cuts them."""
    dialogue = next(one for one in ALL if one.name == "a hop that offers nothing")
    stream = ScriptedStream(dialogue.script)
    now_ns = time.monotonic_ns()
    await play(dialogue, stream, Patience(seconds(3600)))
    minutes = [round((at - now_ns) / 60e9) for at in stream.asked]
    greeting, hello, helo, mail, rcpt = [5], [5, 5], [5, 5], [5, 5], [5, 5]
    data, end = [2, 2], [10, 10]
    assert minutes == [*greeting, *hello, *helo, *mail, *rcpt, *rcpt, *data, *end]


async def test_a_deadline_cuts_each_wait_but_the_last() -> None:
    dialogue = next(one for one in ALL if one.name == "a hop that offers nothing")
    stream = ScriptedStream(dialogue.script)
    until_ns = seconds(30)
    await play(dialogue, stream, Patience(until_ns))
    assert set(stream.asked[:-2]) == {until_ns}
    assert all(at > until_ns + 500e9 for at in stream.asked[-2:])  # in doubt: waited for


async def test_a_block_of_a_large_message_has_three_minutes() -> None:
    hello = ("S: 220 mx", "C: EHLO us.test", "S: 250 mx", "C: MAIL FROM:<me@x.test>", "S: 250 ok")
    stream = ScriptedStream([*hello, "C: RCPT TO:<a@x.test>", "S: 250 ok", "C: DATA", "S: 354 go"])
    dialogue = Dialogue("large", ["a@x.test"], ["large"])
    now_ns = time.monotonic_ns()
    await play(dialogue, stream, Patience(seconds(3600)))
    minutes = [round((at - now_ns) / 60e9) for at in stream.asked]
    assert minutes[9:] == [3] * (len(minutes) - 11) + [10, 10] and len(minutes) > 14
