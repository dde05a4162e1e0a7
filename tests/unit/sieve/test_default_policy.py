"""The shipped scripts: what they accept, refuse and route."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from columba.common.ipc.wire import Client
from columba.sieve.engine import Finished, Inputs, Script, begin, compile_script
from columba.sieve.lang.stage import Stage
from columba.sieve.run.actions import Redirect, RouteTo
from columba.sieve.run.message import message_of
from columba.sieve.svtest.answering import Pretended
from columba.sieve.svtest.scripts import drive
from columba.sieve.svtest.world import World
from columba.sieve.view import envelope, environment
from tests.fakes.sieve import Tables, outcome_of
from tests.fakes.zone import Zone

FOLDER = Path(__file__).resolve().parents[3] / "etc" / "sieve"
TABLES: Tables = {
    "local_domains": {"b.example": "", "own.example": ""},
    "local_users": {"ann@b.example": "", "bob@b.example": "people/bob"},
    "aliases": {
        "team@b.example": "ann@b.example, bob@b.example,carl@far.example",
        "many@b.example": "a@b.example,b@b.example,c@b.example,d@b.example,e@b.example",
    },
}


def script(stage: Stage) -> Script:
    path = FOLDER / f"{stage.value}.sieve"
    result = compile_script(path.read_bytes(), str(path), stage, tables=TABLES.keys())
    assert isinstance(result, Script), result.render()
    return result


SCRIPTS = {stage: script(stage) for stage in (Stage.RCPT, Stage.DATA, Stage.ROUTE)}
STRANGER = Client(ip="192.0.2.9", helo="x.example")
TRUSTED = Client(ip="127.0.0.1", trusted=True)


def ran(
    stage: Stage,
    recipient: bytes = b"",
    client: Client = STRANGER,
    tables: Tables = TABLES,
    message: bytes = b"From: x@y.example\r\n\r\n",
    variables: Mapping[str, str] = {},
    zone: Zone | None = None,
    sender: bytes = b"s@far.example",
) -> Finished:
    outcome = outcome_of(
        SCRIPTS[stage],
        message=message,
        envelope=envelope(sender, [recipient], ""),
        environment=environment(client, "mx.b.example", stage=stage.value),
        zone=zone,
        tables=tables,
        variables=variables,
    )
    assert isinstance(outcome, Finished), outcome
    return outcome


@pytest.mark.parametrize(
    ("recipient", "client", "code"),
    [
        (b"ann@b.example", STRANGER, 0),
        (b"ANN@B.EXAMPLE", STRANGER, 0),
        (b"ann+lists@b.example", STRANGER, 0),
        (b"team@b.example", STRANGER, 0),
        (b"nobody@b.example", STRANGER, 550),
        (b"nobody@b.example", TRUSTED, 550),
        (b"x@far.example", STRANGER, 550),
        (b"x@far.example", TRUSTED, 0),
        (b"postmaster", STRANGER, 0),
        (b"PostMaster", STRANGER, 0),
        (b"ann", STRANGER, 550),
        (b"postmaster@b.example", STRANGER, 0),
        (b"Abuse@own.example", STRANGER, 0),
        (b"postmaster@far.example", STRANGER, 550),
        (b"postmaster@mx.b.example", STRANGER, 0),
        (b"Postmaster@MX.b.example", STRANGER, 0),
        (b"ann@mx.b.example", STRANGER, 550),
        (b"abuse", STRANGER, 550),
        (b'"x@far.example"@b.example', STRANGER, 550),
        (b"x%far.example@b.example", STRANGER, 550),
        (b"@b.example:x@far.example", STRANGER, 550),
        (b"x@b.example.far.example", STRANGER, 550),
        (b"${hex:40}@far.example", STRANGER, 550),
    ],
)
def test_who_may_send_to_whom(recipient: bytes, client: Client, code: int) -> None:
    refusal = ran(Stage.RCPT, recipient, client).refusal
    assert (getattr(refusal, "code", 0)) == code


def test_an_unreadable_recipient_is_refused() -> None:
    assert ran(Stage.RCPT, b"a@b@c", TRUSTED).refusal is not None


STALE = {
    name: "ann" if name in ("local", "user") else "b.example"
    for name in ("domain", "local", "user", "author", "mailbox", "targets")
}


def test_variables_of_an_earlier_recipient_say_nothing() -> None:
    assert ran(Stage.RCPT, b"a@b@c", variables=STALE).refusal is not None
    assert ran(Stage.RCPT, b"x@far.example", variables=STALE).refusal is not None
    assert ran(Stage.ROUTE, b"x@far.example", message=b"\r\n", variables=STALE).route == RouteTo(
        "mx"
    )


def test_a_silent_table_accepts_and_refuses_nothing() -> None:
    outcome = outcome_of(
        SCRIPTS[Stage.RCPT],
        envelope=envelope(b"", [b"ann@b.example"], ""),
        tables={**TABLES, "local_users": None},
    )
    assert not isinstance(outcome, Finished)


@pytest.mark.parametrize(
    ("recipient", "route"),
    [
        (b"Ann@b.example", RouteTo("maildir", path="b.example/ann")),
        (b"ann+x@b.example", RouteTo("maildir", path="b.example/ann")),
        (b"bob@b.example", RouteTo("maildir", path="people/bob")),
        (b"postmaster", RouteTo("maildir", path="postmaster")),
        (b"abuse@own.example", RouteTo("maildir", path="postmaster")),
        (b"postmaster@mx.b.example", RouteTo("maildir", path="postmaster")),
        (b"x@far.example", RouteTo("mx")),
    ],
)
def test_where_mail_goes(recipient: bytes, route: RouteTo) -> None:
    finished = ran(Stage.ROUTE, recipient)
    assert finished.route == route
    assert finished.keeps


def test_own_mail_is_signed_for_its_author() -> None:
    message = b"From: Ann <ann@Own.Example>\r\n\r\n"
    assert ran(Stage.ROUTE, b"x@far.example", TRUSTED, message=message).route == RouteTo(
        "mx", sign="own.example"
    )


def test_what_a_stranger_wrote_in_our_name_is_not_signed_for_us() -> None:
    message = b"From: Boss <boss@own.example>\r\n\r\n"
    assert ran(Stage.ROUTE, b"x@far.example", STRANGER, message=message).route == RouteTo("mx")


def test_an_alias_sends_on() -> None:
    finished = ran(Stage.ROUTE, b"team+x@b.example")
    assert finished.actions == (
        Redirect("ann@b.example"),
        Redirect("bob@b.example"),
        Redirect("carl@far.example"),
    )
    assert not finished.keeps


def test_an_alias_with_too_many_targets_loses_nothing_silently() -> None:
    outcome = outcome_of(
        SCRIPTS[Stage.ROUTE],
        envelope=envelope(b"", [b"many@b.example"], ""),
        tables=TABLES,
    )
    assert not isinstance(outcome, Finished)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"From: a@b.example\r\n\r\nhi\r\n", 0),
        (b"", 0),
        (b"From: a@b.example\r\nFrom: c@d.example\r\n\r\n", 550),
        (b"Received: x\r\n" * 101 + b"\r\n", 554),
        (b"Received: x\r\n" * 100 + b"\r\n", 0),
    ],
)
def test_what_the_data_stage_refuses(message: bytes, code: int) -> None:
    refusal = ran(Stage.DATA, b"ann@b.example", message=message).refusal
    assert getattr(refusal, "code", 0) == code


ZONE = {
    "_dmarc.strict.example": "v=DMARC1; p=reject; sp=quarantine",
    "strict.example": "v=spf1 ip4:198.51.100.1 -all",
    "hard.example": "v=spf1 -all",
    "soft.example": "v=spf1 ~all",
    "_dmarc.watched.example": "v=DMARC1; p=none",
}
SILENT = ("_dmarc.silent.example", "silent.example", "_dmarc.strict.example", "strict.example")
FORGER, OWNER = STRANGER, Client(ip="198.51.100.1", helo="mx.strict.example")
KEPT = ("X-Spam: No",)
SPAM = ("X-Columba-Auth: dmarc=fail", "X-Spam: Yes")
MARKED = ("X-Columba-Auth: spf=fail", "X-Spam: No")


@pytest.mark.parametrize(
    ("author", "sender", "client", "silent", "code", "marks"),
    [
        (b"strict.example", b"a@strict.example", FORGER, False, 550, KEPT),
        (b"strict.example", b"", FORGER, False, 550, KEPT),
        (b"strict.example", b"a@strict.example", OWNER, False, 0, KEPT),
        (b"strict.example", b"a@strict.example", TRUSTED, False, 0, KEPT),
        (b"strict.example", b"a@strict.example", FORGER, True, 0, KEPT),
        (b"sub.strict.example", b"a@far.example", FORGER, False, 0, SPAM),
        (b"sub.strict.example", b"a@strict.example", OWNER, False, 0, KEPT),
        (b"watched.example", b"a@hard.example", FORGER, False, 0, MARKED),
        (b"hard.example", b"a@hard.example", FORGER, False, 0, MARKED),
        (b"soft.example", b"a@soft.example", FORGER, False, 0, KEPT),
        (b"silent.example", b"a@silent.example", FORGER, True, 0, KEPT),
        (b"nothing.example", b"a@nothing.example", FORGER, False, 0, KEPT),
    ],
)
def test_who_wrote_it(
    author: bytes, sender: bytes, client: Client, silent: bool, code: int, marks: tuple[str, ...]
) -> None:
    inputs = Inputs(
        clock=lambda: 0,
        message=message_of(b"X-Spam: No\r\nFrom: a@%b\r\n\r\n" % author),
        envelope=envelope(sender, [b"ann@b.example"], ""),
        environment=environment(client, "mx.b.example", stage="data"),
    )
    machine, pretended = begin(SCRIPTS[Stage.DATA], inputs), Pretended()
    silence = dict.fromkeys(SILENT, "fail") if silent else {}
    pretended.tell({f"columba_dns/txt/{k}": v for k, v in {**ZONE, **silence}.items()}, {})
    outcome = drive(machine, pretended, World())
    assert isinstance(outcome, Finished), outcome
    refusal = outcome.refusal
    assert getattr(refusal, "code", 0) == code
    assert refusal is None or getattr(refusal, "enhanced", "") == "5.7.26"
    header = machine.run.message.header
    assert tuple(f"{field.name}: {field.text.split()[0]}" for field in header)[:-1] == marks


def test_a_trusted_client_costs_no_question() -> None:
    zone = Zone()
    ran(Stage.DATA, client=TRUSTED, message=b"From: a@strict.example\r\n\r\n", zone=zone)
    assert not zone.asked
