"""Name the destination of a recipient, so that one slot holds its connections and limits.

Pure.
"""

from columba.common.ipc import wire


def destination(route: wire.Route | None, address: bytes) -> str:
    """Return a stable name: "mx:example.net", "relay:[192.0.2.1]:25", "lmtp:/run/x", "maildir:", "discard:"."""
    if route is None:
        return "mx:" + domain(address)
    match route.kind:
        case "mx":
            return "mx:" + (route.host.lower() or domain(address))
        case "relay":
            return f"relay:{route.host.lower()}:{route.port or 25}"
        case "lmtp" if route.path:
            return "lmtp:" + route.path
        case "lmtp":
            return f"lmtp:{route.host.lower()}:{route.port or 24}"
        case "maildir" | "discard":
            return route.kind + ":"


def domain(address: bytes) -> str:
    """Return the domain of an address in lower case, "" when it has none."""
    _, at, name = address.rpartition(b"@")
    return name.decode("utf-8", "surrogateescape").lower().rstrip(".") if at else ""


def folder(route: wire.Route | None) -> str:
    """Return the folder of a Maildir that the route names, "" for the inbox and for other routes."""
    return route.folder if route is not None and route.kind == "maildir" else ""


def final(address: bytes, in_folder: str) -> bytes:
    """Return what the fence knows a copy by: the address, and the folder if it is filed in one."""
    return address + b"\0" + in_folder.encode() if in_folder else address


def is_local(route: wire.Route | None) -> bool:
    """Tell whether the route ends here, so that the mail is not signed."""
    return route is not None and route.kind in {"lmtp", "maildir", "discard"}
