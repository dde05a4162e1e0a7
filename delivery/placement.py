"""Where a mail goes below the mail root, and under which names.

Pure: names go in, relative paths come out. No name that a sender or a script can choose leaves the mail
root or enters another mailbox. Nothing is decided here about quotas, nor about which mailbox a user has.
Sources: Maildir (cr.yp.to/proto/maildir.html), Maildir++ (folders are ".A.B" beside cur, new, tmp), RFC 3501
§5.1.3 (modified UTF-7, in which mail servers keep folder names on disk), RFC 5232 (flags).
"""

import base64
import re
from collections.abc import Sequence
from typing import Final

from columba.common.errors import RefusedError

NAME_MAX: Final = 200  # octets of one path component; the file system's 255 less what is added
PATH_MAX: Final = 800
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SEPARATORS: Final = re.compile(r"[./]")
_FLAGS: Final = {
    "\\draft": "D",
    "\\flagged": "F",
    "\\answered": "R",
    "\\seen": "S",
    "\\deleted": "T",
}


class BadMailboxError(RefusedError):
    """A path or a folder name can't be mapped to a safe place."""


def mailbox_parts(path: str) -> tuple[str, ...]:
    """Return the components of a mailbox's path below the mail root. Raises BadMailboxError.

    Refused: an absolute path, an empty one, components that begin with a dot (with it ".." and folders of
    a mailbox above), control characters, what is too long.
    """
    parts = tuple(path.split("/"))
    if len(path.encode(errors="surrogatepass")) > PATH_MAX:
        raise BadMailboxError("mailbox path too long")
    for part in parts:
        if not part or part.startswith(".") or not _is_plain(part):
            raise BadMailboxError(f"mailbox path {path!r} is not allowed")
    return parts


def folder_name(folder: str) -> str:
    """Return the directory of a folder below its mailbox, "" for INBOX. Raises BadMailboxError.

    "Work/Letters" and "Work.Letters" both are ".Work.Letters": Maildir++ knows one separator.
    """
    if folder in ("", "INBOX") or folder.upper() == "INBOX":
        return ""
    parts = _SEPARATORS.split(folder)
    if not all(part and _is_plain(part) for part in parts):
        raise BadMailboxError(f"folder name {folder!r} is not allowed")
    name = "".join(f".{_modified_utf7(part)}" for part in parts)
    if len(name) > NAME_MAX:
        raise BadMailboxError("folder name too long")
    return name


def base_name(arrived_s: float, message_id: str, number: str, hostname: str) -> str:
    """Return the unique part of a file name: the same for each try of one (message id, recipient).

    So a try that is repeated after a crash replaces the file of the first try and makes no second copy, as
    long as no reader has moved it.
    """
    host = hostname.replace("/", "\\057").replace(":", "\\072").replace(",", "\\054")
    return f"{int(arrived_s)}.{message_id}N{number.replace('.', '_')}.{host}"


def file_name(base: str, size: int, virtual_size: int, flags: Sequence[str]) -> tuple[str, str]:
    """Return the subdirectory (new or cur) and the name of a file.

    S= is the size on disk, W= the size with CRLF (Maildir++). Only files in cur carry flags.
    """
    letters = "".join(sorted({_FLAGS[f.lower()] for f in flags if f.lower() in _FLAGS}))
    name = f"{base},S={size},W={virtual_size}"
    return ("cur", f"{name}:2,{letters}") if letters else ("new", name)


def _is_plain(part: str) -> bool:
    try:
        size = len(part.encode())
    except UnicodeEncodeError:
        return False
    return size <= NAME_MAX and not _CONTROL.search(part)


def _modified_utf7(text: str) -> str:
    """RFC 3501 §5.1.3: printable ASCII is itself, "&" is "&-", the rest is base64 of UTF-16BE."""
    out: list[str] = []
    for run in re.findall(r"[ -%'-~]+|&|[^ -~]+", text):
        if run == "&":
            out.append("&-")
        elif " " <= run[0] <= "~":
            out.append(run)
        else:
            encoded = base64.b64encode(run.encode("utf-16-be")).decode().rstrip("=")
            out.append(f"&{encoded.replace('/', ',')}-")
    return "".join(out)
