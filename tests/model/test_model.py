"""Histories of three nodes on one store, each by its seed: crashes, pauses, partitions, lost answers.

`make model` runs thousands. MODEL_SEED=n runs one again, MODEL_COUNT=n says how many, MODEL_FIRST=n from which on.
"""

import os
from collections import Counter
from pathlib import Path

import pytest

from columba.queue.store.base import ANYTHING, Condition
from columba.queue.store.faulty import MINIO, OLD_MINIO, Profile
from tests.fakes.memory_store import MemoryStore
from tests.fakes.sim_world import ViolationError, World

COUNT = int(os.environ.get("MODEL_COUNT", "100"))
FIRST = int(os.environ.get("MODEL_FIRST", "0"))
SEED = os.environ.get("MODEL_SEED", "")


@pytest.mark.slow
@pytest.mark.timeout(0 if "MODEL_COUNT" in os.environ else 120)
@pytest.mark.parametrize("profile", [MINIO, OLD_MINIO], ids=["minio", "old-minio"])
def test_nothing_is_lost_and_nobody_acts_without_a_lease(tmp_path: Path, profile: Profile) -> None:
    seeds = [int(SEED)] if SEED else range(FIRST, FIRST + COUNT)
    seen: Counter[str] = Counter()
    for seed in seeds:
        world = World(seed, tmp_path, profile)
        world.run()
        seen += world.counts
        seen["accepted"] += len(world.accepted)
        seen["delivered"] += len(world.deliveries)
        seen["twice"] += sum(count > 1 for count in world.deliveries.values())
        seen["taken over"] += sum("Adopted a lease" in line for line in world.trace)
    print(dict(seen))
    assert SEED or min(seen["accepted"], seen["delivered"], seen["taken over"]) > COUNT


def test_a_seed_is_the_same_history_each_time(tmp_path: Path) -> None:
    stories = []
    for _ in range(2):
        world = World(7, tmp_path, MINIO)
        world.run()
        stories.append(list(world.trace))
    assert stories[0] == stories[1]


class Heedless(MemoryStore):
    """A store that ignores conditions."""

    def put(self, key: str, data: bytes, condition: Condition) -> str:
        return super().put(key, data, ANYTHING)


class Forgetful(MemoryStore):
    """A store that answers for records and does not keep every one."""

    def put(self, key: str, data: bytes, condition: Condition) -> str:
        etag = super().put(key, data, condition)
        if condition.absent and key.startswith("env/") and int(etag, 16) % 4 == 0:
            self.delete(key)
        return etag


@pytest.mark.parametrize("kind", [Heedless, Forgetful])
def test_a_store_that_can_t_carry_a_queue_is_found_out(
    tmp_path: Path, kind: type[MemoryStore]
) -> None:
    for seed in range(20):
        try:
            World(seed, tmp_path, MINIO, kind()).run()
        except ViolationError as error:
            assert f"seed {seed}" in str(error)
            return
    pytest.fail("the model sees nothing")
