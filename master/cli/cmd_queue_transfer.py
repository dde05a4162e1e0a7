"""queue export, import: mails with their envelopes into files and back, piece by piece."""

import base64
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import click
import msgspec

from columba.common.errors import EX_DATAERR, EX_NOTFOUND, EX_TEMPFAIL, EX_UNAVAILABLE, EX_USAGE
from columba.common.ids import new_id
from columba.common.ipc import wire
from columba.master.cli.client import AskError, Talk
from columba.master.cli.mailfile import (
    Envelope,
    Mail,
    MailFileError,
    Quoter,
    Reader,
    from_line,
    head,
)
from columba.master.cli.output import Row
from columba.master.cli.queue_sockets import (
    BAR_FROM,
    counted,
    each_row,
    fields_help,
    octets_of,
    progress,
    query_of,
    sockets,
)
from columba.master.cli.state import State, fail

LARGE: Final = 1 << 20  # octets of a file from which on its import shows how far it is


@click.command(
    help="Write mails with their envelopes into an mbox or a folder.\n\n" + fields_help()
)
@click.argument("query", nargs=-1)
@click.option("-A", "--all", "everything", is_flag=True, help="All mails of the queue.")
@click.option(
    "-o", "--output", required=True, help="An mbox file, - for standard output, or a folder."
)
@click.option(
    "--format", "kind", type=click.Choice(["mbox", "eml"]), default="mbox", show_default=True
)
@click.pass_obj
def export(state: State, query: tuple[str, ...], everything: bool, output: str, kind: str) -> None:
    """Write mails into files."""
    if bool(query) == everything:
        fail("name the mails, or say -A for all", EX_USAGE)
    text = query_of(query)
    count = counted(state, text) if sys.stderr.isatty() else 0
    ids: list[str] = []
    with progress("export", count, BAR_FROM) as advance:
        rows = _noted(each_row(state, "export", query=text), ids, advance)
        try:
            _export(rows, output, kind)
        except OSError as error:
            fail(f"{output}: {error.strerror}", EX_UNAVAILABLE)
    if not ids:
        fail("no mail is meant by that", EX_NOTFOUND)
    if state.form and output != "-":
        state.show([{"id": id} for id in ids])
    click.echo(f"export: {len(ids)} mail{'' if len(ids) == 1 else 's'}", err=True)


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("-s", "--sender", help="Envelope sender of mails whose file has no envelope.")
@click.option("-r", "--recipient", "recipients", multiple=True, help="Their recipients.")
@click.option("--hold", default="", help="Hold what comes in, for this reason.")
@click.pass_obj
def import_(
    state: State,
    files: tuple[Path, ...],
    sender: str | None,
    recipients: tuple[str, ...],
    hold: str,
) -> None:
    """Queue the mails of FILES: mboxes, single mails, or folders of *.eml; one that is queued already stays so."""
    paths = [each for path in files for each in _files_of(path)]
    said = Envelope(hold=hold, sender=sender or "", recipients=recipients)
    ids: list[str] = []
    with (
        Talk(sockets(state.run_dir())[0]) as talk,
        progress("import", len(paths), BAR_FROM) as advance,
    ):
        least = LARGE if len(paths) < BAR_FROM else sys.maxsize  # one bar at a time
        for path in paths:
            _import_path(talk, path, said, ids, least)
            advance(1)
    if state.form:
        state.show([{"id": id} for id in ids])
    click.echo(f"import: {len(ids)} mail{'' if len(ids) == 1 else 's'}", err=True)


def _noted(rows: Iterator[Row], ids: list[str], advance: Callable[[int], None]) -> Iterator[Row]:
    """Yield rows, and note each mail that begins with one."""
    for row in rows:
        if "handoff" in row:
            ids.append(str(row["id"]))
            advance(1)
        yield row


def _export(rows: Iterator[Row], output: str, kind: str) -> None:
    if kind == "eml":
        _export_eml(rows, Path(output))
    elif output == "-":
        _export_mbox(rows, sys.stdout.buffer)
    else:
        with Path(output).open("xb") as file:
            _export_mbox(rows, file)


