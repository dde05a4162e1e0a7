"""queue flush, hold, release, delete, bounce, reroute, retry-at, and the rules: suspend, resume, rules.

Whoever acts on mails names them: there is no default of all, but for flush, which does no harm. What can't be undone
shows how many mails it is about, and asks.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

import click

from columba.common.errors import EX_DATAERR, EX_NOTFOUND, EX_USAGE
from columba.common.ids import new_id
from columba.master.cli.output import Row
from columba.master.cli.queue_sockets import (
    BAR_FROM,
    confirm,
    counted,
    each_page,
    each_row,
    fields_help,
    progress,
    query_of,
    readable,
)
from columba.master.cli.state import State, fail
from columba.queue.query import parse_duration_s

DATES: Final = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d")


def _options(function: Callable[..., None]) -> Callable[..., None]:
    """Add what all orders take."""
    function = click.option("--yes", is_flag=True, help="Do not ask.")(function)
    function = click.option(
        "-A", "--all", "everything", is_flag=True, help="All mails of the queue."
    )(function)
    return click.argument("query", nargs=-1)(function)


@click.command(help="Try mails now; without a query, all of them.\n\n" + fields_help())
@_options
@click.pass_obj
def flush(state: State, query: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Try mails now."""
    _order(state, "flush", query_of(query), asks=False)


@click.command(help="Keep mails in the queue until they are released.\n\n" + fields_help())
@_options
@click.option("-r", "--reason", default="", help="Why, for those who look at it later.")
@click.pass_obj
def hold(state: State, query: tuple[str, ...], everything: bool, yes: bool, reason: str) -> None:
    """Keep mails."""
    _order(state, "hold", _named(query, everything), asks=False, reason=reason)


