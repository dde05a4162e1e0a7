"""The examples in docs/sieve compile, and every extension of ours is described."""

import re
from pathlib import Path

import pytest

from columba.sieve.engine import Script, compile_script
from columba.sieve.ext.registry import language
from columba.sieve.ext.rfc5183_environment import OWN_ITEMS
from columba.sieve.lang.stage import Stage

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "sieve"
EXAMPLE = re.compile(r"```sieve ?(\w*)\n(.*?)```", re.DOTALL)
TABLES = ("local_users", "sending_limits", "backup_domains")
PAGES = [*sorted(FOLDER.glob("vnd.columba.*.md")), FOLDER / "standard.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_compile(page: Path) -> None:
    stage = Stage.ROUTE if page.stem.endswith("route") else Stage.RCPT
    examples = EXAMPLE.findall(page.read_text())
    assert examples
    for named, example in examples:
        at = Stage(named) if named else stage
        script = compile_script(example.encode(), page.name, at, tables=TABLES)
        assert isinstance(script, Script), script.render()


def test_every_extension_of_ours_has_a_page() -> None:
    ours = {name for name in language().extensions if name.startswith("vnd.columba.")}
    assert ours <= {page.name.removesuffix(".md") for page in PAGES}


def test_every_environment_item_is_described() -> None:
    page = (FOLDER / "vnd.columba.environment.md").read_text()
    assert {name for name in OWN_ITEMS if f"`{name}`" not in page} == set()
