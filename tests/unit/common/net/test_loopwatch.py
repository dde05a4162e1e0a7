"""The watch finds a loop that computes or sleeps, and no other."""

import asyncio
import time

from columba.common.loopwatch import LoopWatch

Told = list[tuple[str, int, str]]


def compute(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(100))


def doze(seconds: float) -> None:
    time.sleep(seconds)


async def watched(told: Told, limit_ms: int, work_s: float, *, sleeps: bool = False) -> None:
    watch = LoopWatch(limit_ms, lambda how, ms, stack: told.append((how, ms, stack)))
    try:
        await asyncio.sleep(0.05)
        (doze if sleeps else compute)(work_s)
        await asyncio.sleep(0.05)
    finally:
        watch.close()


async def test_a_callback_that_computes_is_told_once_with_its_stack() -> None:
    told: Told = []
    await watched(told, 50, 0.3)
    ((how, ms, stack),) = told
    assert how == "busy" and ms >= 50 and "compute" in stack


async def test_a_callback_that_sleeps_is_told() -> None:
    told: Told = []
    await watched(told, 10, 0.5, sleeps=True)
    assert [how for how, _, _ in told] == ["asleep"]


async def test_a_loop_that_waits_or_works_a_little_is_not_told() -> None:
    told: Told = []
    await watched(told, 100, 0.02)
    assert told == []


async def test_many_short_callbacks_in_a_row_are_not_told() -> None:
    told: Told = []
    watch = LoopWatch(50, lambda how, ms, stack: told.append((how, ms, stack)))
    for _ in range(30):
        asyncio.get_running_loop().call_soon(compute, 0.01)
    await asyncio.sleep(0.05)
    watch.close()
    assert told == []
