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
    auth_penalty_max: float = setting(
        Kind.TIME,
        "15 secs",
        """Longest wait before the password of a client is looked at; each wrong one doubles the wait of its
        address, from 1 s on. 0: nobody waits.""",
    )
    auth_penalty_forget: float = setting(
        Kind.TIME, "10 mins", "How long after its last wrong password an address waits no more."
    )
