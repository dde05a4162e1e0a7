"""Settings of the stats service; where it listens is an inet_listener of `service stats`.

Pure.
"""

from dataclasses import dataclass

from columba.common.config.general import General


@dataclass(frozen=True)
class Settings(General):
    """It has none of its own."""
