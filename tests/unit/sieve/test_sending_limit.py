"""The shipped policy's limit for what one login sends."""

from pathlib import Path

from columba.common.dict.memory import MemoryDict
from columba.common.ipc.wire import Client
from columba.sieve.engine import Finished, Inputs, Script, begin, compile_script
from columba.sieve.lang.stage import Stage
from columba.sieve.svtest.answering import Pretended
from columba.sieve.svtest.scripts import drive
from columba.sieve.svtest.world import World
from columba.sieve.view import envelope, environment

TABLES = {
    "local_domains": {"own.example": ""},
    "local_users": {"ann@own.example": ""},
    "aliases": {},
}
NOW_S = 1_000_000_800.0  # the begin of a stretch of an hour
LIMIT = 500


def policy() -> Script:
    path = Path(__file__).resolve().parents[3] / "etc" / "sieve" / "rcpt.sieve"
    made = compile_script(
        path.read_bytes(), str(path), Stage.RCPT, tables=TABLES, dicts=["default"]
    )
    assert isinstance(made, Script), made.render()
    return made


SCRIPT = policy()


def code(pretended: Pretended, recipient: bytes, login: str, wall_s: float = NOW_S) -> int:
    """Ask for one recipient; 250 if he is accepted."""
    client = Client(ip="192.0.2.1", login=login, trusted=True)
    inputs = Inputs(
        clock=lambda: 0,
        envelope=envelope(b"me@own.example", [recipient], login),
        environment=environment(client, "mx.own.example"),
        wall_s=wall_s,
    )
    outcome = drive(begin(SCRIPT, inputs), pretended, World())
    assert isinstance(outcome, Finished), outcome
    refusal = outcome.refusal
    return 250 if refusal is None else int(getattr(refusal, "code", 0))


def test_a_login_may_name_so_many_recipients_in_an_hour() -> None:
    pretended = Pretended(TABLES, {"default": MemoryDict()})
    codes = [code(pretended, b"x@far.example", "Ann@own.example") for _ in range(LIMIT + 2)]
    assert codes == [250] * LIMIT + [450, 450]
    assert code(pretended, b"x@far.example", "ann@own.example") == 450, "case does not matter"
    assert code(pretended, b"x@far.example", "bob@own.example") == 250, "another login"
    assert code(pretended, b"ann@own.example", "ann@own.example") == 250, "our own do not count"
    assert code(pretended, b"x@far.example", "ann@own.example", NOW_S + 3600 + 360) == 250, (
        "an hour later"
    )


def test_trusted_networks_have_no_such_limit() -> None:
    pretended = Pretended(TABLES)
    codes = {code(pretended, b"x@far.example", "") for _ in range(LIMIT + 5)}
    assert codes == {250}
    assert not pretended.dicts, "and cost nothing"
