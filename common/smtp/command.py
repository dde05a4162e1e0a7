"""Commands: from a line to a typed Command, and back.

Pure. One class per verb, so that server and client speak of the same things. What does not parse raises
SyntaxProblem with the reply that says so; whether a command is legal now is decided in state.py.
Sources: RFC 5321 §4.1.1, RFC 2033 (LHLO), RFC 3207 (STARTTLS), RFC 4954 (AUTH),
RFC 3030 (BDAT).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from columba.common.smtp import abnf, codes
from columba.common.smtp.params import (
    NO_MAIL_PARAMS,
    NO_RCPT_PARAMS,
    MailParams,
    RcptParams,
    decode_xtext,
    encode_xtext,
    format_mail_params,
    format_rcpt_params,
    parse_mail_params,
    parse_rcpt_params,
)
from columba.common.smtp.path import SyntaxProblem, needs_smtputf8, parse_recipient, parse_sender


class Verb(Enum):
    """The verbs that the table of states knows."""

    __hash__ = object.__hash__  # Enum's own is slow, and members are unique

    HELO = b"HELO"
    EHLO = b"EHLO"
    LHLO = b"LHLO"
    MAIL = b"MAIL"
    RCPT = b"RCPT"
    DATA = b"DATA"
    BDAT = b"BDAT"
    RSET = b"RSET"
    NOOP = b"NOOP"
    VRFY = b"VRFY"
    EXPN = b"EXPN"
    HELP = b"HELP"
    QUIT = b"QUIT"
    STARTTLS = b"STARTTLS"
    AUTH = b"AUTH"
    XCLIENT = b"XCLIENT"
    XFORWARD = b"XFORWARD"


@dataclass(frozen=True, slots=True)
class Hello:
    """HELO, EHLO or LHLO with the client's name."""

    verb: Verb
    name: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """MAIL FROM; sender is b"" for the null sender."""

    sender: bytes
    params: MailParams = NO_MAIL_PARAMS
    verb: Verb = Verb.MAIL


@dataclass(frozen=True, slots=True)
class Rcpt:
    """RCPT TO."""

    recipient: bytes
    params: RcptParams = NO_RCPT_PARAMS
    verb: Verb = Verb.RCPT


@dataclass(frozen=True, slots=True)
class Auth:
    """AUTH; initial is the decoded-later base64 text, None if absent, b"" for "=" (RFC 4954 §4)."""

    mechanism: str
    initial: bytes | None = None
    verb: Verb = Verb.AUTH


@dataclass(frozen=True, slots=True)
class Bdat:
    """BDAT: a chunk of so many octets follows the line (RFC 3030 §2)."""

    size: int
    is_last: bool = False
    verb: Verb = Verb.BDAT


@dataclass(frozen=True, slots=True)
class Claim:
    """XCLIENT or XFORWARD: what a proxy says of the client behind it; b"" = it does not know.

    Names in capitals; Postfix's XCLIENT_README and XFORWARD_README define both.
    """

    verb: Verb
    attributes: tuple[tuple[str, bytes], ...]

    def get(self, name: str) -> str | None:
        """Return an attribute, "" if the proxy does not know it, None if it says nothing about it."""
        found = dict(self.attributes).get(name)
        return None if found is None else found.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Simple:
    """A command of one word: DATA, RSET, NOOP, QUIT, STARTTLS; or VRFY, EXPN, HELP with a text."""

    verb: Verb
    text: bytes = b""


Command = Hello | Mail | Rcpt | Auth | Bdat | Claim | Simple
UNAVAILABLE: Final = (b"[UNAVAILABLE]", b"[TEMPUNAVAIL]")
CLAIMS: Final = {  # the attributes that we take, as EHLO lists them
    Verb.XCLIENT: ("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT"),
    Verb.XFORWARD: ("NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE"),
}
CONTROLS: Final = bytes(range(32)) + b"\x7f"
DATA: Final = Simple(Verb.DATA)
RSET: Final = Simple(Verb.RSET)
NOOP: Final = Simple(Verb.NOOP)
QUIT: Final = Simple(Verb.QUIT)
STARTTLS: Final = Simple(Verb.STARTTLS)


def verb_of(line: bytes) -> Verb:
    """Return the verb of a command line. Raises SyntaxProblem (500) for an unknown one."""
    word = line.split(b" ", 1)[0].upper()
    found = _VERBS.get(word)
    if found is None:
        raise SyntaxProblem(codes.UNKNOWN_COMMAND if line.strip() else codes.EMPTY_COMMAND)
    return found


def parse_command(line: bytes, offered: Collection[str]) -> Command:
    """Return the command of a line without its CRLF. Raises SyntaxProblem.

    offered are the EHLO keywords in capitals that this client was told; they decide which parameters are known.
    """
    verb = verb_of(line)
    argument = line[len(verb.value) :].strip(b" ")
    return _PARSERS[verb](verb, argument, offered)


def format_command(command: Command) -> bytes:
    """Return the line of a command, with CRLF."""
    match command:
        case Mail(sender, params):
            return b"MAIL FROM:<" + sender + b">" + format_mail_params(params) + b"\r\n"
        case Rcpt(recipient, rcpt_params):
            return b"RCPT TO:<" + recipient + b">" + format_rcpt_params(rcpt_params) + b"\r\n"
        case Auth(mechanism, initial):
            response = b"" if initial is None else b" " + (initial or b"=")
            return b"AUTH " + mechanism.encode() + response + b"\r\n"
        case Bdat(size, is_last):
            return b"BDAT %d LAST\r\n" % size if is_last else b"BDAT %d\r\n" % size
        case Claim(verb, attributes):
            words = (
                b"%s=%s" % (n.encode(), encode_xtext(v) or UNAVAILABLE[0]) for n, v in attributes
            )
            return b" ".join((verb.value, *words)) + b"\r\n"
        case Hello(verb, name):
            return verb.value + b" " + name + b"\r\n"
        case Simple(verb, text):
            return verb.value + (b" " + text if text else b"") + b"\r\n"


