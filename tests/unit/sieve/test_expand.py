"""From scripts to leaves: data and route stage over one mail, with real scripts and real tables."""

import time

import msgspec
import pytest

from columba import __version__
from columba.common.hop.keeper import fence_put
from columba.common.hop.mail import Mail, Why, same_for_all
from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.common.lookup.tables import InlineTable
from columba.sieve.answers import Answers
from columba.sieve.branch import Leaf, fenced, same_copy, with_shadows
from columba.sieve.engine import CompileErrors, compile_script
from columba.sieve.expand import Expander, Expansion
from columba.sieve.grouping import group_of
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.onward import groups_of
from columba.sieve.view import environment, message_view

ALIASES = {"team@x": "ann@x", "loop@x": "loop@x"}


def mail(*addresses: bytes, step: wire.StepName = "sieve") -> Mail:
    recipients = tuple(wire.Recipient(number=str(n), address=a) for n, a in enumerate(addresses, 1))
    handoff = wire.Handoff(
        id="01JD0000000000000000000000",
        step=step,
        deadline_ns=0,
        envelope=wire.Envelope(sender=b"me@a.example"),
        client=wire.Client(ip="192.0.2.1", login="me"),
        recipients=recipients,
        body=wire.Body(size=4),
    )
    return Mail(handoff, b"From: me@a.example\r\nSubject: hello\r\n", b"body")


def expander(lines: list[str] | None = None, recipients_max: int = 20, **scripts: str) -> Expander:
    compiled = {}
    for stage, text in scripts.items():
        script = compile_script(text.encode(), f"{stage}.sieve", Stage(stage))
        assert not isinstance(script, CompileErrors), script.render()
        compiled[Stage(stage)] = script
    answers = Answers({"aliases": InlineTable(ALIASES)}, 1.0)
    said = lines if lines is not None else []
    event = Event(lambda _level, text: said.append(text))
    return Expander(compiled, answers, Limits(), recipients_max, event, "mx.example")


def shown(made: Expansion) -> list[tuple[str, bytes, str, str]]:
    return [
        (
            leaf.recipient.number,
            leaf.recipient.address,
            leaf.recipient.route.kind if leaf.recipient.route else "",
            leaf.recipient.route.folder if leaf.recipient.route else "",
        )
        for leaf in made.leaves
    ]


async def test_without_scripts_mail_goes_to_its_mx() -> None:
    made = await expander().expand(mail(b"x@b", b"y@b"))
    assert shown(made) == [("1", b"x@b", "mx", ""), ("2", b"y@b", "mx", "")]
    assert not made.outcomes


async def test_a_reject_in_data_fails_every_recipient() -> None:
    text = 'require "reject"; if header :is "subject" "hello" { reject "no hello"; }'
    made = await expander(data=text).expand(mail(b"x@b", b"y@b"))
    assert [(o.kind, o.code, o.text) for o in made.outcomes] == [("failed", 550, "no hello")] * 2
    assert not made.leaves


async def test_data_is_not_run_again_in_a_later_step() -> None:
    made = await expander(data="discard;").expand(mail(b"x@b", step="route"))
    assert len(made.leaves) == 1


async def test_discard_is_an_outcome() -> None:
    made = await expander(data="discard;").expand(mail(b"x@b"))
    assert [o.kind for o in made.outcomes] == ["discarded"]


async def test_a_redirect_in_data_is_one_copy_for_the_whole_mail() -> None:
    made = await expander(data='redirect "arch@ive";').expand(mail(b"x@b", b"y@b"))
    assert [leaf.recipient.address for leaf in made.leaves] == [b"arch@ive"]
    assert [(o.number, o.kind) for o in made.outcomes] == [("2", "discarded")]


async def test_a_copy_in_data_leaves_the_others() -> None:
    text = 'require "copy"; redirect :copy "arch@ive";'
    made = await expander(data=text).expand(mail(b"x@b", b"y@b"))
    assert sorted(leaf.recipient.address for leaf in made.leaves) == [b"arch@ive", b"x@b", b"y@b"]
    assert sorted(leaf.recipient.number for leaf in made.leaves) == ["1.1", "1.2", "2"]


async def test_fileinto_and_keep_split_the_recipient() -> None:
    text = 'require ["vnd.columba.route","fileinto"]; route :maildir "ann"; fileinto "Spam"; keep;'
    made = await expander(route=text).expand(mail(b"x@b"))
    assert shown(made) == [("1.1", b"x@b", "maildir", "Spam"), ("1.2", b"x@b", "maildir", "")]
    assert all(leaf.recipient.pinned for leaf in made.leaves)
    assert all(leaf.recipient.original == b"x@b" for leaf in made.leaves)


async def test_fileinto_alone_keeps_the_number() -> None:
    text = 'require ["vnd.columba.route","fileinto"]; route :maildir "ann"; fileinto "Spam";'
    made = await expander(route=text).expand(mail(b"x@b"))
    assert shown(made) == [("1", b"x@b", "maildir", "Spam")]


