"""Bear one child: fork and exec at once.

Between the two, the child does nothing but system calls: descriptors, limits, user. What the child learns stands
in its environment as common/ipc/master.py says; all other variables are dropped but a short list.
"""

import contextlib
import fcntl
import os
import resource
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

import columba
from columba.common.config.schema import UNLIMITED
from columba.common.files import write_all
from columba.master.privileges import Identity
from columba.master.words import EXIT_EXEC_FAILED

KEPT: Final = (
    "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "COLUMBA_WATCH_LOOP_MS",  # of tests: tell when an event loop is blocked
    "PYTHONWARNINGS", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED",
)  # fmt: skip
KEPT_PREFIX: Final = "COLUMBA_FAULT"  # named steps at which tests end a process
QUEUE: Final = "queue"
QUEUE_PREFIX: Final = "AWS_"  # credentials of the queue's store, for the queue service alone
SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@dataclass(frozen=True, slots=True)
class Birth:
    """All that a child is given. `keep` are the descriptors that it inherits beside 0, 1 and 2.

    stdout_fd -1 stands for /dev/null.
    """

    argv: Sequence[str]
    environ: Mapping[str, str]
    keep: Sequence[int]
    stdout_fd: int
    stderr_fd: int
    identity: Identity
    memory_limit_bytes: int
    descriptors: int  # that it may need; the system's limit is raised to them where that is allowed


def base_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what every child has of the master's environment."""
    kept = {k: v for k, v in environ.items() if k in KEPT or k.startswith(KEPT_PREFIX)}
    root = os.path.dirname(os.path.dirname(os.path.abspath(columba.__file__)))
    return {
        **kept,
        "PYTHONPATH": root,  # a child runs the code that its master runs
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        "SPT_NOENV": "1",  # a process title must not overwrite /proc/PID/environ
        "MALLOC_ARENA_MAX": "2",  # arenas of threads count against RLIMIT_DATA
    }


def own_environment(service: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what one service alone has of the master's environment."""
    if service != QUEUE:
        return {}
    return {name: value for name, value in environ.items() if name.startswith(QUEUE_PREFIX)}


def spawn(birth: Birth) -> int:
    """Return the new child's pid; raises OSError if the system can't fork.

    A program that can't be executed ends with exit code 84.
    """
    pid = os.fork()
    if pid == 0:
        _become(birth)
    return pid


def memfd(name: str, content: bytes) -> int:
    """Return a sealed descriptor that holds content."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    write_all(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    return fd


def _become(birth: Birth) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        for number in (
            signal.SIGTERM,
            signal.SIGINT,
            signal.SIGHUP,
            signal.SIGUSR1,
            signal.SIGCHLD,
        ):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.umask(0o027)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null if birth.stdout_fd < 0 else birth.stdout_fd, 1)
        os.dup2(birth.stderr_fd, 2)
        for fd in birth.keep:
            os.set_inheritable(fd, True)
        if birth.memory_limit_bytes < UNLIMITED:
            limit = birth.memory_limit_bytes
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        _allow(birth.descriptors)
        if birth.identity.switch:
            os.setgroups([birth.identity.gid])
            os.setgid(birth.identity.gid)
            os.setuid(birth.identity.uid)
        os.execvpe(birth.argv[0], list(birth.argv), dict(birth.environ))
    except OSError as error:
        os.write(2, f"exec({birth.argv[0]}) failed: {error.strerror}\n".encode())
    finally:
        os._exit(EXIT_EXEC_FAILED)


def _allow(descriptors: int) -> None:
    """Raise the limits of open files as far as they go; only root may raise the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < descriptors:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, descriptors))
            hard = descriptors
    wanted = descriptors if hard == resource.RLIM_INFINITY else min(hard, descriptors)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
