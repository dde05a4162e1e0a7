"""The layout can be imported, and hides nothing of the standard library."""

import asyncio
import importlib
import multiprocessing
import queue
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOP = ("master", "smtpd", "delivery", "queue", "sieve", "common")


def test_stdlib_queue_is_not_hidden() -> None:
    assert "columba" not in str(queue.__file__)
    assert hasattr(queue, "Empty")
    assert asyncio.__name__ and multiprocessing.__name__
    assert importlib.import_module("columba.queue.store").__name__ == "columba.queue.store"


def test_no_module_is_named_like_a_standard_one_at_the_top_of_a_folder() -> None:
    for top in TOP:
        for path in (ROOT / top).glob("*.py"):
            if path.stem in sys.stdlib_module_names:
                assert path.stem == "__main__", f"{path} has the name of a standard module"
