"""smtp probe, destinations, down: other mail servers as we see them."""

import asyncio
import ipaddress
from collections.abc import Sequence
from pathlib import Path

import click

from columba.common.dns.client import Client, name_servers
from columba.common.errors import EX_TEMPFAIL, EX_UNAVAILABLE, EX_USAGE
from columba.delivery.settings import Settings as DeliverySettings
from columba.master.cli.client import AskError, ask
from columba.master.cli.output import Row
from columba.master.cli.probe import Found, Wanted, addresses_of, mx_of, probe
from columba.master.cli.state import State, fail

SMTP_PORT = 25


@click.group()
def smtp() -> None:
    """Look at other mail servers, and at how we get on with them."""


@smtp.command("probe")
@click.argument("host")
@click.option("--mx", is_flag=True, help="HOST is a domain: look at its MX hosts.")
@click.option("--lmtp", is_flag=True, help="Say LHLO.")
@click.option("--helo", default="", help="Name to say in EHLO; else the hostname.")
@click.option("--timeout", "timeout_s", default=30.0, show_default=True, help="Seconds.")
@click.pass_obj
def probe_(state: State, host: str, mx: bool, lmtp: bool, helo: str, timeout_s: float) -> None:
    """Show a server's banner, extensions, TLS and certificates. HOST[:PORT]; [IPv6]:PORT."""
    name, port = host_and_port(host)
    settings = state.settings_of("delivery", DeliverySettings)
    helo = helo or settings.hostname
    base = Wanted(name, "", port, helo, lmtp, settings.ssl_client_ca_file, timeout_s)
    found = asyncio.run(_probe_all(base, mx, settings.dns_servers))
    if state.form:
        state.show([one.row() for one in found])
    else:
        click.echo("\n".join(_told(one) for one in found), nl=False)
    if all(one.error for one in found):
        raise SystemExit(EX_UNAVAILABLE)


@smtp.command()
@click.pass_obj
def destinations(state: State) -> None:
    """Show where mail is on its way to: how many now, how many wait, how many may go at a time."""
    state.show(ask_delivery(state.run_dir(), "destinations"))


@smtp.command()
@click.pass_obj
def down(state: State) -> None:
    """Show the servers that were silent and are left alone for a while."""
    state.show(ask_delivery(state.run_dir(), "down"))


def ask_delivery(run: Path, command: str, **arguments: object) -> list[Row]:
    """Return the rows of all delivery processes; ends the program when none answers."""
    rows: list[Row] = []
    errors: list[str] = []
    for socket in sorted((run / "admin").glob("delivery.*")):
        try:
            rows += [{"process": socket.name, **row} for row in ask(socket, command, **arguments)]
        except AskError as error:
            errors.append(str(error))
    if not rows and errors:
        fail(errors[0], EX_TEMPFAIL)
    return rows


def host_and_port(text: str) -> tuple[str, int]:
    """Return the parts of HOST, HOST:PORT, [IPv6] or [IPv6]:PORT; ends the program when it is none of them."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or _is_address(text):
        host, port = text, str(SMTP_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        fail(f"{text!r} is not HOST or HOST:PORT", EX_USAGE)
    return host, int(port)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


async def _probe_all(base: Wanted, mx: bool, dns_servers: list[str]) -> list[Found]:
    resolver = Client(name_servers(dns_servers))
    hosts = await mx_of(base.host, resolver, base.timeout_s) if mx else (base.host,)
    found: list[Found] = []
    for host in hosts:
        addresses: Sequence[str] = (host,)
        if not _is_address(host):
            addresses = await addresses_of(host, resolver, base.timeout_s)
        if not addresses:
            found.append(Found(_at(base, host, ""), error=f"{host} has no address"))
        for address in addresses:
            found.append(await probe(_at(base, host, address)))
    return found


def _at(base: Wanted, host: str, address: str) -> Wanted:
    return Wanted(host, address, base.port, base.helo, base.lmtp, base.ca_file, base.timeout_s)


def _told(found: Found) -> str:
    """Return what was seen, for people."""
    wanted = found.wanted
    lines = [f"{wanted.host} [{wanted.address}]:{wanted.port}"]
    facts: list[tuple[str, str]] = [
        ("connected in", f"{found.connect_ms} ms" if found.banner else ""),
        ("banner", found.banner),
        ("hello", found.hello),
        *(("extension", line) for line in found.offered),
        *(("only in clear", x) for x in found.offered_in_clear if x not in found.offered),
        ("TLS", f"{found.tls} {found.cipher}" if found.tls else "none" if found.hello else ""),
        ("certificate", "verified" if found.verified else ""),
        ("not verified", found.verify_error),
        *(("chain", line) for line in found.chain),
        ("error", found.error),
    ]
    lines += [f"  {name}: {value}" for name, value in facts if value]
    return "\n".join(lines) + "\n"
