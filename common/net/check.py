"""What a client checks of a server's certificate.

Pure: names only; tls.py makes contexts of them.
"""

from enum import Enum


class Check(Enum):
    """What is checked of the other side's certificate."""

    NOTHING = "nothing"
    NAME = "name"  # chain to a trusted root, host name
