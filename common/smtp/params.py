"""Parameters of MAIL and RCPT: which there are, to which extension each belongs, how its value is read.

Pure. A parameter is taken only if its extension was offered to the client; everything else is 555
(RFC 5321 §4.1.1.11). A new extension adds one row to MAIL_PARAMETERS or RCPT_PARAMETERS and one field.
Sources: RFC 1870 (SIZE), 6152 (BODY), 6531 (SMTPUTF8), 3461 (RET, ENVID, NOTIFY, ORCPT), 4954 (AUTH),
8689 (REQUIRETLS), 4865 (HOLDFOR, HOLDUNTIL), draft-hall-prdr (PRDR).
"""

import datetime
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from columba.common import limits
from columba.common.smtp import abnf, codes
from columba.common.smtp.path import SyntaxProblem, is_mailbox

NOTIFY_VALUES: Final = ("NEVER", "SUCCESS", "FAILURE", "DELAY")
Values = dict[str, bytes | None]  # keyword in capitals → value as sent, None without "="


@dataclass(frozen=True, slots=True)
class MailParams:
    """What came with MAIL.

    size is in octets as declared by the client; body is "7BIT", "8BITMIME" or "" (not said); ret is
    "FULL", "HDRS" or ""; envid is decoded from xtext, b"" if absent; auth is the decoded mailbox, b"<>"
    for unknown, b"" if absent. hold_for_s is in seconds, hold_until_s seconds since 1970 (RFC 4865 §5).
    """

    size: int | None = None
    body: str = ""
    smtputf8: bool = False
    ret: str = ""
    envid: bytes = b""
    auth: bytes = b""
    requiretls: bool = False
    prdr: bool = False
    hold_for_s: int | None = None
    hold_until_s: float | None = None


@dataclass(frozen=True, slots=True)
class RcptParams:
    """What came with RCPT: notify in capitals; orcpt as (type, decoded address), empty if absent."""

    notify: tuple[str, ...] = ()
    orcpt_type: str = ""
    orcpt: bytes = b""


_CONTROLS: Final = re.compile(rb"[\x00-\x1f\x7f]")
_EMBEDDED: Final = re.compile(r"\\x\{([0-9A-F]{2,6})\}")
NO_MAIL_PARAMS: Final = MailParams()
NO_RCPT_PARAMS: Final = RcptParams()


def parse_mail_params(text: bytes, offered: Collection[str]) -> MailParams:
    """Return the parameters of a MAIL command. Raises SyntaxProblem.

    text is what follows the path; offered are the EHLO keywords in capitals.
    """
    if not text:
        return NO_MAIL_PARAMS
    values = _read(text, MAIL_PARAMETERS, offered)
    if "HOLDFOR" in values and "HOLDUNTIL" in values:
        raise SyntaxProblem(codes.BAD_PARAMETER)  # RFC 4865 §4: one of them
    return MailParams(
        size=_size(values["SIZE"]) if "SIZE" in values else None,
        body=_choice(values["BODY"], ("7BIT", "8BITMIME")) if "BODY" in values else "",
        smtputf8="SMTPUTF8" in values and _flag(values["SMTPUTF8"]),
        ret=_choice(values["RET"], ("FULL", "HDRS")) if "RET" in values else "",
        envid=_envid(values["ENVID"]) if "ENVID" in values else b"",
        auth=_auth(values["AUTH"]) if "AUTH" in values else b"",
        requiretls="REQUIRETLS" in values and _flag(values["REQUIRETLS"]),
        prdr="PRDR" in values and _flag(values["PRDR"]),
        hold_for_s=_hold_for(values["HOLDFOR"]) if "HOLDFOR" in values else None,
        hold_until_s=_hold_until(values["HOLDUNTIL"]) if "HOLDUNTIL" in values else None,
    )


def parse_rcpt_params(text: bytes, offered: Collection[str]) -> RcptParams:
    """Return the parameters of a RCPT command. Raises SyntaxProblem."""
    if not text:
        return NO_RCPT_PARAMS
    values = _read(text, RCPT_PARAMETERS, offered)
    kind, original = _orcpt(values["ORCPT"]) if "ORCPT" in values else ("", b"")
    notify = _notify(values["NOTIFY"]) if "NOTIFY" in values else ()
    return RcptParams(notify, kind, original)


