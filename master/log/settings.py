"""Settings of the log service.

Pure: declarations only.
"""

from dataclasses import dataclass

from columba.common.config.general import General
from columba.common.config.schema import Kind, setting


@dataclass(frozen=True)
class Settings(General):
    """Where the log goes."""

    log_path: str = setting(
        Kind.STR,
        "syslog",
        "File of the log; syslog, or /dev/stderr for containers and development.",
    )
    syslog_facility: str = setting(
        Kind.ENUM,
        "mail",
        "Facility of lines in syslog.",
        choices=("mail", "daemon", "local0", "local1", "local2", "local3", "local4", "local5"),
    )
