"""replica key, replica status: make a member's key, and ask all members whether they answer."""

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import zmq
from zmq.utils import z85

from columba.common.config.handed import thaw
from columba.common.errors import EX_CANTCREAT, EX_CONFIG, EX_TEMPFAIL, ConfigError, StoreError
from columba.master.check.open import open_config
from columba.master.cli.output import Row
from columba.master.cli.state import State, fail
from columba.master.settings import MasterSettings
from columba.queue.settings import Settings
from columba.queue.store.open import plan_store
from columba.queue.store.replica.line import Ask, Lines
from columba.queue.store.replica.members import Members, Peer
from columba.queue.store.replica.open import read_keys
from columba.queue.store.replica.words import Changed, Changes, Read

TIMEOUT_S = 3.0


@click.group()
def replica() -> None:
    """Look after a queue that several machines keep together."""


@replica.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def key(state: State, file: Path) -> None:
    """Make a key: the secret goes to FILE, the public half is printed for replica_member on all machines."""
    public, secret = zmq.curve_keypair()
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        with open(fd, "wb") as target:
            target.write(secret + b"\n")
    except FileExistsError:
        fail(f"{file} exists: a key that members know is not overwritten", EX_CANTCREAT)
    except OSError as error:
        fail(f"{file}: {error.strerror}", EX_CANTCREAT)
    said = (
        "its group may read it" if _given(state, file) else "give it to the queue service's group"
    )
    click.echo(f"{file} was made; {said} (mode 640). Public key:", err=True)
    click.echo(z85.decode(public).hex())


def _given(state: State, file: Path) -> bool:
    """Give a key to the group of all services, where there is a configuration and we may."""
    try:
        group = thaw(MasterSettings, open_config(state.config)[0].general()).default_internal_group
        shutil.chown(file, group=group or os.getegid())
    except (ConfigError, LookupError, OSError):
        return False
    return True


@replica.command()
@click.pass_obj
def status(state: State) -> None:
    """Ask every member whether it answers; ends with 75 if there is no majority."""
    settings = state.settings_of("queue", Settings)
    try:
        members = plan_store(settings).where
        if not isinstance(members, Members):
            fail("the queue is not kept by replicas: queue_url is not replica:PATH", EX_CONFIG)
        lines = Lines(members.peers, read_keys(members))
    except ConfigError as error:
        fail(f"Error in configuration file {error}", error.exit_code)
    with ThreadPoolExecutor(len(members.peers)) as pool:  # one that is silent holds up no other
        rows = list(pool.map(lambda peer: _row(lines, peer), members.peers))
    lines.close()
    state.show(rows)
    if sum(row["answers"] == "yes" for row in rows) < members.majority:
        fail(f"{members.majority} members are needed: nothing can be stored", EX_TEMPFAIL)


def _row(lines: Lines, peer: Peer) -> Row:
    began_s = time.monotonic()
    try:
        told = lines.one(peer.name, Ask(Changes(limit=0)), began_s + TIMEOUT_S).reply
        if isinstance(told, Changed) and not told.votes:
            answers, took = "learning", ""
        else:
            lines.one(peer.name, Ask(Read("probe/majority")), began_s + TIMEOUT_S)
            answers, took = "yes", f"{(time.monotonic() - began_s) * 1000:.1f}"
    except StoreError:
        answers, took = "no", ""
    kind = "witness" if peer.is_witness else "mail"
    return {
        "member": peer.name,
        "address": peer.address,
        "keeps": kind,
        "answers": answers,
        "ms": took,
    }
