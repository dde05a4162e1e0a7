"""Fixtures for every test: `peers` starts real programs, and ends them with the test."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.peers.all import Peers, open_folder

# Programs that tests start find the package also where it is not installed.
os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent)

hypothesis.settings.register_profile("steady", deadline=None)
hypothesis.settings.load_profile("steady")
hypothesis.settings.register_profile("fuzz", max_examples=20_000, deadline=None)


@pytest.fixture
def peers() -> Iterator[Peers]:
    """Give a starter of real peers in a folder of the test's own."""
    with open_folder() as folder, contextlib.ExitStack() as stack:
        yield Peers(folder, stack)


@pytest.fixture
def shared_path() -> Iterator[Path]:
    """Give a folder with a short path that other users can enter."""
    with open_folder() as folder:
        yield folder
