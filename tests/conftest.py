"""Fixtures for every test: `peers` starts real programs, and ends them with the test."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.peers.all import Peers, open_folder
from tests.peers.seaweed import Bucket, Seaweed, foreign_bucket

# Programs that tests start find the package also where it is not installed.
os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent)
# A service whose event loop is blocked for longer says so, and the test fails (tests/fakes/stack.py).
os.environ.setdefault("COLUMBA_WATCH_LOOP_MS", "100")

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


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Seaweed]:
    """Give the one SeaweedFS of all tests; who would harm it starts another."""
    with open_folder() as folder:
        server = Seaweed(folder)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def s3_bucket(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    """Give a bucket of a real S3 server: the one that COLUMBA_TEST_S3 names, or SeaweedFS's."""
    foreign = foreign_bucket(tmp_path_factory.mktemp("s3"))
    if foreign is not None:
        return foreign
    server: Seaweed = request.getfixturevalue("seaweed")
    return server.bucket
