"""Read a service's settings from what its master hands to it: a memfd with its own as JSON, and nothing of the others'.

A service process neither reads nor parses configuration files, so it does not import what does.
"""

import json
import os
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from columba.common.errors import ConfigError
from columba.common.ipc.master import ENV_SETTINGS_FD

T = TypeVar("T")


def load_settings(cls: type[T], environ: Mapping[str, str] | None = None) -> T:
    """Return a service's settings from the memfd that the master passed; raises ConfigError.

    The memfd is read from its beginning, so that it can be read again.
    """
    number = (os.environ if environ is None else environ).get(ENV_SETTINGS_FD, "")
    if not number.isdigit():
        raise ConfigError(f"{ENV_SETTINGS_FD} is not set: this program is started by columba")
    fd = int(number)
    data = os.pread(fd, os.fstat(fd).st_size, 0)
    return thaw(cls, json.loads(data))


def thaw(cls: type[T], values: Mapping[str, object]) -> T:
    """Return the settings object of plain values; raises ConfigError."""
    try:
        return msgspec.convert(values, cls)
    except msgspec.ValidationError as error:
        raise ConfigError(f"Settings do not fit {cls.__name__}: {error}") from error
