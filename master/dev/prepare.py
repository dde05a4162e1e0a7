"""Write a Plan down: folders, keys, users, configuration. What is there already is kept, but for columba.conf."""

import datetime
import grp
import os
import pwd
from pathlib import Path
from typing import Final

import argon2

from columba.master.dev import keys
from columba.master.dev.plan import DOMAIN, PASSWORD, USER, Plan

SECRET: Final = 0o600
GROUP: Final = "columba"


def prepare(plan: Plan) -> None:
    """Make everything that the server needs to start; raises OSError."""
    root = plan.root
    for folder in (root, *(root / name for name in ("tls", "dkim", "sieve", "mail", "state"))):
        folder.mkdir(parents=True, exist_ok=True)
    _make_certificate(plan)
    if not plan.dkim_key.exists():
        _write(plan.dkim_key, keys.dkim_key())
    if not plan.passwords.exists():
        line = f"{USER}:{{ARGON2ID}}{argon2.PasswordHasher().hash(PASSWORD)}\n"
        _write(plan.passwords, line.encode())
    if plan.own_users:
        _give(plan.dkim_key, "columba-keys")
        _give(plan.passwords, "columba-auth")
        _give(plan.mail, "columba")
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
