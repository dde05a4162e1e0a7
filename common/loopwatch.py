"""Tell when the event loop was blocked, with the stack that blocked it: for tests, which fail then.

A thread asks the loop again and again to run a mark, and while the mark waits it looks which callback runs. On a
machine that others use too, a late mark proves nothing, and many short callbacks in a row are no mistake: what counts
is the processor time that the loop's own thread used while one and the same callback ran, or that it slept in the
kernel elsewhere than in its selector all the while. Off unless COLUMBA_WATCH_LOOP_MS is set.
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
MARK_S: Final = 0.04  # between two marks: what takes longer than the limit meets one
LOOK_S: Final = 0.02  # between two looks while a mark waits
ASLEEP: Final = (
    10  # times its limit that a loop may seem asleep: waiting for the disk of a busy machine
)
FRAMES: Final = 12
MACHINERY: Final = ("asyncio/runners.py", "asyncio/base_events.py", "asyncio/events.py")
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
        while not self._stop.wait(MARK_S):
            passed = threading.Event()
            try:
                self._loop.call_soon_threadsafe(passed.set)
            except RuntimeError:  # the loop is closed
                return
            self._wait(passed)

    def _wait(self, passed: threading.Event) -> None:
        """Wait until the loop has run the mark; tell once if a callback before it took too much."""
        running: FrameType | None = None
        since_s = asleep_s = 0.0
        while not passed.wait(LOOK_S) and not self._stop.is_set():
            used_s, found = time.clock_gettime(self._clock), self._callback()
            if found is None or found is not running:
                running, since_s = found, used_s
            asleep_s = asleep_s + LOOK_S if self._is_asleep() else 0.0
            if running is not None and used_s - since_s > self._limit_s:
                self._say("busy", used_s - since_s)
            elif asleep_s > ASLEEP * self._limit_s:
                self._say("asleep", asleep_s)
            else:
                continue
            while not passed.wait(LOOK_S) and not self._stop.is_set():
                continue  # told once

    def _say(self, how: str, seconds: float) -> None:
        frame = self._top()
        stack = " < ".join(_places(frame)) if frame is not None else ""
        self._tell(how, round(seconds * 1000), stack)

    def _top(self) -> FrameType | None:
        return sys._current_frames().get(self._ident)

    def _callback(self) -> FrameType | None:
        """Return the outermost frame of the callback that runs now; held, so that no other can be mistaken for it."""
        frame, inner = self._top(), list[FrameType]()
        while frame is not None:
            inner.append(frame)
            frame = frame.f_back
        outer = iter(reversed(inner))
        for frame in outer:
            if frame.f_code.co_filename.endswith(MACHINERY):
                break
        return next((f for f in outer if not f.f_code.co_filename.endswith(MACHINERY)), None)

    def _is_asleep(self) -> bool:
        """Tell whether the thread sleeps in the kernel: one that others keep from running does not."""
        try:
            return self._state.read_text().rpartition(")")[2].split()[0] in ("S", "D")
        except OSError:
            return False


def limit_ms() -> int:
    """Return the limit that the environment sets, 0 if the loop is not watched."""
    text = os.environ.get(ENV, "")
    return int(text) if text.isdigit() else 0


def _places(frame: FrameType) -> list[str]:
    found = traceback.extract_stack(frame)[-FRAMES:]
    return [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(found)]
