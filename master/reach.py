"""Whether the services' users can reach what every service needs: the interpreter, our code, the log.

A virtual environment whose Python lies below somebody's home is the usual obstacle: every service would die
at its birth, before there is a log.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

import columba
from columba.common.config.handed import thaw
from columba.common.errors import EX_CANTCREAT, EX_NOPERM
from columba.master.errors import StartError
from columba.master.log.settings import Settings as LogSettings
from columba.master.privileges import Identity, identity
from columba.master.settings import MasterSettings
from columba.master.table import Spec

UNKNOWN: Final = 255  # exit code of a probe that could not even become the user
LOG_MODE: Final = 0o640


def check_code(settings: MasterSettings, specs: dict[str, Spec]) -> None:
    """Raise StartError (77) if a service's user can't run the interpreter or read the code."""
    needed = [
        (sys.executable, os.X_OK),
        (os.path.realpath(sys.executable), os.X_OK),
        (str(columba.__file__), os.R_OK),
    ]
    tried: set[Identity] = set()
    for name, spec in specs.items():
        who = identity(name, spec.user, spec.group, settings.default_internal_user)
        if who in tried:
            continue
        tried.add(who)
        if path := obstacle(who, needed):
            words = (
                "must be readable by all services: install Columba elsewhere, with another Python"
            )
            raise StartError(
                f"service({name}) User {spec.user} can't use {path}: it {words}", EX_NOPERM
            )


def make_log(settings: MasterSettings, spec: Spec) -> None:
    """Make the log file for the log service's user, who could not make it in /var/log; raises StartError."""
    path = thaw(LogSettings, json.loads(spec.settings)).log_path
    who = identity(spec.name, spec.user, spec.group, settings.default_internal_user)
    if not path.startswith("/") or not who.switch:
        return
    make_file(path, who)
    if obstacle(who, [(path, os.W_OK)]):
        raise StartError(f"log_path: User {spec.user} can't write {path}", EX_NOPERM)


def make_file(path: str, who: Identity) -> None:
    """Make an empty file that is a user's, unless there is one; raises StartError."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, LOG_MODE)
    except FileExistsError:
        pass
    except OSError as error:
        words = f"log_path: Can't create log file {path}: {error.strerror}"
        raise StartError(words, EX_CANTCREAT) from error
    else:
        os.fchown(fd, who.uid, who.gid)
        os.close(fd)


def obstacle(who: Identity, needed: Sequence[tuple[str, int]]) -> str:
    """Return the first path that a user has not the right to (os.R_OK, W_OK, X_OK), "" if there is none."""
    if not who.switch:
        return ""
    pid = os.fork()
    if pid == 0:
        _probe(who, [(Path(path), right) for path, right in needed])
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == 0:
        return ""
    return needed[code - 1][0] if 0 < code <= len(needed) else needed[0][0]


def _probe(who: Identity, needed: Sequence[tuple[Path, int]]) -> NoReturn:
    """Become the user and end with the number of the first path, from 1, that is out of reach."""
    code = UNKNOWN
    try:
        os.setgroups([who.gid])
        os.setgid(who.gid)
        os.setuid(who.uid)
        missing = (n for n, (path, right) in enumerate(needed, 1) if not os.access(path, right))
        code = next(missing, 0)
    finally:
        os._exit(code)
