"""Find out as whom each service runs.

As root with users configured, each service has its own; otherwise all run as the user who started columba.
"""

import grp
import os
import pwd
from dataclasses import dataclass

from columba.common.errors import EX_NOUSER
from columba.master.errors import StartError


@dataclass(frozen=True, slots=True)
class Identity:
    """Numbers of a user and a group; `switch` tells whether a process must change to them."""

    uid: int
    gid: int
    switch: bool


def is_single_user(internal_user: str) -> bool:
    """Tell whether all services run as the invoking user."""
    return os.geteuid() != 0 or not internal_user


def own_identity() -> Identity:
    """Return the invoking user's numbers."""
    return Identity(os.geteuid(), os.getegid(), False)


def identity(service: str, user: str, group: str, internal_user: str) -> Identity:
    """Return as whom a service runs; raises StartError for a user or group that does not exist."""
    if is_single_user(internal_user):
        return own_identity()
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        words = f"service({service}) User doesn't exist: {user} (See service {service} {{ user }} setting)"
        raise StartError(words, EX_NOUSER) from None
    if not group:
        return Identity(entry.pw_uid, entry.pw_gid, True)
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        words = f"service({service}) Group doesn't exist: {group} (See service {service} {{ group }} setting)"
        raise StartError(words, EX_NOUSER) from None
    return Identity(entry.pw_uid, gid, True)
