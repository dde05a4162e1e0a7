"""Make of columba.conf the frozen values that the master and its services work with.

It runs in a process of its own (`python -m columba.master.check`), so that the master never parses text and a new
configuration that is broken can't harm the running one.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from columba.common.config.general import Scripts
from columba.common.config.handed import thaw
from columba.common.config.load import BUILTIN_FILE
from columba.common.config.parser import Section
from columba.common.config.resolve import Frozen
from columba.common.config.schema import declarations
from columba.master.check.checks import (
    check_service,
    check_services,
    check_ssl,
    check_tls,
    check_trusted,
)
from columba.master.check.contents import check_contents
from columba.master.check.open import open_config
from columba.master.check.outside import check_users, missing_files
from columba.master.compiled import Compiled
from columba.master.settings import MasterSettings, ServiceSettings
from columba.smtpd.settings import Settings as SmtpdSettings

ALWAYS: Final = ("anvil", "log")
SCRIPT_SETTINGS: Final = frozenset(declarations(Scripts))
FILES_MAX: Final = 1000  # of a folder, that count for its fingerprint


def compile_config(path: str, contents: bool = True) -> Compiled:
    """Read and check a configuration file; raises ConfigError with file and line.

    `contents`: look into the scripts, keys and certificates that it names, too.
    """
    resolver, warnings = open_config(path)
    general = resolver.general()
    master = thaw(MasterSettings, general)
    names = [*ALWAYS, *(name for name in master.services if name not in ALWAYS)]
    check_services(names, resolver)
    check_tls(master, resolver)
    if contents:
        check_users(names, master, resolver)
        check_contents(names, master, resolver)
        warnings = [*warnings, *missing_files(names, resolver)]
    has_certificate = bool(master.ssl_cert_file or master.local_name)
    services, settings, fingerprints = {}, {}, {}
    for name in names:
        frozen = resolver.service(name)
        service, section = thaw(ServiceSettings, frozen), resolver.service_section(name)
        check_service(name, service, section, resolver.root)
        check_ssl(name, service, section, has_certificate=has_certificate)
        services[name], settings[name] = frozen, resolver.settings(name)
        if name == "smtpd":
            check_trusted(thaw(SmtpdSettings, settings[name]).trusted_networks, resolver)
        if name == "sieve":
            settings[name]["script_texts"] = dict(script_texts(settings[name]))
        stamps = [each for path in resolver.paths(name) for each in _stamps(path)]
        fingerprints[name] = " ".join(stamps)
    origins = dict(_origins(resolver.root, ""))
    return Compiled(
        os.path.abspath(path), general, services, settings, fingerprints, origins, warnings
    )


def script_texts(settings: Frozen) -> Frozen:
    """Return the scripts that the settings name, and those beside them, which they may include.

    Path to octets as Latin-1, so that processes live with what was accepted.
    """
    paths = [str(value) for name, value in settings.items() if name in SCRIPT_SETTINGS and value]
    folders = sorted({os.path.dirname(path) for path in paths})
    beside = [str(path) for each in folders for path in sorted(Path(each).glob("*.sieve"))]
    texts: Frozen = {}
    for path in dict.fromkeys((*paths, *beside[:FILES_MAX])):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            texts[path] = file.read().decode("latin-1")
    return texts


def _origins(section: Section, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield where everything was written that is not built in."""
    if section.line and section.file != BUILTIN_FILE:
        yield prefix.rstrip("/"), f"{section.file} line {section.line}"
    for key, value in section.values.items():
        if value.file != BUILTIN_FILE:
            yield prefix + key, f"{value.file} line {value.line}"
    for kind, sections in section.sections.items():
        for name, inner in sections.items():
            yield from _origins(inner, f"{prefix}{kind}/{name}/")


def _stamps(path: str) -> Iterator[str]:
    """Yield texts that change when a file, or one in a folder or in a folder of that, is written anew.

    The second level is that of `<dkim_key_dir>/<domain>/<selector>.pem`. Sockets do not count.
    """
    inside = [path] if os.path.isfile(path) else sorted(_files(path, 2))
    for each in inside[:FILES_MAX]:
        with contextlib.suppress(OSError):
            status = os.stat(each)
            yield f"{each}:{status.st_mtime_ns}:{status.st_size}:{status.st_ino}"


def _files(folder: str, levels: int) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError:
        return
    yield from (entry.path for entry in found if entry.is_file())
    if levels > 1:
        inner = [entry.path for entry in found if entry.is_dir()][:FILES_MAX]
        yield from (path for each in inner for path in _files(each, levels - 1))
