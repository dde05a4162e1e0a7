"""Settings of anvil.

Pure.
"""

from dataclasses import dataclass

from columba.common.config.general import General
from columba.common.config.schema import Kind, setting


@dataclass(frozen=True)
class Settings(General):
    """What anvil needs to know."""

    directory_interval: float = setting(
        Kind.TIME, "1 s", "How often the directory of workers is published when nothing changes."
    )
