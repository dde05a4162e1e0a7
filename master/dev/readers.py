"""Whether the services' users can read the interpreter and the code.

A virtual environment below /root, or a checkout that only its owner may enter, is the usual obstacle. Each
user is tried in earnest: it starts the interpreter and imports from both the environment and the checkout.
"""

import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

USERS: Final = ("columba", "columba-login", "columba-keys", "columba-auth")
GROUP: Final = "columba"
PROBE: Final = "import msgspec, zmq, columba.common.service"
LIMIT_S: Final = 20.0


def obstacle(python: Path, users: Sequence[str] = USERS) -> str:
    """Return why the services can't run as users of their own; "" if they can.

    python is the interpreter that the services run with. Only root can start them as others.
    """
    if os.geteuid() != 0:
        return "columba was not started by root"
    missing = [name for name in users if not _exists(name)]
    if missing:
        return f"there is no user {', '.join(missing)}"
    unable = [name for name in users if not _can_run(python, name)]
    if unable:
        return f"{', '.join(unable)} can't read {python} or the code"
    return ""


def interpreter() -> Path:
    """Return the interpreter that runs us, as it was called (a link in the environment)."""
    return Path(sys.executable)


def _exists(name: str) -> bool:
    """Tell whether the system knows a user."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _can_run(python: Path, name: str) -> bool:
    """Tell whether a user can run our code."""
    argv = ["setpriv", f"--reuid={name}", f"--regid={GROUP}", "--clear-groups"]
    try:
        done = subprocess.run(
            [*argv, "--", str(python), "-c", PROBE],
            cwd="/",
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