def _export_mbox(rows: Iterator[Row], file: BinaryIO) -> None:
    quoter, ends = Quoter(), b""
    for row, octets in octets_of(rows):
        if "handoff" in row:
            file.write(ends and quoter.end())
            ends = b"\n"
            handoff = _handoff(row)
            sender = handoff.envelope.sender.decode("utf-8", "replace")
            file.write(from_line(sender, float(str(row["created"]))) + _head_of(row, handoff))
        file.write(quoter.feed(octets))
    file.write(ends and quoter.end())
    file.flush()


def _export_eml(rows: Iterator[Row], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as files:
        file: BinaryIO = files.enter_context(BytesIO())
        for row, octets in octets_of(rows):
            if "handoff" in row:
                files.close()
                file = files.enter_context((folder / f"{row['id']}.eml").open("xb"))
                file.write(_head_of(row, _handoff(row)))
            file.write(octets)


def _head_of(row: Row, handoff: wire.Handoff) -> bytes:
    return head(
        str(row["handoff"]),
        str(row["hold"]),
        handoff.envelope.sender.decode("utf-8", "replace"),
        [recipient.address.decode("utf-8", "replace") for recipient in handoff.recipients],
    )


def _handoff(row: Row) -> wire.Handoff:
    return msgspec.json.decode(str(row["handoff"]), type=wire.Handoff)


def _files_of(path: Path) -> list[Path]:
    return sorted(path.glob("*.eml")) if path.is_dir() else [path]


def _import_path(talk: Talk, path: Path, said: Envelope, ids: list[str], least: int) -> None:
    try:
        with path.open("rb") as file:
            _import_file(talk, file, said, ids, least)
    except MailFileError as error:
        fail(f"{path}: {error} (imported so far: {len(ids)})", EX_DATAERR)
    except AskError as error:
        fail(f"{path}: {error} (imported so far: {len(ids)})", error.exit_code)
    except OSError as error:
        fail(f"{path}: {error.strerror}", EX_UNAVAILABLE)


def _import_file(talk: Talk, file: BinaryIO, said: Envelope, ids: list[str], least: int) -> None:
    size = file.seek(0, 2)
    file.seek(0)
    with progress("import", size, least) as advance:
        before = 0
        for mail in Reader(file):
            ids.append(_import_mail(talk, mail, said))
            advance(file.tell() - before)
            before = file.tell()


def _import_mail(talk: Talk, mail: Mail, said: Envelope) -> str:
    envelope = mail.envelope
    handoff = envelope.handoff or _made(envelope, said)
    begun = _one(
        talk,
        "import-begin",
        handoff=handoff,
        hold=said.hold or envelope.hold,
        header=base64.b64encode(mail.header).decode(),
    )
    upload = begun["upload"]
    for chunk in mail.body:
        list(talk.ask("import-data", upload=upload, chunk=base64.b64encode(chunk).decode()))
    return str(_one(talk, "import-end", upload=upload)["id"])


def _made(envelope: Envelope, said: Envelope) -> str:
    """Return the handoff of a mail whose file does not bring one: it goes the way of submitted mail."""
    recipients = said.recipients or envelope.recipients
    if not recipients:
        raise MailFileError("a mail has no envelope: name its recipients with -r")
    handoff = wire.Handoff(
        id=new_id(),
        step="sieve",
        deadline_ns=0,
        envelope=wire.Envelope(
            sender=(said.sender or envelope.sender).encode(), arrived_s=time.time()
        ),
        client=wire.Client(trusted=True),
        recipients=tuple(
            wire.Recipient(number=str(number), address=address.encode())
            for number, address in enumerate(recipients, 1)
        ),
        body=wire.Body(),
        may_queue="yes",
        kind="submitted",
    )
    return msgspec.json.encode(handoff).decode()


def _one(talk: Talk, command: str, **arguments: object) -> Row:
    rows = [row for page in talk.ask(command, **arguments) for row in page]
    if not rows:
        raise AskError("the queue gave no answer", EX_TEMPFAIL)
    return rows[0]


COMMANDS: Final = (export, import_)
