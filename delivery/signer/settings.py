"""The settings of the dkim service.

Pure: declarations only.
"""

from dataclasses import dataclass

from columba.common.config.general import DkimKeys, General, Handing
from columba.common.config.schema import Kind, setting


@dataclass(frozen=True)
class Settings(Handing, DkimKeys, General):
    """What the dkim-signer knows."""

    dkim_key_dir: str = setting(
        Kind.PATH,
        "%{state_dir}/dkim",
        "Keys made by columbadm: every DOMAIN/SELECTOR.pem here signs, beside those of dkim { }.",
    )
    dkim_default: str = setting(
        Kind.STR,
        "",
        "Domain that signs forwarded and generated mail. Empty: the hostname, or the nearest "
        "domain above it that has a key.",
    )
    dkim_signature_lifetime: float = setting(
        Kind.TIME, "0", "How long a signature holds (x=). 0: without end."
    )
