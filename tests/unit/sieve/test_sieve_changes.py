"""Edits, senders and recipients: what scripts change becomes mails of their own, octet for octet."""

import msgspec

from columba.common.hop.mail import Mail
from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.common.lookup.tables import InlineTable
from columba.sieve.answers import Answers
from columba.sieve.engine import CompileErrors, compile_script
from columba.sieve.expand import Expander, Expansion
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.onward import Group, groups_of

HEADER = b"From: me@a.example\r\nX-Odd:   kept\t as  it is \r\nSubject: hello\r\n"
ID = "01JD0000000000000000000000"


def mail(*addresses: bytes, step: wire.StepName = "sieve", sender: bytes = b"me@a.example") -> Mail:
    recipients = tuple(wire.Recipient(number=str(n), address=a) for n, a in enumerate(addresses, 1))
    handoff = wire.Handoff(
        id=ID,
        step=step,
        deadline_ns=0,
        envelope=wire.Envelope(sender=sender),
        client=wire.Client(ip="192.0.2.1", session="s1"),
        recipients=recipients,
        body=wire.Body(size=13),
        origin="queue" if step != "sieve" else "client",
    )
    return Mail(handoff, HEADER, b"first\r\nlast\r\n")


async def expanded(mail: Mail, lines: list[str] | None = None, **scripts: str) -> Expansion:
    compiled = {}
    for stage, text in scripts.items():
        script = compile_script(text.encode(), f"{stage}.sieve", Stage(stage))
        assert not isinstance(script, CompileErrors), script.render()
        compiled[Stage(stage)] = script
    said = lines if lines is not None else []
    event = Event(lambda _level, text: said.append(text))
    answers = Answers({"t": InlineTable({})}, 1.0)
    return await Expander(compiled, answers, Limits(), 20, event, "mx.example").expand(mail)


def groups(made: Expansion, mail: Mail) -> list[Group]:
    return groups_of(made.leaves, mail.handoff)


def header_of(group: Group) -> bytes:
    return group.message.header.raw if group.message is not None else b"unchanged"


async def test_without_edits_the_message_goes_on_as_it_is() -> None:
    sent = mail(b"x@b", b"y@b")
    (group,) = groups(await expanded(sent, data="keep;", route="keep;"), sent)
    assert group.message is None
    assert len(group.recipients) == 2


async def test_an_edit_in_data_is_for_all_and_leaves_other_octets() -> None:
    sent = mail(b"x@b", b"y@b")
    text = 'require "editheader"; addheader "X-New" "1"; deleteheader "Subject";'
    (group,) = groups(await expanded(sent, data=text), sent)
    assert header_of(group) == b"X-New: 1\r\nFrom: me@a.example\r\nX-Odd:   kept\t as  it is \r\n"
    assert len(group.recipients) == 2


async def test_an_edit_in_route_is_a_mail_of_its_own() -> None:
    sent = mail(b"x@b", b"y@b", b"z@b")
    text = """require ["envelope", "editheader"];
    if envelope :localpart "to" ["x", "z"] { addheader "X-For" "xz"; }"""
    found = {
        header_of(group): [r.number for r in group.recipients]
        for group in groups(await expanded(sent, route=text), sent)
    }
    assert found == {b"X-For: xz\r\n" + HEADER: ["1", "3"], b"unchanged": ["2"]}


async def test_edits_of_route_stand_in_the_message_that_is_stored_behind_it() -> None:
    text = 'require "editheader"; addheader "X-Again" "1";'
    for step, wanted in (("route", b"X-Again: 1\r\n" + HEADER), ("dkim", b"unchanged")):
        sent = mail(b"x@b", step=step)  # type: ignore[arg-type]  # parts of the loop
        (group,) = groups(await expanded(sent, route=text), sent)
        assert header_of(group) == wanted


