"""What sieve-filter asks delivery while a script runs: next hops and mailboxes. No mail is sent.

Pure. wire.py offers all of this under its own name.
"""

from columba.common.ipc.wire_mail import Frozen, Route


class CallOut(Frozen, frozen=True, tag="call_out", kw_only=True):
    """Asks the hop of a route whether it takes mail for a recipient; no mail is sent. holds: keep the connection."""

    route: Route
    sender: bytes
    recipient: bytes
    deadline_ns: int
    holds: bool = False


class CalledOut(Frozen, frozen=True, tag="called_out", kw_only=True):
    """What the hop said: 250, its refusal, or a 4xx if nothing is known. hop "" = none was reached."""

    code: int
    enhanced: str = ""
    text: str = ""
    hop: str = ""


class FolderAsk(Frozen, frozen=True, tag="folder_ask", kw_only=True):
    """Asks whether mail can be filed in a folder of a Maildir, and whether it has a special use (RFC 8579).

    path: of the mailbox below the mail root. folder "" = is there any folder of that use.
    """

    path: str
    deadline_ns: int
    folder: str = ""
    use: str = ""


class FolderTold(Frozen, frozen=True, tag="folder_told", kw_only=True):
    """The answer to FolderAsk. problem: why it is not known; "" = it is."""

    exists: bool = False
    problem: str = ""
