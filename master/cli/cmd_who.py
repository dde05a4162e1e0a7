"""who, kick, penalty: clients that are connected, and addresses that gave wrong passwords, as doveadm shows them."""

import click

from columba.common.errors import EX_NOTFOUND, EX_USAGE
from columba.master.cli.output import Row
from columba.master.cli.state import State, fail

ANVIL = "admin/anvil.0"


@click.command()
@click.argument("mask", required=False, default="")
@click.argument("address", required=False, default="")
@click.option("-1", "singly", is_flag=True, help="One line for each connection.")
@click.pass_obj
def who(state: State, mask: str, address: str, singly: bool) -> None:
    """Show who is connected: MASK of logins with * and ?, ADDRESS or network."""
    mask, address = _sides(mask, address)
    rows = state.ask(ANVIL, "who", mask=mask, address=address)
    state.show(rows if singly else _together(rows))


@click.command()
@click.argument("mask", required=False, default="")
@click.argument("address", required=False, default="")
@click.option("-A", "everybody", is_flag=True, help="All connections.")
@click.pass_obj
def kick(state: State, mask: str, address: str, everybody: bool) -> None:
    """End connections within a second; a mail that is on its way is answered first."""
    mask, address = _sides(mask, address)
    if not (mask or address or everybody):
        fail("whom? a mask of logins, an address, or -A for all", EX_USAGE)
    number = state.ask(ANVIL, "kick", mask=mask, address=address)[0]["kicked"]
    if not number:
        fail("no connections kicked", EX_NOTFOUND)
    click.echo(f"{number} connections kicked")


@click.command()
@click.argument("address", required=False, default="")
@click.pass_obj
def penalty(state: State, address: str) -> None:
    """Show addresses that gave wrong passwords, and how long they wait now."""
    state.show(
        state.ask(ANVIL, "penalty", address=address), columns=("ip", "penalty", "delay_s", "last")
    )


def _sides(mask: str, address: str) -> tuple[str, str]:
    """Take a mask that is an address as one, as doveadm does."""
    if (
        mask
        and not address
        and set(mask) <= set("0123456789abcdefABCDEF:./")
        and set(mask) & set(".:")
    ):
        return "", mask
    return mask, address


def _together(rows: list[Row]) -> list[Row]:
    """Return a row for each login and service, with processes and addresses."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((str(row["login"]), str(row["service"])), []).append(row)
    return [
        {
            "login": login,
            "connections": len(of),
            "service": service,
            "pids": sorted({str(row["pid"]) for row in of}),
            "ips": sorted({str(row["ip"]) for row in of if row["ip"]}),
        }
        for (login, service), of in sorted(found.items())
    ]