def format_mail_params(params: MailParams) -> bytes:
    """Return the parameters as they follow the path, each with a leading blank."""
    if params == NO_MAIL_PARAMS:
        return b""
    out = b"" if params.size is None else b" SIZE=%d" % params.size
    out += b" BODY=" + params.body.encode() if params.body else b""
    out += b" SMTPUTF8" if params.smtputf8 else b""
    out += b" RET=" + params.ret.encode() if params.ret else b""
    out += b" ENVID=" + encode_xtext(params.envid) if params.envid else b""
    if params.auth:
        out += b" AUTH=" + (b"<>" if params.auth == b"<>" else encode_xtext(params.auth))
    out += b" REQUIRETLS" if params.requiretls else b""
    out += b" PRDR" if params.prdr else b""
    out += b"" if params.hold_for_s is None else b" HOLDFOR=%d" % params.hold_for_s
    if params.hold_until_s is not None:
        out += b" HOLDUNTIL=" + format_instant(params.hold_until_s).encode()
    return out


def format_rcpt_params(params: RcptParams) -> bytes:
    """Return the parameters as they follow the path, each with a leading blank."""
    out = b" NOTIFY=" + ",".join(params.notify).encode() if params.notify else b""
    if params.orcpt:
        out += (
            b" ORCPT="
            + params.orcpt_type.encode()
            + b";"
            + _orcpt_text(params.orcpt_type, params.orcpt)
        )
    return out


