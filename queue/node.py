"""What this machine remembers of itself: its node id, the lives of its owners, and which of them live now.

The node id is random and made once in the state directory. An owner is "<node>-<number>"; the process that has
its lease holds an exclusive lock on `<state>/queue-node/<owner>.lock` as long as it lives, so that a free lock
says that no process of this machine has that lease any more. Each process life is written down before it
first writes a lease: a lease in our node's name with a life that is not known here is a clone's.
All calls block, briefly; they are made off the loop.
"""

import fcntl
import os
import re
import secrets
from pathlib import Path
from typing import Final

from columba.common.files import make_folders, replace_file

_NODE: Final = re.compile(r"[0-9a-f]{12}")
_LIVES: Final = 1000


class Node:
    """This node, as one process sees it."""

    def __init__(self, state_dir: Path) -> None:
        """Read the node id, or make it; OSError when the directory can't be used."""
        self._folder = state_dir / "queue-node"
        make_folders(self._folder)
        self._locks: dict[str, int] = {}
        with _Locked(self._folder / "node.lock"):
            self.name = self._read_name()
            self.life = secrets.token_hex(8)
            self._add_life()

    def owner(self, number: int) -> str:
        """Return the name of this node's owner of that number."""
        return f"{self.name}-{number}"

    def is_own(self, owner: str) -> bool:
        """Tell whether an owner is of this node."""
        return owner.startswith(self.name + "-")

    def knows(self, life: str) -> bool:
        """Tell whether a life was one of this machine."""
        return life in self._lives()

    def lock(self, owner: str) -> bool:
        """Take an owner for this process; False when another process of this machine has it."""
        if owner in self._locks:
            return True
        fd = os.open(self._folder / f"{owner}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._locks[owner] = fd
        return True

    def unlock(self, owner: str) -> None:
        """Give an owner up."""
        fd = self._locks.pop(owner, -1)
        if fd >= 0:
            os.close(fd)

    def close(self) -> None:
        """Give all owners up."""
        for owner in list(self._locks):
            self.unlock(owner)

    def _read_name(self) -> str:
        path = self._folder / "node"
        if not path.exists():
            replace_file(path, secrets.token_hex(6).encode())
        name = path.read_text().strip()
        if not _NODE.fullmatch(name):
            raise OSError(f"{path}: holds no node id")
        return name

    def _lives(self) -> list[str]:
        path = self._folder / "lives"
        return path.read_text().split() if path.exists() else []

    def _add_life(self) -> None:
        lives = [*self._lives(), self.life][-_LIVES:]
        replace_file(self._folder / "lives", "\n".join(lives).encode())


class _Locked:
    """An exclusive lock between the processes of this machine, waited for."""

    def __init__(self, path: Path) -> None:
        self._path, self._fd = path, -1

    def __enter__(self) -> None:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
