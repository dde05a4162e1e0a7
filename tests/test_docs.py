"""The documents stay true: standards that are cited, folders that explain themselves, links that lead."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from columba.common.config.document import settings_page
from columba.master.check.open import schema

ROOT = Path(__file__).resolve().parent.parent
CODE = ("common", "master", "smtpd", "sieve", "delivery", "queue")
FOLDERS = (*CODE, "tests", "bench", "docs", "etc")
CITED_IN = (".py", ".sieve", ".lark", ".md", ".conf")
CITATION = re.compile(r"\bRFC[ -]?(\d{3,5})\b")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
COLUMNS = ["rfc", "section", "title", "done", "module", "test", "note"]
SECTION = re.compile(r"[1-9]\d*(\.[1-9]\d*)*")


def matrix() -> list[dict[str, str]]:
    with (ROOT / "docs" / "rfc.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def sources() -> Iterator[Path]:
    for folder in (*CODE, "etc"):
        yield from (path for path in (ROOT / folder).rglob("*") if path.suffix in CITED_IN)


def documents() -> list[Path]:
    inner = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md")]
    return sorted([*ROOT.glob("*.md"), *inner])


def test_every_cited_standard_is_in_the_matrix() -> None:
    known = {row["rfc"] for row in matrix()}
    cited = {
        number: path for path in sources() for number in CITATION.findall(path.read_text("utf-8"))
    }
    missing = {number: str(path) for number, path in cited.items() if number not in known}
    assert not missing, f"add a line to docs/rfc.tsv for: {missing}"


def place(row: dict[str, str]) -> tuple[int, ...]:
    """Return where a row stands: by the numbers of its standard and section, the whole document first."""
    return (int(row["rfc"]), *(int(number) for number in row["section"].split(".") if number))


def name_of(row: dict[str, str]) -> str:
    return f"{row['rfc']}-{row['section']}" if row["section"] else row["rfc"]


def test_the_matrix_is_well_formed() -> None:
    rows = matrix()
    assert list(rows[0]) == COLUMNS
    places = [place(row) for row in rows]
    assert places == sorted(set(places))
    assert {row["done"] for row in rows} <= {"yes", "partly", "no"}
    for row in rows:
        assert not row["section"] or SECTION.fullmatch(row["section"]), name_of(row)
        assert row["title"], name_of(row)


def test_a_standard_is_done_as_its_sections_are() -> None:
    whole = {row["rfc"]: row["done"] for row in matrix() if not row["section"]}
    states: dict[str, set[str]] = {}
    for row in matrix():
        assert row["rfc"] in whole, f"RFC {row['rfc']} has sections and no row of its own"
        if row["section"]:
            states.setdefault(row["rfc"], set()).add(row["done"])
    for rfc, found in states.items():
        expected = next(iter(found)) if len(found) == 1 else "partly"
        assert whole[rfc] == expected, f"RFC {rfc} is {expected} by its sections"


def test_a_section_that_lacks_something_says_what() -> None:
    rows = matrix()
    divided = {row["rfc"] for row in rows if row["section"]}
    lacking = [row for row in rows if row["section"] and row["done"] != "yes"]
    lacking += [row for row in rows if row["done"] == "partly" and row["rfc"] not in divided]
    silent = [name_of(row) for row in lacking if not row["note"]]
    assert not silent, f"say in the note what is missing of: {silent}"


@pytest.mark.parametrize("row", matrix(), ids=name_of)
def test_what_is_done_names_a_module_and_a_test(row: dict[str, str]) -> None:
    standard = f"RFC {name_of(row)}"
    if row["done"] == "no":
        assert not row["test"], "what has a test is not undone"
        return
    for column in ("module", "test"):
        assert row[column], f"{standard} names no {column}"
        for name in row[column].split():
            path, _, inside = name.partition("::")
            assert (ROOT / path).exists(), f"{standard}: no {path}"
            assert not inside or f"def {inside}(" in (ROOT / path).read_text()
    if row["done"] == "yes":
        cited = any(
            row["rfc"] in CITATION.findall((ROOT / name).read_text("utf-8"))
            for name in row["module"].split()
            if (ROOT / name).is_file()
        )
        assert cited, f"{standard} is not cited in {row['module']}"


def promises() -> list[list[str]]:
    lines = (ROOT / "docs" / "promises.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return [row for row in rows if row[0] != "rule" and set(row[0]) != {"-"}]


@pytest.mark.parametrize("row", promises(), ids=lambda row: row[0][:40])
def test_a_promise_names_code_and_a_test_that_exist(row: list[str]) -> None:
    _, code, test, state = row
    assert re.match(r"(done|partly|not yet)\b", state)
    assert bool(code and test) != state.startswith("not yet")
    for name in code.replace("`", "").split():
        assert (ROOT / name).is_file(), name
    for name in test.replace("`", "").split():
        path, _, inside = name.partition("::")
        text = (ROOT / "tests" / path).read_text()
        assert not inside or f"def {inside}(" in text, name


def test_the_page_of_settings_is_what_the_declarations_make() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert page == settings_page(schema()), "run `make docs`"


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_top_folder_explains_itself(folder: str) -> None:
    text = (ROOT / folder / "README.md").read_text()
    assert text.startswith("# ")
    assert len(text.split()) > 30


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        assert (path.parent / target).exists(), f"{path}: {target}"


def test_every_page_is_listed() -> None:
    listed = set()
    for page in (ROOT / "docs" / "README.md", ROOT / "docs" / "decisions" / "README.md"):
        text = page.read_text("utf-8")
        listed |= {(page.parent / target).resolve() for target in LINK.findall(text)}
    pages = {
        path.resolve()
        for path in (ROOT / "docs").rglob("*.md")
        if path.name != "README.md" and not path.name.startswith("vnd.columba.")
    }
    assert not pages - listed


def test_each_decision_has_a_number_of_its_own() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md")]
    assert len(numbers) == len(set(numbers))


def test_the_promises_that_the_code_cites_have_these_numbers() -> None:
    page = (ROOT / "docs" / "promises.md").read_text("utf-8")
    sections = set(re.findall(r"^## (\d+)\. ", page, re.MULTILINE))
    cited = {
        number
        for path in sources()
        for group in re.findall(r"promises (§[\d.]+(?:, §[\d.]+)*)", path.read_text("utf-8"))
        for number in re.findall(r"§([\d.]*\d)", group)
    }
    assert cited
    assert cited <= sections