def format_instant(wall_s: float) -> str:
    """Return seconds since 1970 as RFC 3339 has it, in UTC."""
    moment = datetime.datetime.fromtimestamp(int(wall_s), datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def encode_xtext(text: bytes) -> bytes:
    """Return text as xtext (RFC 3461 §4)."""
    return abnf.NOT_XCHAR.sub(lambda found: b"+%02X" % found[0][0], text)


def decode_xtext(text: bytes) -> bytes:
    """Return what xtext stands for. Raises ValueError."""
    if not abnf.XTEXT.fullmatch(text):
        raise ValueError("not xtext")
    return abnf.HEXCHAR.sub(lambda found: bytes([int(found[1], 16)]), text)


# keyword → the EHLO keyword that offers it
MAIL_PARAMETERS: Final[Mapping[str, str]] = {
    "SIZE": "SIZE",
    "BODY": "8BITMIME",
    "SMTPUTF8": "SMTPUTF8",
    "RET": "DSN",
    "ENVID": "DSN",
    "AUTH": "AUTH",
    "REQUIRETLS": "REQUIRETLS",
    "PRDR": "PRDR",
    "HOLDFOR": "FUTURERELEASE",
    "HOLDUNTIL": "FUTURERELEASE",
}
RCPT_PARAMETERS: Final[Mapping[str, str]] = {"NOTIFY": "DSN", "ORCPT": "DSN"}


def _read(text: bytes, known: Mapping[str, str], offered: Collection[str]) -> Values:
    values: Values = {}
    for word in text.split():
        found = abnf.PARAMETER.fullmatch(word)
        if found is None:
            raise SyntaxProblem(codes.BAD_PARAMETER)
        keyword = found[1].decode().upper()
        if known.get(keyword) not in offered:
            raise SyntaxProblem(codes.UNKNOWN_PARAMETER)
        if keyword in values:
            raise SyntaxProblem(codes.DOUBLE_PARAMETER)
        values[keyword] = found[2]
    return values


def _checked(convert: Callable[[], bytes]) -> bytes:
    try:
        return convert()
    except ValueError as problem:
        raise SyntaxProblem(codes.BAD_PARAMETER) from problem


def _flag(value: bytes | None) -> bool:
    if value is not None:
        raise SyntaxProblem(codes.BAD_PARAMETER)
    return True


def _size(value: bytes | None) -> int:
    # RFC 1870 §3: 1*20DIGIT
    if value is None or not value.isdigit() or len(value) > 20:
        raise SyntaxProblem(codes.BAD_PARAMETER)
    return int(value)


def _hold_for(value: bytes | None) -> int:
    # RFC 4865 §4: future-release-integer = %x31-39 *8DIGIT; 0 is taken too
    if value is None or not value.isdigit() or len(value) > 9:
        raise SyntaxProblem(codes.BAD_PARAMETER)
    return int(value)


def _hold_until(value: bytes | None) -> float:
    """RFC 4865 §4: a date-time of RFC 3339 §5.6, with its zone."""
    found = abnf.INSTANT.fullmatch(value or b"")
    if found is None:
        raise SyntaxProblem(codes.BAD_PARAMETER)
    try:
        return datetime.datetime.fromisoformat(found[0].decode().upper()).timestamp()
    except (ValueError, OverflowError) as problem:
        raise SyntaxProblem(codes.BAD_PARAMETER) from problem


def _choice(value: bytes | None, choices: tuple[str, ...]) -> str:
    word = (value or b"").upper()
    for choice in choices:
        if word == choice.encode():
            return choice
    raise SyntaxProblem(codes.BAD_PARAMETER)


def _xtext(value: bytes | None, limit: int) -> bytes:
    if not value or len(value) > limit:
        raise SyntaxProblem(codes.BAD_PARAMETER)
    return _checked(lambda: decode_xtext(value))


def _envid(value: bytes | None) -> bytes:
    # RFC 3461 §4.4: at most 100 characters, and decoded it is printable US-ASCII.
    return _printable(_xtext(value, 100))


def _printable(text: bytes, *, ascii_only: bool = True) -> bytes:
    """Return a decoded text that stands in a report some day: no control may end its line there."""
    if _CONTROLS.search(text) or (ascii_only and not text.isascii()):
        raise SyntaxProblem(codes.BAD_PARAMETER)
    return text


def _auth(value: bytes | None) -> bytes:
    # RFC 4954 §5: AUTH=<> or a mailbox in xtext; what does not parse is treated as unknown.
    if value == b"<>":
        return b"<>"
    address = _xtext(value, 3 * limits.PATH)
    return address if is_mailbox(address) else b"<>"


def _notify(value: bytes | None) -> tuple[str, ...]:
    words = tuple(_choice(word, NOTIFY_VALUES) for word in (value or b"").split(b","))
    # RFC 3461 §4.1: NEVER stands alone.
    if len(set(words)) != len(words) or ("NEVER" in words and len(words) > 1):
        raise SyntaxProblem(codes.BAD_PARAMETER)
    return words


def _orcpt(value: bytes | None) -> tuple[str, bytes]:
    kind, semicolon, address = (value or b"").partition(b";")
    # RFC 3461 §4.2: at most 500 octets; addr-type is an atom.
    if not semicolon or not abnf.PARAMETER.fullmatch(kind) or len(value or b"") > 500:
        raise SyntaxProblem(codes.BAD_PARAMETER)
    if kind.lower() != b"utf-8":
        return kind.decode(), _printable(_xtext(address, 500), ascii_only=False)
    return kind.decode(), _printable(_utf8_address(address), ascii_only=False)


def _utf8_address(address: bytes) -> bytes:
    r"""RFC 6533 §3: UTF-8 as it is, or with \x{…} for what is not printable ASCII, "+", "=" and "\"; no xtext."""
    try:
        text = address.decode()
        found = _EMBEDDED.sub(lambda hit: chr(int(hit[1], 16)), text)
        rest = _EMBEDDED.sub("", text)
        if not found or "\\" in rest or "+" in rest or "=" in rest:
            raise ValueError("not as RFC 6533 has it")
        return found.encode()
    except (ValueError, OverflowError) as problem:
        raise SyntaxProblem(codes.BAD_PARAMETER) from problem


def _orcpt_text(kind: str, address: bytes) -> bytes:
    if kind.lower() != "utf-8":
        return encode_xtext(address)
    text = address.decode("utf-8", "replace")
    return "".join(
        c if "!" <= c <= "~" and c not in "+=\\" else f"\\x{{{ord(c):02X}}}" for c in text
    ).encode()
