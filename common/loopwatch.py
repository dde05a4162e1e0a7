"""Tell when the event loop was blocked, with the stack that blocked it: for tests, which fail then.

A thread asks the loop again and again to run a mark, and looks how long that takes. On a machine that others use too, a
late mark proves nothing: what counts is the processor time that the loop's own thread used in between, or that it slept
in the kernel elsewhere than in its selector all the while. Off unless COLUMBA_WATCH_LOOP_MS is set.
"""

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

ENV: Final = "COLUMBA_WATCH_LOOP_MS"
LOOK_S: Final = 0.01
ASLEEP: Final = (
    10  # times its limit that a loop may seem asleep: waiting for the disk of a busy machine
)
FRAMES: Final = 12
Tell = Callable[[str, int, str], None]  # how (busy, asleep), milliseconds, stack


class LoopWatch:
    """Watches the running loop of the thread that makes it. tell is called in the watching thread."""

    def __init__(self, limit_ms: int, tell: Tell) -> None:
        self._limit_s, self._tell = limit_ms / 1000, tell
        self._loop = asyncio.get_running_loop()
        self._ident = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._ident)
        self._state = Path(f"/proc/self/task/{threading.get_native_id()}/stat")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no more."""
        self._stop.set()
        self._thread.join(1.0)

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_S):
            passed = threading.Event()
            try:
                self._loop.call_soon_threadsafe(passed.set)
            except RuntimeError:  # the loop is closed
                return
            self._wait(passed)

    def _wait(self, passed: threading.Event) -> None:
        """Wait until the loop has run the mark; tell once if that took too much."""
        used_s, asleep_s, told = time.clock_gettime(self._clock), 0.0, False
        while not passed.wait(LOOK_S) and not self._stop.is_set():
            if told:
                continue
            busy_s = time.clock_gettime(self._clock) - used_s
            asleep_s = asleep_s + LOOK_S if self._is_asleep() else 0.0
            if busy_s > self._limit_s:
                told = True
                self._tell("busy", round(busy_s * 1000), self._stack())
            elif asleep_s > ASLEEP * self._limit_s:
                told = True
                self._tell("asleep", round(asleep_s * 1000), self._stack())

    def _is_asleep(self) -> bool:
        """Tell whether the thread sleeps in the kernel: one that others keep from running does not."""
        try:
            return self._state.read_text().rpartition(")")[2].split()[0] in ("S", "D")
        except OSError:
            return False

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._ident)
        return " < ".join(_places(frame)) if frame is not None else ""


def limit_ms() -> int:
    """Return the limit that the environment sets, 0 if the loop is not watched."""
    text = os.environ.get(ENV, "")
    return int(text) if text.isdigit() else 0


def _places(frame: FrameType) -> list[str]:
    found = traceback.extract_stack(frame)[-FRAMES:]
    return [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(found)]
