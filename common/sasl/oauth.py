"""OAUTHBEARER and XOAUTH2: a bearer token in place of a password.

Pure. Both are one message of the client, with \\x01 between fields; a refusal is a challenge with a JSON object, which
the client answers with \\x01 (or nothing) before the failure.
Sources: RFC 7628 §3.1 and §3.2.3; Google's description of XOAUTH2.

    OAUTHBEARER  gs2-header 0x01 "auth=Bearer " token 0x01 ["host=…" 0x01] ["port=…" 0x01] 0x01
    XOAUTH2      "user=" name 0x01 "auth=Bearer " token 0x01 0x01
"""

import json
from dataclasses import dataclass
from typing import Final

from columba.common.errors import RemoteProtocolError

MECHANISMS: Final = ("OAUTHBEARER", "XOAUTH2")
MESSAGE_MAX: Final = 8192


@dataclass(frozen=True, slots=True)
class BearerMessage:
    """Who the client says that it is, and its token."""

    user: str
    token: str


def parse_bearer(mechanism: str, message: bytes) -> BearerMessage:
    """Return user and token of either mechanism's message. Raises RemoteProtocolError."""
    if len(message) > MESSAGE_MAX:
        raise RemoteProtocolError("bearer message too long")
    try:
        head, *fields = message.decode().split("\x01")
    except UnicodeDecodeError as problem:
        raise RemoteProtocolError("bearer message is no UTF-8") from problem
    if len(fields) < 3 or fields[-2:] != ["", ""]:
        raise RemoteProtocolError("malformed bearer message")
    pairs = dict(field.partition("=")[::2] for field in fields[:-2])
    kind, _, token = pairs.get("auth", "").partition(" ")
    user = _user(mechanism, head)
    if kind.lower() != "bearer" or not token.strip() or not user:
        raise RemoteProtocolError("malformed bearer message")
    return BearerMessage(user, token.strip())


def refusal(mechanism: str) -> bytes:
    """Return the challenge that tells a client that its token is not good."""
    status = "401" if mechanism == "XOAUTH2" else "invalid_token"
    return json.dumps({"status": status, "schemes": "bearer"}).encode()


def _user(mechanism: str, head: str) -> str:
    if mechanism == "XOAUTH2":
        return head.removeprefix("user=") if head.startswith("user=") else ""
    parts = head.split(",")
    if len(parts) != 3 or parts[0] not in ("n", "y") or not parts[1].startswith("a=") or parts[2]:
        return ""
    return parts[1][2:].replace("=2C", ",").replace("=3D", "=")
