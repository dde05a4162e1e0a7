"""Write a Plan down: folders, keys, users, configuration.

Keys, users and mail that are there already are kept; columba.conf and the scripts are written anew.
"""

import datetime
import grp
import os
import pwd
from pathlib import Path
from typing import Final

import argon2

import columba
from columba.master.dev import keys
from columba.master.dev.plan import DOMAIN, PASSWORD, SCRIPTS, Plan

SECRET: Final = 0o600
POLICY: Final = Path(columba.__file__).parent / "etc" / "sieve"
FOLDERS: Final = ("tls", "dkim", "sieve", "mail", "state", "log")
GROUP: Final = "columba"


def prepare(plan: Plan) -> None:
    """Make everything that the server needs to start; raises OSError."""
    root = plan.root
    for folder in (root, *(root / name for name in FOLDERS)):
        folder.mkdir(parents=True, exist_ok=True)
    _make_certificate(plan)
    if not plan.dkim_key.exists():
        _write(plan.dkim_key, keys.dkim_key())
    if not plan.passwords.exists():
        secret = argon2.PasswordHasher().hash(PASSWORD)
        lines = [f"{user}:{{ARGON2ID}}{secret}\n" for user in plan.users]
        _write(plan.passwords, "".join(lines).encode())
    if plan.own_users:
        _give(plan.dkim_key, "columba-keys")
        _give(plan.passwords, "columba-auth")
        for folder in (plan.mail, plan.log.parent):
            _give(folder, "columba")
    plan.mailboxes.write_text("".join(f"{user}\n" for user in plan.users))
    for stage in SCRIPTS:
        text = (POLICY / f"{stage}.sieve").read_text()
        plan.script(stage).write_text(plan.relayed(text))
    plan.config.write_text(plan.text())


def _make_certificate(plan: Plan) -> None:
    """Write the TLS key and certificate, unless they are there."""
    if plan.certificate.exists():
        return
    now = datetime.datetime.now(datetime.UTC)
    pair = keys.self_signed(f"mail.{DOMAIN}", now)
    _write(plan.tls_key, pair.key)
    plan.certificate.write_bytes(pair.certificate)


def _write(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, SECRET)
    with open(descriptor, "wb") as file:
        file.write(content)


def _give(path: Path, user: str) -> None:
    """Make a service's user the owner."""
    os.chown(path, pwd.getpwnam(user).pw_uid, grp.getgrnam(GROUP).gr_gid)
