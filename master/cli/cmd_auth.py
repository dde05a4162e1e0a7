"""auth test: ask the auth service as smtpd does. pw: make and check stored passwords."""

import os
import socket
from pathlib import Path
from typing import Final

import click

from columba.common.errors import EX_DATAERR, EX_NOPERM, EX_TEMPFAIL, RemoteProtocolError
from columba.common.sasl import dovecot
from columba.common.sasl.dovecot import Fail, Offer, Ok, ServerMessage, ServerMessages
from columba.common.sasl.plain import format_plain
from columba.master.auth import schemes
from columba.master.auth.schemes import SchemeError
from columba.master.cli.state import State, fail
from columba.smtpd.settings import Settings as SmtpdSettings

TIMEOUT_S: Final = 60.0
NUMBER: Final = 1


@click.group()
def auth() -> None:
    """Try the authentication of clients."""


@auth.command("test")
@click.argument("user")
@click.argument("password", required=False)
@click.option("-a", "--socket", "path", help="Auth socket; else auth_socket of smtpd.")
@click.option("-r", "--remote", "ip", default="", help="Address that the client shall have.")
@click.pass_obj
def test(state: State, user: str, password: str | None, path: str | None, ip: str) -> None:
    """Try a password; exit code 77 if it is wrong. Without PASSWORD it is asked for."""
    path = path or state.settings_of("smtpd", SmtpdSettings).auth_socket
    if not path:
        fail("auth_socket is empty: clients can't authenticate", EX_DATAERR)
    secret = password if password is not None else click.prompt("Password", hide_input=True)
    answer = _ask(Path(path), user, secret, ip)
    if isinstance(answer, Ok):
        extra = " ".join(f"{key}={value}" for key, value in answer.extra.items())
        click.echo(f"{user} auth succeeded: user={answer.user} {extra}".rstrip())
        return
    code = f" ({answer.code})" if answer.code else ""
    temporary = answer.code == "temp_fail"
    fail(
        f"{user} auth failed{code} {answer.reason}".rstrip(),
        EX_TEMPFAIL if temporary else EX_NOPERM,
    )


@click.command()
@click.option("-s", "scheme", default=schemes.schemes()[0], show_default=True, help="Scheme.")
@click.option("-p", "password", help="The password; else it is asked for, twice.")
@click.option("-r", "rounds", default=0, help="Work that the hash takes, in the scheme's measure.")
@click.option("-l", "lists", is_flag=True, help="List the schemes.")
@click.option("-t", "stored", help="Check a password against this hash instead.")
def pw(scheme: str, password: str | None, rounds: int, lists: bool, stored: str | None) -> None:
    """Make a hash for the users' file, or check a password against one."""
    if lists:
        click.echo(" ".join(schemes.schemes()))
        return
    confirm = stored is None
    text = password or click.prompt("Password", hide_input=True, confirmation_prompt=confirm)
    secret = str(text).encode()
    try:
        if stored is None:
            click.echo(schemes.make(scheme, secret, rounds))
        elif schemes.verify(stored, secret):
            click.echo(f"{stored} (verified)")
        else:
            fail("The password does not match the hash", EX_NOPERM)
    except SchemeError as error:
        fail(str(error), EX_DATAERR)


def _ask(path: Path, user: str, password: str, ip: str) -> Ok | Fail:
    params = {"service": "smtp", "secured": "tls", "no-penalty": ""}
    if ip:
        params["rip"] = ip
    messages = ServerMessages()
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(TIMEOUT_S)
            client.connect(str(path))
            client.sendall(dovecot.client_hello(os.getpid()))
            _read(client, messages, Offer)
            message = format_plain(user, password)
            client.sendall(dovecot.auth_request(NUMBER, "PLAIN", params, message))
            answer = _read(client, messages, Ok, Fail)
    except (OSError, RemoteProtocolError) as error:
        fail(f"{path}: {error}", EX_TEMPFAIL)
    assert isinstance(answer, Ok | Fail)
    return answer


def _read(
    client: socket.socket, messages: ServerMessages, *wanted: type[ServerMessage]
) -> ServerMessage:
    while data := client.recv(65536):
        for message in messages.feed(data):
            if isinstance(message, wanted):
                return message
    raise RemoteProtocolError("the auth service closed the connection")
