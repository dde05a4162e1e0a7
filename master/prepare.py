"""Make the folders that the services find their sockets, spool and state in."""

from pathlib import Path

from columba.master.listen import Owner
from columba.master.privileges import Identity, identity, is_single_user, own_identity
from columba.master.reach import check_code, make_log
from columba.master.reload import Configuration
from columba.master.rundir import make_folder
from columba.master.settings import MasterSettings
from columba.master.table import ListenerSpec


def make_folders(configuration: Configuration) -> None:
    """Make run, state and spool folders and the log file; raises StartError.

    Each service's run folder belongs to its user, and its group (all services) may enter it.
    """
    settings = configuration.settings
    check_code(settings, configuration.specs)
    internal = _internal(settings)
    own = own_identity()
    run = Path(settings.base_dir)
    make_folder(run, 0o755, Identity(own.uid, own.gid, False))
    make_folder(run / "admin", 0o750, internal)
    make_folder(Path(settings.state_dir), 0o755, internal)
    make_folder(Path(settings.spool_dir), 0o2770, internal)
    for name, spec in configuration.specs.items():
        who = identity(name, spec.user, spec.group, settings.default_internal_user)
        make_folder(run / name, 0o750, who)
    if "log" in configuration.specs:
        make_log(settings, configuration.specs["log"])


def unix_owner(settings: MasterSettings) -> Owner:
    """Return the function that says whom a unix socket belongs to."""

    def owner(service: str, listener: ListenerSpec) -> Identity:
        return identity(service, listener.user, listener.group, settings.default_internal_user)

    return owner


def _internal(settings: MasterSettings) -> Identity:
    if is_single_user(settings.default_internal_user):
        return own_identity()
    return identity(
        "master",
        settings.default_internal_user,
        settings.default_internal_group,
        settings.default_internal_user,
    )
