"""What scripts hear of mailboxes in the server: the truth about Maildirs, nothing of other places, 451 when unsure."""

from collections.abc import Sequence
from typing import cast

import pytest

from columba.common.dict.memory import MemoryDict
from columba.common.errors import PeerError, UnavailableError
from columba.common.ipc import wire
from columba.common.ipc.calls import Caller, OnCall
from columba.common.ipc.client import Answer
from columba.sieve.answers import Answers, Sources
from columba.sieve.engine import Failed, Finished, Inputs, Outcome, begin
from columba.sieve.lang.stage import Stage
from columba.sieve.mailboxes import Mailboxes
from tests.fakes.sieve import compiled

REQUIRE = """require ["fileinto", "mailbox", "mboxmetadata", "servermetadata", "special-use", "variables",
    "vnd.columba.route"];"""
HOME = 'route :maildir "b/ann";'


class Delivery:
    """A delivery process with one mailbox, b/ann: INBOX, Work, and Spam for junk."""

    def __init__(self, problem: str = "", is_gone: bool = False) -> None:
        self._problem, self._is_gone = problem, is_gone
        self.asked: list[wire.FolderAsk] = []

    async def call(
        self,
        service: str,
        request: wire.Request,
        parts: Sequence[bytes] = (),
        *,
        until_ns: int,
        key: str = "",
        on_call: OnCall | None = None,
    ) -> Answer:
        assert service == "delivery" and isinstance(request, wire.FolderAsk)
        self.asked.append(request)
        if self._is_gone:
            raise PeerError("no process")
        folders = {"INBOX": "", "Work": "", "Spam": "\\Junk"}
        there = [f for f in folders if request.folder in ("", f) and request.path == "b/ann"]
        exists = any(not request.use or folders[f] == request.use for f in there)
        return Answer(wire.FolderTold(exists=exists, problem=self._problem), [], "delivery.1.1")


class Silent(MemoryDict):
    async def get(self, key: str, timeout_s: float) -> str | None:
        raise UnavailableError("down")


async def run(text: str, delivery: Delivery, notes: MemoryDict | None = None) -> Outcome:
    script = compiled(REQUIRE + text, Stage.ROUTE)
    stores = Mailboxes(cast(Caller, delivery), notes)
    answers = Answers({}, 1.0, Sources(stores=stores))
    return await answers.finish(begin(script, Inputs(clock=lambda: 0)))


async def is_true(test: str, notes: MemoryDict | None = None, home: str = HOME) -> bool:
    text = f'{home} if {test} {{ set "is" "true"; }} else {{ set "is" "false"; }}'
    ended = await run(text, Delivery(), notes)
    assert isinstance(ended, Finished), ended
    return ended.variables["is"] == "true"


@pytest.mark.parametrize(
    ("test", "wanted"),
    [
        ('mailboxexists "Work"', True),
        ('mailboxexists ["Work", "Other"]', False),
        ('mailboxexists ["INBOX", "Work"]', True),
        ('specialuse_exists "\\\\Junk"', True),
        ('specialuse_exists "Spam" "\\\\Junk"', True),
        ('specialuse_exists "Work" "\\\\Junk"', False),
        ('specialuse_exists ["\\\\Junk", "\\\\Sent"]', False),
    ],
)
async def test_a_mailbox_is_there(test: str, wanted: bool) -> None:
    assert await is_true(test) is wanted


@pytest.mark.parametrize("home", ["", 'route :lmtp "/run/lmtp";', 'route :relay "hop.example";'])
async def test_where_fileinto_could_not_deliver_nothing_is_there(home: str) -> None:
    delivery = Delivery()
    for test in ('mailboxexists "INBOX"', 'specialuse_exists "\\\\Junk"'):
        assert not await is_true(test, home=home)
    assert not delivery.asked


@pytest.mark.parametrize("delivery", [Delivery("a disk fails"), Delivery(is_gone=True)])
async def test_a_store_that_does_not_answer_is_an_error(delivery: Delivery) -> None:
    for test in ('mailboxexists "Work"', 'specialuse_exists "\\\\Junk"'):
        ended = await run(f"{HOME} if {test} {{ keep; }}", delivery)
        assert isinstance(ended, Failed)
        assert ended.error.text.startswith("the mail store does not answer: ")
    assert len(delivery.asked) >= 2


async def test_an_annotation() -> None:
    notes = MemoryDict()
    await notes.set("server/shared/comment", "hello", 1.0)
    await notes.set("mailbox/b/ann/Work/private/spam", "no", 1.0)
    await notes.set("mailbox/b/ann/Gone/private/spam", "no", 1.0)
    assert await is_true('servermetadata :is "/shared/Comment" "hello"', notes)
    assert await is_true('servermetadata :is "/shared/comment" "hello"', notes, home="")
    assert await is_true('metadata :is "Work" "/private/spam" "no"', notes)
    assert not await is_true('metadataexists "INBOX" "/private/spam"', notes)
    assert not await is_true('metadataexists "Gone" "/private/spam"', notes)
    assert not await is_true('metadata :is "Work" "/private/spam" "no"', notes, home="")
    assert not await is_true('servermetadataexists "/shared/comment"')


async def test_the_dict_of_annotations_that_fails_is_an_error() -> None:
    ended = await run('if servermetadataexists "/shared/x" { keep; }', Delivery(), Silent())
    assert isinstance(ended, Failed)