def _hello(verb: Verb, argument: bytes, _: Collection[str]) -> Command:
    if not abnf.HELO_NAME.fullmatch(argument) or len(argument) > 255:
        raise SyntaxProblem(codes.BAD_HELO)
    return Hello(verb, argument)


def _mail(_: Verb, argument: bytes, offered: Collection[str]) -> Command:
    text = _after(argument, b"FROM:", codes.BAD_PATH)
    sender, end = parse_sender(text)
    params = parse_mail_params(_tail(text, end, codes.BAD_PATH), offered)
    _check_utf8(line=argument, allowed=params.smtputf8)
    return Mail(sender, params)


def _rcpt(_: Verb, argument: bytes, offered: Collection[str]) -> Command:
    text = _after(argument, b"TO:", codes.BAD_RECIPIENT)
    recipient, end = parse_recipient(text)
    params = parse_rcpt_params(_tail(text, end, codes.BAD_RECIPIENT), offered)
    _check_utf8(line=argument, allowed="SMTPUTF8" in offered)
    return Rcpt(recipient, params)


def _check_utf8(line: bytes, allowed: bool) -> None:
    if not needs_smtputf8(line):
        return
    if not allowed:
        raise SyntaxProblem(codes.NEEDS_UTF8)
    try:
        line.decode()
    except UnicodeDecodeError as problem:
        raise SyntaxProblem(codes.NOT_UTF8) from problem


def _after(argument: bytes, word: bytes, bad: codes.Reply) -> bytes:
    if argument[: len(word)].upper() != word:
        raise SyntaxProblem(bad)
    # RFC 5321 §3.3 allows no blank before the path; many clients send one.
    return argument[len(word) :].lstrip(b" ")


def _tail(text: bytes, end: int, bad: codes.Reply) -> bytes:
    if end < len(text) and text[end] != 0x20:
        raise SyntaxProblem(bad)
    return text[end + 1 :]


def _auth(_: Verb, argument: bytes, offered: Collection[str]) -> Command:
    words = argument.split()
    if not 1 <= len(words) <= 2 or not abnf.MECHANISM.fullmatch(words[0]):
        raise SyntaxProblem(codes.BAD_AUTH)
    mechanism = words[0].decode().upper()
    if len(words) == 1:
        return Auth(mechanism)
    if words[1] != b"=" and not abnf.BASE64.fullmatch(words[1]):
        raise SyntaxProblem(codes.BAD_BASE64)
    return Auth(mechanism, b"" if words[1] == b"=" else words[1])


def _bdat(_: Verb, argument: bytes, __: Collection[str]) -> Command:
    found = abnf.CHUNK.fullmatch(argument)
    if found is None:
        raise SyntaxProblem(codes.BAD_CHUNK)
    return Bdat(int(found[1]), found[2] is not None)


def _claim(verb: Verb, argument: bytes, _: Collection[str]) -> Command:
    found: list[tuple[str, bytes]] = []
    for word in argument.split():
        name, equals, value = word.partition(b"=")
        key = name.decode("ascii", "replace").upper()
        if not equals or key not in CLAIMS[verb]:
            raise SyntaxProblem(codes.BAD_ATTRIBUTE)
        if value.upper() in UNAVAILABLE:
            value = b""
        try:
            found.append((key, decode_xtext(value)))
        except ValueError as error:
            raise SyntaxProblem(codes.BAD_PARAMETER) from error
    if not found or any(
        len(value) > 255 or value.translate(None, CONTROLS) != value for _, value in found
    ):
        raise SyntaxProblem(codes.BAD_PARAMETER)
    return Claim(verb, tuple(found))


def _bare(verb: Verb, argument: bytes, _: Collection[str]) -> Command:
    if argument:
        raise SyntaxProblem(codes.NO_ARGUMENT)
    return _BARE[verb]


def _worded(verb: Verb, argument: bytes, _: Collection[str]) -> Command:
    if verb in (Verb.VRFY, Verb.EXPN) and not argument:
        raise SyntaxProblem(codes.BAD_PARAMETER)
    return Simple(verb, argument)


_VERBS: Final[Mapping[bytes, Verb]] = {verb.value: verb for verb in Verb}
_BARE: Final[Mapping[Verb, Simple]] = {
    command.verb: command for command in (DATA, RSET, QUIT, STARTTLS)
}
_PARSERS: Final[Mapping[Verb, Callable[[Verb, bytes, Collection[str]], Command]]] = {
    Verb.HELO: _hello,
    Verb.EHLO: _hello,
    Verb.LHLO: _hello,
    Verb.MAIL: _mail,
    Verb.RCPT: _rcpt,
    Verb.AUTH: _auth,
    Verb.BDAT: _bdat,
    Verb.XCLIENT: _claim,
    Verb.XFORWARD: _claim,
    Verb.DATA: _bare,
    Verb.RSET: _bare,
    Verb.QUIT: _bare,
    Verb.STARTTLS: _bare,
    Verb.NOOP: _worded,  # RFC 5321 §4.1.1.9: a string may follow and is ignored
    Verb.HELP: _worded,
    Verb.VRFY: _worded,
    Verb.EXPN: _worded,
}
