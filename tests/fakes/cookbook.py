"""The recipes of docs/sieve/cookbook.md: read from the page, laid into the shipped scripts, run case by case.

A recipe is a heading (`### `), settings (```conf), and scripts. A script is a fence of its own, ```sieve STAGE for a
whole script, ```sieve STAGE lines for lines to add to the shipped one, and behind it stands what is expected of it, in
TOML in a comment that no reader sees:

    <!-- expect
    tables.NAME = { KEY = "value" }
    pretend = { "columba_dns/a/NAME" = "192.0.2.1" }          settings of test files (sieve/svtest/answering.py)
    options = { SETTING = "value" }                           list/NAME: the values of an external list
    [[case]]
    from, to, original, client, facts, variables, message, fill, at    what goes in; client: fields of wire.Client
    reply, gives, keeps, header, fails                                 what comes out; reply is "" where it is not said
    -->
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from columba.common.ipc.wire import Client
from columba.sieve.engine import Failed, Finished, Inputs, Machine, Script, compile_script
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.run.actions import Reject, Reply
from columba.sieve.run.message import message_of
from columba.sieve.svtest.answering import Pretended
from columba.sieve.svtest.scripts import drive
from columba.sieve.svtest.settings import lists_of
from columba.sieve.svtest.show import describe
from columba.sieve.svtest.world import World
from columba.sieve.view import envelope, environment

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "sieve" / "cookbook.md"
SHIPPED: Final = ROOT / "etc" / "sieve"
HOST: Final = "mail.example.org"
BEGAN_S: Final = 1_700_000_000
OWN: Final = {
    "local_domains": {"example.org": ""},
    "local_users": {"ann@example.org": "", "bob@example.org": "people/bob"},
    "aliases": {"team@example.org": "ann@example.org, carl@far.example"},
}
_FENCE: Final = re.compile(
    r"```(sieve|conf)(?: (\w+))?( lines)?\n(.*?)```\n(?:<!-- expect\n(.*?)-->\n)?", re.DOTALL
)
_REQUIRE: Final = re.compile(r"\s*require\s*\[[^\]]*\]\s*;")
_COMMENTS: Final = re.compile(r"(?:\s*#[^\n]*\n)*")
_LAST_VARIABLE: Final = re.compile(r"^if envelope :matches :user .*$", re.MULTILINE)
Tables = dict[str, dict[str, str]]


class Case(msgspec.Struct, forbid_unknown_fields=True, rename={"sender": "from"}):
    """One run.

    at: seconds from the recipe's beginning. fill: so many octets more of body. gives: the actions without the reply, in
    the words of `columba-sieve-test`.
    """

    sender: str = "s@far.example"
    to: str | list[str] = "ann@example.org"
    original: str = ""
    client: Client = Client(
        ip="192.0.2.9", helo="mx.far.example", ptr="confirmed", name="mx.far.example"
    )
    facts: dict[str, str] = {}
    variables: dict[str, str] = {}
    message: str = "From: s@far.example\nTo: ann@example.org\nSubject: hello\n\nGood morning.\n"
    fill: int = 0
    at: int = 0
    reply: str = ""
    gives: list[str] | None = None
    keeps: bool | None = None
    header: dict[str, str] = {}
    fails: str = ""


class Expected(msgspec.Struct, forbid_unknown_fields=True):
    """What the comment behind a script says."""

    case: list[Case]
    tables: Tables = {}
    pretend: dict[str, str] = {}
    options: dict[str, str] = {}


@dataclass(frozen=True)
class Recipe:
    """One script of a recipe. number: which of the recipe's scripts. settings: all that the recipe says."""

    title: str
    number: int
    stage: Stage
    is_lines: bool
    text: str
    settings: str
    expected: Expected | None

    @property
    def name(self) -> str:
        """Return what a test is called by."""
        return f"{self.title}/{self.stage.value}{self.number}"

    def whole(self) -> str:
        """Return the whole script: lines are put into the shipped one."""
        return with_lines(self.stage, self.text) if self.is_lines else self.text


