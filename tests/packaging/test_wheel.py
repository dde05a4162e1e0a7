"""What is shipped: the wheel holds all it needs and its commands run in a fresh environment."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT_S = 240.0
SKIPPED = {".git", ".venv", "var", "build", "dist", "tests", "bench"}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * LIMIT_S)]


def call(*argv: str | Path, cwd: Path) -> str:
    """Run a program to its end and return what it prints; a failure shows all of it."""
    done = subprocess.run(
        [str(word) for word in argv],
        cwd=cwd,
        timeout=LIMIT_S,
        check=False,
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Build the wheel from a copy, so that nothing is left in the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "copy"

    def skipped(_: str, names: list[str]) -> set[str]:
        return {n for n in names if n in SKIPPED or n.endswith((".egg-info", "_cache"))}

    shutil.copytree(ROOT, copy, symlinks=True, ignore=skipped)
    pip = (sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps")
    call(*pip, "--wheel-dir", folder / "out", copy, cwd=folder)
    yield next((folder / "out").glob("columba-*.whl"))
    shutil.rmtree(folder)


def test_the_wheel_holds_code_policy_and_grammar(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"columba/{path.relative_to(ROOT)}"
        for folder in ("common", "master", "smtpd", "sieve", "delivery", "queue")
        for pattern in ("*.py", "*.lark")
        for path in (ROOT / folder).rglob(pattern)
    }
    wanted |= {f"columba/{path.relative_to(ROOT)}" for path in (ROOT / "etc").rglob("*.sieve")}
    wanted |= {"columba/etc/columba.conf", "columba/etc/columba.service", "columba/py.typed"}
    assert wanted <= names, sorted(wanted - names)
    assert not [name for name in names if "/tests/" in name]


def test_the_commands_run_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "fresh"
    venv.create(home, with_pip=True, symlinks=True)
    limits = ROOT / "constraints.txt"
    call(home / "bin/python", "-m", "pip", "install", "-q", "-c", limits, wheel, cwd=tmp_path)
    version = call(
        home / "bin/python", "-c", "import columba; print(columba.__version__)", cwd=tmp_path
    )
    assert call(home / "bin/columba", "--version", cwd=tmp_path).strip().endswith(version.strip())
    for name in ("columba", "columbadm", "columba-sieve-test"):
        assert "sage" in call(home / "bin" / name, "--help", cwd=tmp_path)
