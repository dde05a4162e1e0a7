"""dkim gen, dkim dns: make a signing key, and say what to publish for it."""

import os
from pathlib import Path

import click

from columba.common.config.handed import thaw
from columba.common.errors import EX_CANTCREAT, EX_NOTFOUND, ConfigError
from columba.delivery.signer import keys
from columba.delivery.signer.settings import Settings as SignerSettings
from columba.master.check.open import open_config
from columba.master.cli.state import State, fail
from columba.master.errors import StartError
from columba.master.privileges import Identity, identity
from columba.master.settings import MasterSettings, ServiceSettings


@click.group()
def dkim() -> None:
    """Make DKIM keys and publish them."""


@dkim.command()
@click.argument("domain")
@click.option("-s", "--selector", default="columba", show_default=True, help="Name of the key.")
@click.option(
    "-t",
    "--type",
    "kind",
    type=click.Choice([kind.value for kind in keys.KeyType]),
    default=keys.KeyType.RSA_2048.value,
    show_default=True,
)
@click.pass_obj
def gen(state: State, domain: str, selector: str, kind: str) -> None:
    """Make a key for DOMAIN, readable by the dkim service alone, and print its record."""
    settings, owner = _signer(state)
    try:
        key = keys.generate(domain, selector, keys.KeyType(kind))
        path = keys.save(Path(settings.dkim_key_dir), key)
        if owner.switch:
            for each in (path.parent.parent, path.parent, path):
                os.chown(each, owner.uid, owner.gid)
    except ConfigError as error:
        fail(str(error), error.exit_code)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", EX_CANTCREAT)
    click.echo(f"{path} was made. Publish this record, then say `columbadm reload`:", err=True)
    _show(state, [key])


@dkim.command()
@click.argument("domain")
@click.option("-s", "--selector", help="One key of the domain.")
@click.pass_obj
def dns(state: State, domain: str, selector: str | None) -> None:
    """Print the TXT records of DOMAIN's keys, as lines for a zone file."""
    settings, _ = _signer(state)
    try:
        found = list(keys.load_ring(Path(settings.dkim_key_dir)).active(domain))
        for name, each in settings.dkim.items():
            if name.lower() == domain.lower() and each.key_file:
                found.append(keys.load_key(name, each.selector, Path(each.key_file)))
    except ConfigError as error:
        fail(str(error), error.exit_code)
    found = [key for key in found if selector in (None, key.selector)]
    if not found:
        fail(f"There is no key for {domain}: columbadm dkim gen {domain}", EX_NOTFOUND)
    _show(state, found)


def _show(state: State, found: list[keys.SigningKey]) -> None:
    if state.form is None:
        for key in found:
            click.echo(key.zone_line())
        return
    state.show([{"name": k.record_name, "type": "TXT", "value": k.txt_record()} for k in found])


def _signer(state: State) -> tuple[SignerSettings, Identity]:
    """Return the signer's settings, and as whom it runs."""
    try:
        resolver, _ = open_config(state.config)
        settings = thaw(SignerSettings, resolver.settings("dkim"))
        service = thaw(ServiceSettings, resolver.service("dkim"))
        master = thaw(MasterSettings, resolver.general())
        who = identity("dkim", service.user, service.group, master.default_internal_user)
    except ConfigError as error:
        fail(f"Error in configuration file {error}", error.exit_code)
    except StartError as error:
        fail(str(error), error.code)
    return settings, who