def recipes(page: str) -> list[Recipe]:
    """Return every script of the page."""
    found = []
    for section in re.split(r"^### ", page, flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0].strip()
        fences = _FENCE.findall(section)
        settings = "".join(text for kind, _, _, text, _ in fences if kind == "conf")
        scripts = [fence for fence in fences if fence[0] == "sieve"]
        for number, (_, stage, lines, text, toml) in enumerate(scripts, 1):
            expected = msgspec.convert(tomllib.loads(toml), Expected) if toml else None
            found.append(Recipe(title, number, Stage(stage), bool(lines), text, settings, expected))
    return found


def with_lines(stage: Stage, *several: str) -> str:
    """Return the shipped script with lines added where the page says: behind the variables, or the requires."""
    shipped = (SHIPPED / f"{stage.value}.sieve").read_text()
    requires, bodies = "", ""
    for lines in several:
        start = _COMMENTS.match(lines)
        assert start is not None
        require = _REQUIRE.match(lines, start.end())
        end = require.end() if require else start.end()
        requires, bodies = requires + lines[:end] + "\n", bodies + lines[end:] + "\n"
    start = _COMMENTS.match(shipped)
    assert start is not None
    place = _LAST_VARIABLE.search(shipped) or _REQUIRE.match(shipped, start.end())
    assert place is not None
    return requires + shipped[: place.end()] + "\n" + bodies + shipped[place.end() :]


@dataclass
class Kitchen:
    """Where the cases of one script run, one after the other: dicts last from case to case."""

    recipe: Recipe
    script: Script
    pretended: Pretended = field(default_factory=Pretended)

    def __post_init__(self) -> None:
        """Tell the tables and answers that are pretended."""
        assert self.recipe.expected is not None
        expected = self.recipe.expected
        self.pretended.tell(expected.pretend, {**OWN, **expected.tables})

    def run(self, case: Case) -> Finished | Failed:
        """Run one case; what lasts is done unless the mail is refused."""
        assert self.recipe.expected is not None
        options = self.recipe.expected.options
        people = [case.to] if isinstance(case.to, str) else case.to
        facts = {"stage": self.recipe.stage.value, "recipients": str(len(people)), **case.facts}
        octets = case.message.replace("\n", "\r\n").encode() + b"x" * case.fill
        inputs = Inputs(
            clock=lambda: 0,
            message=message_of(octets),
            envelope=envelope(
                case.sender.encode(), [to.encode() for to in people], case.client.login,
                (case.original or people[0]).encode(),
            ),
            environment=environment(case.client, HOST, **facts),
            variables=case.variables,
            limits=Limits(
                redirects=int(options.get("sieve_max_redirects", "4")),
                options=options,
                lists=lists_of(options) | _lists(options),
            ),
            wall_s=BEGAN_S + case.at,
        )  # fmt: skip
        self.last = Machine(self.script, inputs)
        outcome = drive(self.last, self.pretended, World())
        if isinstance(outcome, Finished) and outcome.refusal is None:
            self.pretended.commit(list(outcome.effects))
        return outcome

    def header(self, name: str) -> str:
        """Return a field of the message as the script left it, "" if it has none."""
        return " ".join(self.last.run.message.texts(name.lower()))


def _lists(options: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return the external lists of a recipe: options `list/NAME` hold their values, separated by blanks."""
    return {
        name.removeprefix("list/"): frozenset(values.split())
        for name, values in options.items()
        if name.startswith("list/")
    }


def reply_of(outcome: Finished) -> str:
    """Return the reply as the client hears it, "" if nothing is refused."""
    match outcome.refusal:
        case Reply(code, enhanced, lines):
            return f"{code} {enhanced} {' '.join(lines)}"
        case Reject(text):
            return f"550 5.7.1 {text}"
        case _:
            return ""


def given(outcome: Finished) -> list[str]:
    """Return the actions in their order, the refusal left out."""
    return [describe(a) for a in outcome.actions if not isinstance(a, Reply | Reject)]


def compiled(recipe: Recipe, text: str, tables: set[str], dicts: set[str]) -> Script:
    """Compile a script of the page for its stage; only tables and dicts that are configured may be named."""
    script = compile_script(
        text.encode(), recipe.title, recipe.stage, tables=tables, dicts={"default", *dicts}
    )
    assert isinstance(script, Script), script.render()
    return script
