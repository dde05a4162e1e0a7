"""Named steps at which a test may end a process as a power cut would.

`COLUMBA_FAULT=name` (or `name:3` for the third time) in the environment makes `reached(name)` kill this
process with SIGKILL; `name:3:stop` stops it there (SIGSTOP), so that a test can harm others at this step and let it
go on. Without the variable the name costs one comparison. The names stand in the code, beside
the step that they follow.
"""

import os
import signal
from typing import Final

_NAME, _NTH, _DEED = [*os.environ.get("COLUMBA_FAULT", "").split(":"), "", ""][:3]
_LEFT: Final = [int(_NTH) if _NTH.isdigit() else 1]  # a countdown of one test process, not state


def reached(name: str) -> None:
    """Say that this step is done; the process dies here when a test asked for it."""
    if not _NAME or name != _NAME:
        return
    _LEFT[0] -= 1
    if _DEED == "stop":
        if _LEFT[0] == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
    elif _LEFT[0] <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