async def test_fileinto_without_a_maildir_is_an_error_of_the_script() -> None:
    lines: list[str] = []
    text = 'require "fileinto"; fileinto "Spam";'
    made = await expander(lines, route=text).expand(mail(b"x@b"))
    assert [(o.kind, o.code) for o in made.outcomes] == [("refused", 451)]
    assert "fileinto needs a route to a maildir" in lines[0]


async def test_a_redirect_runs_the_route_stage_for_the_new_address() -> None:
    text = """require ["envelope", "vnd.columba.route"];
    if envelope :is "to" "team@x" { redirect "ann@x"; }
    else { route :lmtp "/run/lmtp"; }"""
    made = await expander(route=text).expand(mail(b"team@x"))
    assert shown(made) == [("1.1", b"ann@x", "lmtp", "")]
    assert made.leaves[0].recipient.original == b"team@x"


async def test_a_redirect_has_a_deadline() -> None:
    """RFC 6009 §5: past it the mail comes back, or its sender is told; :ret and ORCPT are for the next hop."""
    text = """require ["copy", "date", "envelope", "redirect-dsn", "redirect-deliverby", "variables"];
    if currentdate :matches "iso8601" "*" { set "day" "${1}"; }
    if envelope :is "to" "team@x" {
        redirect :bytimerelative 600 :bymode "return" :ret "hdrs" :notify "success" "ann@x";
        redirect :bytimerelative 60 :bytrace "bob@x";
        redirect :bytimeabsolute "2001-02-03T04:05:06+01:00" :bymode "return" "cy@x";
        redirect "dee@x";
    }"""
    what = mail(b"team@x")
    envelope = msgspec.structs.replace(what.handoff.envelope, arrived_s=time.time() - 100)
    handoff = msgspec.structs.replace(what.handoff, envelope=envelope)
    made = await expander(route=text).expand(Mail(handoff, what.header, what.body))
    ann, bob, cy, dee = (leaf.recipient for leaf in made.leaves)
    assert ann.wish is not None and 700 <= ann.wish.expire_s <= 705 and not ann.wish.notice_s
    assert (ann.ret, ann.notify, ann.orcpt) == ("HDRS", ("SUCCESS",), "rfc822;team@x")
    assert bob.wish is not None and 160 <= bob.wish.notice_s <= 165 and not bob.wish.expire_s
    assert cy.wish is not None and cy.wish.expire_s == 1
    assert (dee.wish, dee.ret, dee.notify, dee.orcpt) == (None, "", (), "rfc822;team@x")
    assert len({group.ret for group in groups_of(made.leaves, handoff)}) == 2


async def test_an_orcpt_of_the_sender_stays() -> None:
    told = wire.Recipient(number="1", address=b"team@x", orcpt="rfc822;first@y")
    what = mail(b"team@x").with_recipients([told])
    text = 'require "envelope"; if envelope "to" "team@x" { redirect "ann@x"; }'
    made = await expander(route=text).expand(what)
    assert [leaf.recipient.orcpt for leaf in made.leaves] == ["rfc822;first@y"]


async def test_a_loop_of_redirects_fails() -> None:
    made = await expander(route='redirect "loop@x";').expand(mail(b"loop@x"))
    assert [(o.kind, o.enhanced) for o in made.outcomes] == [("failed", "5.4.6")]


async def test_growing_without_end_is_refused_for_all() -> None:
    text = 'redirect "a@x"; redirect "b@x"; redirect "c@x";'
    made = await expander(route=text).expand(mail(b"loop@x", b"y@b"))
    assert [(o.number, o.kind, o.code) for o in made.outcomes] == [
        ("1", "refused", 452),
        ("2", "refused", 452),
    ]
    assert not made.leaves


async def test_a_run_time_error_lets_nothing_through() -> None:
    lines: list[str] = []
    text = """require ["vnd.columba.lookup", "vnd.columba.route"];
    if lookup "missing" "key" { keep; }"""
    made = await expander(lines, route=text).expand(mail(b"x@b"))
    assert [(o.kind, o.code) for o in made.outcomes] == [("refused", 451)]
    assert "route.sieve:2" in lines[0]


async def test_variables_of_data_reach_route() -> None:
    made = await expander(
        data='require "variables"; set "seen" "yes";',
        route="""require ["variables", "vnd.columba.route"];
        if string "${seen}" "yes" { route :relay "gate.example"; }""",
    ).expand(mail(b"x@b"))
    assert shown(made) == [("1", b"x@b", "relay", "")]


async def test_a_pinned_recipient_keeps_its_route() -> None:
    what = mail(b"x@b", step="delivery")
    route = wire.Route(kind="maildir", path="ann", folder="Spam")
    pinned = wire.Recipient(number="1.1", address=b"x@b", route=route, pinned=True)
    made = await expander(route="discard;").expand(what.with_recipients([pinned]))
    assert [leaf.recipient for leaf in made.leaves] == [pinned]


