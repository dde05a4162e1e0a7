"""queue store-check, queue key gen: try the queue's store out, and make keys for mail at rest."""

import os
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from columba.common.config.schema import Declared, Kind
from columba.common.config.units import parse_value
from columba.common.errors import (
    EX_CANTCREAT,
    EX_OK,
    EX_UNAVAILABLE,
    EX_USAGE,
    ConfigError,
    StoreError,
)
from columba.common.files import replace_file
from columba.master.cli.output import Row
from columba.master.cli.state import State, fail
from columba.queue.settings import Settings as QueueSettings
from columba.queue.store.keyring import KEY_OCTETS, key_line, key_name, parse_ring
from columba.queue.store.open import open_plain, plan_store
from columba.queue.store.probe import probe

TIMEOUT_S: Final = 10.0


@click.command()
@click.pass_obj
def store_check(state: State) -> None:
    """Try out whether the queue's store keeps what the queue rests on."""
    settings = state.settings_of("queue", QueueSettings)
    try:
        plan = plan_store(settings)
        store = open_plain(plan, TIMEOUT_S)
        began = time.monotonic()
        try:
            lacking = probe(store)
        finally:
            store.close()
    except (ConfigError, StoreError) as error:
        fail(str(error), error.exit_code)
    row: Row = {
        "store": plan.name,
        "good": not lacking,
        "encrypted": plan.ring is not None,
        "ms": round(1000 * (time.monotonic() - began)),
        "lacks": "; ".join(lacking),
    }
    state.show([row], "flow")
    raise SystemExit(EX_UNAVAILABLE if lacking else EX_OK)


@click.group()
def key() -> None:
    """Make the keys that queued mail is encrypted with."""


@key.command()
@click.option("--in", "later", default="0", help="When it begins to write, from now: 1d, 12h.")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.pass_obj
def gen(state: State, later: str, file: Path | None) -> None:
    """Make a key and add it to FILE (default: queue_key_file). The older ones stay and read on.

    Bring the file to every node before the key begins to write.
    """
    path = file or Path(state.settings_of("queue", QueueSettings).queue_key_file)
    if not path.name:
        fail("name a file, or set queue_key_file", EX_USAGE)
    try:
        later_s = parse_value(Declared(Kind.TIME, "", ""), later)
        since_s = time.time() + float(str(later_s))
        old = path.read_text() if path.exists() else ""
        if old.strip():
            parse_ring(old, str(path))
        secret = secrets.token_bytes(KEY_OCTETS)
        _write(state, path, old + key_line(secret, since_s))
    except ConfigError as error:
        fail(str(error), error.exit_code)
    except ValueError as error:
        fail(f"--in {later}: {error}", EX_USAGE)
    except OSError as error:
        fail(f"{path}: {error.strerror}", EX_CANTCREAT)
    click.echo(f"{path}: added the key {key_name(secret).hex()}", err=True)


def _write(state: State, path: Path, text: str) -> None:
    """Write the file for root and the service's group alone; an existing file keeps its owner."""
    owner = path.stat() if path.exists() else None
    replace_file(path, text.encode(), 0o640)
    if owner is not None:
        with suppress(PermissionError):
            os.chown(path, owner.st_uid, owner.st_gid)
        return
    group = state.settings().default_internal_group
    if group:
        with suppress(LookupError, PermissionError):
            shutil.chown(path, group=group)