@click.command(help="Let held mails go on.\n\n" + fields_help())
@_options
@click.pass_obj
def release(state: State, query: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Let held mails go on."""
    _order(state, "release", _named(query, everything), asks=False)


@click.command(help="Delete mails without telling their senders.\n\n" + fields_help())
@_options
@click.pass_obj
def delete(state: State, query: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Delete mails."""
    _order(state, "delete", _named(query, everything), yes=yes)


@click.command(help="Give mails back to their senders with a report.\n\n" + fields_help())
@_options
@click.option("-r", "--reason", default="", help="What the sender reads.")
@click.pass_obj
def bounce(state: State, query: tuple[str, ...], everything: bool, yes: bool, reason: str) -> None:
    """Give mails back."""
    _order(state, "bounce", _named(query, everything), yes=yes, reason=reason)


@click.command(
    help="Send mails another way: relay:HOST:PORT, mx:DOMAIN, lmtp:/PATH, lmtp:HOST:PORT, maildir:PATH.\n\n"
    + fields_help()
)
@_options
@click.option("-t", "--to", required=True, help="The way.")
@click.pass_obj
def reroute(state: State, query: tuple[str, ...], everything: bool, yes: bool, to: str) -> None:
    """Send mails another way."""
    _order(state, "reroute", _named(query, everything), yes=yes, to=to)


@click.command(
    "retry-at",
    help="Try mails at a TIME, not before: 2h (from now), 18:30, 2026-01-31T18:30.\n\n"
    + fields_help(),
)
@click.argument("time")
@_options
@click.pass_obj
def retry_at(state: State, time: str, query: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Try mails at a time."""
    _order(state, "retry-at", _named(query, everything), asks=False, at=instant_s(time))


@click.command(
    help="Do not try mails for a time, those that come later too: QUERY until TIME.\n\n"
    + fields_help()
)
@click.argument("words", nargs=-1, required=True)
@click.option("-r", "--reason", default="", help="Why, for those who look at it later.")
@click.pass_obj
def suspend(state: State, words: tuple[str, ...], reason: str) -> None:
    """Make a rule."""
    said = " ".join(words).split()
    lower = [word.lower() for word in said]
    if "until" not in lower:
        fail("say when it ends: QUERY until TIME", EX_USAGE)
    at = len(lower) - 1 - lower[::-1].index("until")
    query = query_of(said[:at], everything=False)
    until_s = instant_s(" ".join(said[at + 1 :]))
    _show_rules(
        state, each_row(state, "suspend", query=query, until=until_s, reason=reason, rule=new_id())
    )


@click.command()
@click.argument("rules", nargs=-1)
@click.option("-A", "--all", "everything", is_flag=True, help="End all rules.")
@click.pass_obj
def resume(state: State, rules: tuple[str, ...], everything: bool) -> None:
    """End rules, by their ids; what they kept is tried as it is due."""
    if bool(rules) == everything:
        fail("name the rules, or say -A for all", EX_USAGE)
    asked: list[dict[str, object]] = [{"all": True}] if everything else [{"rule": r} for r in rules]
    rows = _once([row for each in asked for row in each_row(state, "resume", **each)])
    if state.form:
        _show_rules(state, rows)
        return
    click.echo(f"resume: {len(rows)} rule{'' if len(rows) == 1 else 's'}", err=True)


@click.command("rules")
@click.pass_obj
def rules_(state: State) -> None:
    """Show the rules that keep mails from being tried."""
    _show_rules(state, each_row(state, "rules"))


def instant_s(text: str) -> float:
    """Return a time as seconds since 1970: "2h" from now, "18:30" next, or a date; ends the program otherwise."""
    try:
        return clock_s(text.strip().removeprefix("+"), datetime.now().astimezone())
    except ValueError as error:
        fail(str(error), EX_DATAERR)


def clock_s(text: str, now: datetime) -> float:
    """Return the seconds since 1970 of "2h" from now, of "18:30" (the next one) or of a date, in now's zone.

    Raises ValueError for what is none of these, or past.
    """
    if text[-1:].isalpha():
        with suppress(ValueError):
            return now.timestamp() + parse_duration_s(text)
    with suppress(ValueError):
        clock = datetime.strptime(text, "%H:%M")
        at = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
        return at.timestamp() + (86_400 if at <= now else 0)
    for form in DATES:
        with suppress(ValueError):
            at = datetime.strptime(text, form).replace(tzinfo=now.tzinfo)
            break
    else:
        raise ValueError(f"'{text}' is no time such as 2h (from now), 18:30 or 2026-01-31T18:30")
    if at <= now:
        raise ValueError(f"{text} is past")
    return at.timestamp()


def _named(words: Sequence[str], everything: bool) -> str:
    if bool(words) == everything:
        fail("name the mails, or say -A for all", EX_USAGE)
    return query_of(words, everything)


def _order(
    state: State,
    name: str,
    query: str,
    *,
    asks: bool = True,
    yes: bool = False,
    **arguments: object,
) -> None:
    """Have an order carried out, and say about how many mails it was."""
    is_shown = sys.stderr.isatty()
    count = counted(state, query) if asks or is_shown else 0
    if asks:
        confirm(name, count, yes)
    if not query.strip():
        arguments["all"] = True
    pages = each_page(state, name, query=query, **arguments)
    rows: list[Row] = []
    with progress(name, count, BAR_FROM) as advance:
        for page in pages:
            rows += page
            advance(len(page))
    if state.form:
        state.show(rows)
        return
    if not rows and query and name != "flush":
        fail("no mail is meant by that", EX_NOTFOUND)
    click.echo(f"{name}: {len(rows)} mail{'' if len(rows) == 1 else 's'}", err=True)


def _show_rules(state: State, rows: Iterable[Row]) -> None:
    found = _once(rows)
    state.show(found if state.form == "json" else [readable(row) for row in found])


def _once(rows: Iterable[Row]) -> list[Row]:
    """Return each rule once: every queue process knows it."""
    return list({str(row["rule"]): row for row in rows}.values())


COMMANDS: Final = (
    flush, hold, release, delete, bounce, reroute, retry_at, suspend, resume, rules_,
)  # fmt: skip
