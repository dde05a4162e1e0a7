"""columbadm pw and auth test."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from columba.common.config.load import DEFAULT_PATH
from columba.master.auth.schemes import schemes, verify
from columba.master.cli.__main__ import columbadm
from tests.fakes.auth import Running


def pw(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(columbadm, ["pw", *arguments])
    return result.exit_code, result.output


def test_hashes_are_made_and_checked() -> None:
    code, text = pw("-s", "ssha512", "-p", "secret")
    assert code == 0 and verify(text.strip(), b"secret")
    assert pw("-t", text.strip(), "-p", "secret") == (0, f"{text.strip()} (verified)\n")
    assert pw("-t", text.strip(), "-p", "wrong")[0] == 77
    assert pw("-s", "nope", "-p", "x")[0] == 65
    assert pw("-l") == (0, " ".join(schemes()) + "\n")


@pytest.mark.parametrize(
    ("user", "password", "code", "words"),
    [
        ("ann@x", "secret", 0, "auth succeeded: user=ann@x"),
        ("ann@x", "wrong", 77, "auth failed"),
        ("bad@x", "x", 75, "temp_fail"),
    ],
)
async def test_a_login_is_tried(
    tmp_path: Path, user: str, password: str, code: int, words: str
) -> None:
    running = Running(tmp_path)
    await running.start()
    try:
        path = str(tmp_path / "auth-client")
        arguments = ["-c", DEFAULT_PATH, "auth", "test", "-a", path, user, password]
        result = await asyncio.to_thread(CliRunner().invoke, columbadm, arguments)
        assert result.exit_code == code and words in result.output
    finally:
        await running.close()
