"""No pattern of ours needs what re of Python 3.11.2, which Debian 12 has, does wrong."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOP = ("master", "smtpd", "delivery", "queue", "sieve", "common")
# A possessive group keeps the half of a repetition that failed there: "(?:\.x)*+" takes the dot of "a.b".
POSSESSIVE_GROUP = re.compile(r"(?<!\\)\)(?:[*+?]|\{[0-9,]+\})\+|\(\?>")


@pytest.mark.parametrize("top", TOP)
def test_no_group_is_possessive(top: str) -> None:
    for path in sorted((ROOT / top).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str | bytes):
                continue
            text = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
            assert not POSSESSIVE_GROUP.search(text), f"{path}:{node.lineno}"
