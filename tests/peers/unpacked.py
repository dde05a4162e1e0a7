"""Mail servers that Debian does not install beside Postfix: unpacked from their packages, run in a mount namespace.

A package is fetched once into a cache folder (`apt-get download`) and unpacked there; nothing of the system is
changed. In the namespace the users that the server was built for exist, and its fixed folders are its own.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.peers.process import lacking, require, run


def unpacked(package: str) -> Path:
    """Return the folder with the package's files; skips (fails in CI) where it can't be had. Needs root."""
    require("apt-get", "dpkg", "unshare", "mount", root=True)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "/var/cache") / "columba-tests"
    folder = cache / package
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    cache.chmod(0o755)
    work = cache / f"{package}.{os.getpid()}"
    work.mkdir()
    try:
        fetch = ["sh", "-c", f"cd {work} && apt-get download -q {package}"]
        if run(fetch, 120).returncode and (
            run(["apt-get", "update", "-q"], 300).returncode or run(fetch, 120).returncode
        ):
            lacking(f"no package {package} to be had")
        (deb,) = work.glob("*.deb")
        subprocess.run(["dpkg", "-x", str(deb), str(work / "files")], check=True)
        (work / "files").rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def in_namespace(
    folder: Path, users: Sequence[str], private: Sequence[str], command: Sequence[str]
) -> list[str]:
    """Return the command that runs another with `users` (user and group of their own) and empty `private` folders.

    Folders below those are made as well: "/run" and "/run/x" make both.
    """
    for name in ("passwd", "group"):
        text = (Path("/etc") / name).read_text()
        home = ":/nonexistent:/bin/false" if name == "passwd" else ""
        known = {line.partition(":")[0] for line in text.splitlines()}
        for number, user in enumerate(users, 64_800):
            rest = f"{number}:{user}{home}" if home else ""
            text += "" if user in known else f"{user}:x:{number}:{rest}\n"
        (folder / name).write_text(text)
    lines = ["set -e"]
    lines += [f"mount --bind {folder}/{name} /etc/{name}" for name in ("passwd", "group")]
    lines += [
        f"mkdir -p {path} && chmod 711 {path}"
        if any(path.startswith(other + "/") for other in private)
        else f"mount -t tmpfs -o mode=755 private {path}"
        for path in private
    ]
    script = folder / "start.sh"
    script.write_text("\n".join([*lines, 'exec "$@"\n']))
    return ["unshare", "-m", "sh", str(script), *command]