async def test_an_action_keeps_the_message_of_its_time() -> None:
    sent = mail(b"x@b")
    text = """require ["vnd.columba.route", "fileinto", "editheader"];
    route :maildir "x"; fileinto "Before"; addheader "X-New" "1"; keep;"""
    made = await expanded(sent, route=text)
    found = {
        leaf.recipient.route.folder: leaf.message for leaf in made.leaves if leaf.recipient.route
    }
    assert found["Before"] is None
    kept = found[""]
    assert kept is not None and kept.header.raw.startswith(b"X-New: 1\r\n")


async def test_what_is_replaced_is_another_body() -> None:
    sent = mail(b"x@b")
    text = 'require "replace"; replace "gone";'
    (group,) = groups(await expanded(sent, data=text), sent)
    assert group.message is not None and group.message.is_rewritten
    assert group.message.read_body() == b"gone"
    assert b"X-Odd:   kept\t as  it is \r\n" in group.message.header.raw


async def test_bodies_are_tested() -> None:
    text = 'require ["body", "reject"]; if body :raw :contains "last" { reject "no"; }'
    made = await expanded(mail(b"x@b"), data=text)
    assert [o.kind for o in made.outcomes] == ["failed"]


async def test_flags_go_into_the_maildir() -> None:
    text = """require ["vnd.columba.route", "fileinto", "imap4flags", "mailbox"];
    route :maildir "x"; addflag "\\\\Seen"; fileinto :create :flags "\\\\Flagged" "Work"; keep;"""
    made = await expanded(mail(b"x@b"), route=text)
    routes = [leaf.recipient.route for leaf in made.leaves if leaf.recipient.route]
    assert [(r.folder, r.flags, r.create) for r in routes] == [
        ("Work", ("\\Flagged",), True),
        ("", ("\\Seen",), False),
    ]


async def test_a_sender_for_one_recipient_is_a_mail_of_its_own() -> None:
    sent = mail(b"x@b", b"y@b")
    text = """require ["envelope", "vnd.columba.envelope"];
    if envelope :localpart "to" "x" { set_sender "srs@c.example"; }"""
    found = {
        group.sender: [r.number for r in group.recipients]
        for group in groups(await expanded(sent, route=text), sent)
    }
    assert found == {b"srs@c.example": ["1"], None: ["2"]}


async def test_a_null_sender_is_a_sender() -> None:
    sent = mail(b"x@b")
    text = 'require "vnd.columba.envelope"; set_sender "";'
    (group,) = groups(await expanded(sent, data=text), sent)
    assert group.sender == b""


async def test_recipients_are_added_and_removed() -> None:
    text = """require "vnd.columba.envelope";
    add_recipient "new@c"; remove_recipient :localpart "y";"""
    made = await expanded(mail(b"x@b", b"y@b", b"z@b"), data=text)
    assert {leaf.recipient.number: leaf.recipient.address for leaf in made.leaves} == {
        "1.1": b"x@b",
        "1.2": b"new@c",
        "3": b"z@b",
    }
    assert [(o.number, o.kind, o.text) for o in made.outcomes] == [
        ("2", "discarded", "Removed by policy")
    ]


async def test_every_recipient_may_be_removed() -> None:
    text = 'require "vnd.columba.envelope"; remove_recipient :domain "b";'
    made = await expanded(mail(b"x@b", b"y@b"), data=text)
    assert not made.leaves
    assert [o.number for o in made.outcomes] == ["1", "2"]


async def test_all_recipients_may_give_way_to_another() -> None:
    text = """require "vnd.columba.envelope";
    remove_recipient :domain "b"; add_recipient "new@c";"""
    made = await expanded(mail(b"x@b", b"y@b"), data=text)
    assert [(leaf.recipient.number, leaf.recipient.address) for leaf in made.leaves] == [
        ("1.1", b"new@c")
    ]
    assert [o.number for o in made.outcomes] == ["2"]


async def test_wishes_to_the_queue_go_with_the_recipient() -> None:
    data = 'require "vnd.columba.queue"; queue :priority "3" :retry ["1m", "2 hours"];'
    route = 'require "vnd.columba.queue"; queue :expire "2d" :priority "-1";'
    made = await expanded(mail(b"x@b"), data=data, route=route)
    wanted = wire.QueueWish(priority=-1, retry_s=(60, 7200), expire_s=172_800)
    assert made.leaves[0].recipient.wish == wanted