MX = wire.Route(kind="mx")


def leaf(number: str, address: bytes, original: bytes = b"", route: wire.Route = MX) -> Leaf:
    return Leaf(wire.Recipient(number=number, address=address, original=original, route=route))


def test_one_recipient_through_two_aliases_gets_one_copy() -> None:
    leaves = [leaf("1.1", b"ann@X", b"a@x"), leaf("2.1", b"ann@x", b"b@x"), leaf("3", b"bob@x")]
    kept, shadows = same_copy(leaves)
    assert [each.recipient.number for each in kept] == ["1.1", "3"]
    outcome = wire.Outcome(number="1.1", kind="delivered", original=b"a@x")
    outcomes = with_shadows((outcome,), shadows, leaves)
    assert [(o.number, o.original) for o in outcomes] == [("1.1", b"a@x"), ("2.1", b"b@x")]


def test_what_an_earlier_try_reached_is_not_delivered_again() -> None:
    leaves = [leaf("1.1", b"ann@x", b"a@x"), leaf("1.2", b"bob@x", b"a@x"), leaf("2", b"c@x")]
    known = (
        wire.Fenced(original=b"a@x", finals=(b"ann@x",), id="OLD"),
        wire.Fenced(original=b"a@x", finals=(b"other@x",), in_doubt=True, id="OLD"),
        wire.Fenced(original=b"c@x", finals=(b"c@x",), in_doubt=True, id="OLD"),
    )
    left, outcomes = fenced(leaves, known)
    assert [each.recipient.number for each in left] == ["1.2"]
    assert [(o.number, o.kind, o.code) for o in outcomes] == [
        ("1.1", "delivered", 250),
        ("2", "refused", 451),
    ]


def test_a_copy_in_a_folder_is_one_of_its_own() -> None:
    """One copy was filed, the other was not: the retry files that one."""
    filed = wire.Route(kind="maildir", folder="Lists")
    leaves = [leaf("1.1", b"ann@x"), leaf("1.2", b"ann@x", b"ann@x", filed)]
    reached = same_for_all([leaves[1].recipient], "delivered", Why(250, "2.0.0", "Saved"))
    put = fence_put("OLD", b"base", reached)
    assert put is not None
    known = (wire.Fenced(original=b"ann@x", finals=tuple(p[1] for p in put.pairs), id="OLD"),)
    left, outcomes = fenced(leaves, known)
    assert [each.recipient.number for each in left] == ["1.1"]
    assert [o.number for o in outcomes] == ["1.2"]


def test_a_doubt_without_finals_is_about_all_of_them() -> None:
    leaves = [leaf("1.1", b"ann@x", b"a@x"), leaf("1.2", b"bob@x", b"a@x")]
    left, outcomes = fenced(leaves, (wire.Fenced(original=b"a@x", in_doubt=True, id="OLD"),))
    assert not left and [(o.number, o.kind) for o in outcomes] == [
        ("1.1", "refused"),
        ("1.2", "refused"),
    ]


def test_the_view_counts_the_empty_line() -> None:
    assert message_view(b"A: b\r\n", wire.Body(size=4)).size == 12


@pytest.mark.parametrize("is_trusted", [True, False])
def test_the_environment_names_the_client(is_trusted: bool) -> None:
    client = wire.Client(ip="192.0.2.1", login="me", trusted=is_trusted)
    items = environment(client, "mx.example", stage="rcpt")
    assert items["remote-ip"] == "192.0.2.1"
    assert items["vnd.columba.trusted"] == ("yes" if is_trusted else "no")
    assert items["vnd.columba.stage"] == "rcpt"
    standard = [items[name] for name in ("domain", "host", "location", "name", "phase", "version")]
    assert standard == ["example", "mx.example", "MTA", "Columba", "during", __version__]


def rcpt_stage(address: bytes) -> wire.Stage:
    return wire.Stage(stage="rcpt", deadline_ns=0, client=wire.Client(), recipient=address)


MIXED = """require ["envelope", "vnd.columba.route"];
if envelope :domain "to" "x" { route :maildir "ann"; }
elsif envelope :domain "to" "both" { redirect "a@one"; redirect "b@two"; }
elsif envelope :domain "to" "none" { discard; }
else { route :relay "gate.example"; }"""


@pytest.mark.parametrize(
    ("address", "found", "group"),
    [
        (b"Ann@x", ["ann@X"], "maildir:"),
        (b"ann@x", ["x"], ""),
        (b"a@far", [], "relay:gate.example:25"),
        (b"a@both", [], "relay:gate.example:25"),
        (b"a@none", [], ""),
    ],
)
async def test_only_recipients_with_one_result_form_a_group(
    address: bytes, found: list[str], group: str
) -> None:
    assert await group_of(expander(route=MIXED), rcpt_stage(address), found) == group
