"""Read the small files that the settings of scripts name: secrets, and the values of external lists.

A file that can't be read, or is larger than it may be, is a ConfigError that begins with the setting's name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from columba.common.errors import ConfigError
from columba.sieve.lang.limits import list_name
from columba.sieve.tuning import ExternalList

SECRET_FILE_MAX: Final = 64 * 1024
LIST_FILE_MAX: Final = 16 * 1024 * 1024
SECRET_MIN: Final = 8  # octets


def read_secrets(path: str) -> list[str]:
    """Return the secrets of a file, one a line, "#" begins a comment; raises ConfigError."""
    if not path:
        return []
    secrets = _lines("srs_secret_file", path, SECRET_FILE_MAX, "surrogateescape")
    if not secrets or any(len(secret) < SECRET_MIN for secret in secrets):
        raise ConfigError(f"srs_secret_file: {path} needs secrets of {SECRET_MIN} octets or more")
    return secrets


def read_lists(lists: Mapping[str, ExternalList]) -> Mapping[str, frozenset[str]]:
    """Return what external lists hold, by their names as the engine spells them; raises ConfigError."""
    return {
        list_name(each.name or key): frozenset(
            _lines(f"sieve_list {key}", each.file, LIST_FILE_MAX, "replace")
        )
        for key, each in lists.items()
    }


def _lines(setting: str, path: str, most: int, errors: str) -> list[str]:
    """Return the lines that are neither empty nor comments."""
    try:
        with Path(path).open("rb") as file:
            octets = file.read(most + 1)
    except OSError as error:
        raise ConfigError(f"{setting}: can't open {path}: {error.strerror}") from error
    if len(octets) > most:
        raise ConfigError(f"{setting}: {path} is larger than {most} octets")
    lines = (line.strip() for line in octets.decode("utf-8", errors).splitlines())
    return [line for line in lines if line and not line.startswith("#")]