async def test_what_is_held_is_not_handed_over_but_when_it_was_released() -> None:
    text = 'require "vnd.columba.queue"; queue :hold "look at it";'
    for step, wanted in (("sieve", "look at it"), ("dkim", "")):
        sent = mail(b"x@b", step=step)  # type: ignore[arg-type]  # parts of the loop
        (group,) = groups(await expanded(sent, route=text), sent)
        assert group.hold == wanted


async def test_signatures_of_data_hold_where_route_says_nothing() -> None:
    data = 'require "vnd.columba.sign"; sign :selector "s" "A.example"; seal "b.example";'
    both = (
        wire.Sign(domain="a.example", selector="s"),
        wire.Sign(domain="b.example", seal=True),
    )
    made = await expanded(mail(b"x@b"), data=data)
    assert made.leaves[0].sign == both
    route = 'require "vnd.columba.route"; route :mx :sign "c.example";'
    made = await expanded(mail(b"x@b"), data=data, route=route)
    assert made.leaves[0].sign == (wire.Sign(domain="c.example"),)


async def test_a_script_writes_its_own_lines_also_when_it_fails() -> None:
    lines: list[str] = []
    text = 'require ["ihave", "vnd.columba.log"]; log :warning "Seen" ["what=a b"]; error "stop";'
    made = await expanded(mail(b"x@b"), lines, data=text)
    assert [(o.kind, o.code) for o in made.outcomes] == [("refused", 451)]
    assert lines[0] == f'Seen: id={ID} session=s1 script=data.sieve:1:39 what="a b"'
    assert "data.sieve:1" in lines[1] and "error=stop" in lines[1]


async def test_effects_are_collected_not_done() -> None:
    text = """require ["vacation", "duplicate", "vnd.columba.route"];
    route :maildir "x"; vacation "away";"""
    made = await expanded(mail(b"x@b"), route=text)
    (todo,) = made.todo
    assert todo.number == "1"
    assert [entry.action.name for entry in todo.entries] == ["vacation"]
    assert todo.home is not None and todo.home.path == "x"


async def test_effects_of_earlier_stages_come_with_the_recipient() -> None:
    effect = wire.Effect(kind="add", key="k", dict="d")
    sent = mail(b"x@b")
    person = wire.Recipient(number="1", address=b"x@b", effects=(effect,))
    made = await expanded(sent.with_recipients([person]))
    assert [(todo.number, todo.writes) for todo in made.todo] == [("1", (effect,))]
    assert made.leaves[0].recipient.effects == ()


async def test_what_was_to_be_local_and_leaves_goes_by_the_signer() -> None:
    """Promises: whatever leaves is signed, also where an earlier try was for a mailbox here."""
    sent = mail(b"x@b", b"y@c", step="delivery")
    route = (
        'require ["vnd.columba.route", "envelope"];'
        'if envelope :domain "to" "b" { route :lmtp "lmtp.example"; } else { route :relay "relay.example"; }'
    )
    local, away = groups(await expanded(sent, route=route), sent)
    assert (local.key, away.key) == ("lmtp:lmtp.example:24", "")


async def test_what_was_said_for_reports_is_known() -> None:
    text = """require ["envelope-dsn", "reject"];
    if allof (envelope "notify" "FAILURE,DELAY", envelope "orcpt" "rfc822;x@old",
        envelope "ret" "HDRS", not envelope :contains "envid" "") { reject "known"; }"""
    sent = mail(b"x@b")
    handoff = msgspec.structs.replace(
        sent.handoff,
        envelope=wire.Envelope(sender=b"s@b", ret="HDRS"),
        recipients=(
            wire.Recipient(
                number="1", address=b"x@b", notify=("FAILURE", "DELAY"), orcpt="rfc822;x@old"
            ),
        ),
    )
    made = await expanded(Mail(handoff, sent.header, sent.body), route=text)
    assert [o.text for o in made.outcomes] == ["known"]
