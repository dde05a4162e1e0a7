"""The grammar of SMTP as regular expressions, each beside the ABNF that it stands for.

Pure: patterns over bytes only. Octets above 127 are let through where RFC 6531 allows them; whether they
are UTF-8, and whether the transaction asked for SMTPUTF8, is decided in path.py and params.py.
"""

import re
from typing import Final

# RFC 5321 §4.1.2, RFC 5322 §3.2.3 (atext), extended by RFC 6531 §3.3 (UTF8-non-ascii).
_ATEXT: Final = rb"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\x80-\xff]"
_DOT_STRING: Final = _ATEXT + rb"+(?:\." + _ATEXT + rb"+)*"
# qtextSMTP = %d32-33 / %d35-91 / %d93-126; quoted-pairSMTP = %d92 %d32-126
_QUOTED_STRING: Final = rb'"(?:[ !#-\[\]-~\x80-\xff]|\\[ -~])*"'
# sub-domain = Let-dig [Ldh-str]. The underscore is in no RFC, but in names that receive mail.
_LABEL: Final = rb"[A-Za-z0-9_\x80-\xff](?:[A-Za-z0-9_\-\x80-\xff]*[A-Za-z0-9_\x80-\xff])?"
_DOMAIN: Final = _LABEL + rb"(?:\." + _LABEL + rb")*"
# address-literal = "[" ( IPv4 / "IPv6:" IPv6 / General ) "]"; dcontent = %d33-90 / %d94-126
_LITERAL: Final = rb"\[[!-Z^-~]+\]"

LOCAL_PART: Final = re.compile(_DOT_STRING + rb"|" + _QUOTED_STRING)
DOMAIN: Final = re.compile(_DOMAIN)
LITERAL: Final = re.compile(_LITERAL)

# Path = "<" [ A-d-l ":" ] Mailbox ">"; A-d-l (source route) is accepted and ignored: RFC 5321 §4.1.1.3,
# appendix C. Groups: local part, domain or literal.
PATH: Final = re.compile(
    rb"<(?:@" + _DOMAIN + rb"(?:,@" + _DOMAIN + rb")*:)?"
    rb"(" + _DOT_STRING + rb"|" + _QUOTED_STRING + rb")@(" + _DOMAIN + rb"|" + _LITERAL + rb")>"
)
NULL_PATH: Final = re.compile(rb"<>")
POSTMASTER: Final = re.compile(rb"<(postmaster)>", re.IGNORECASE)  # RFC 5321 §4.1.1.3
MAILBOX: Final = re.compile(
    rb"(" + _DOT_STRING + rb"|" + _QUOTED_STRING + rb")@(" + _DOMAIN + rb"|" + _LITERAL + rb")"
)

# RFC 5321 §4.1.1.1: the client's name. Real clients send names that are no domains: what a token may
# hold is taken, policy decides later.
HELO_NAME: Final = re.compile(rb"[!-~\x80-\xff]+")

# esmtp-param = esmtp-keyword ["=" esmtp-value]; value = 1*(%d33-60 / %d62-126 / UTF8-non-ascii)
PARAMETER: Final = re.compile(rb"([A-Za-z0-9][A-Za-z0-9\-]*)(?:=([!-<>-~\x80-\xff]+))?")
EHLO_KEYWORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-]*")

# RFC 3461 §4: xtext = *( xchar / hexchar ); xchar = %d33-42 / %d44-60 / %d62-126; hexchar = "+" 2HEXDIG
XTEXT: Final = re.compile(rb"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
HEXCHAR: Final = re.compile(rb"\+([0-9A-F]{2})")
NOT_XCHAR: Final = re.compile(rb"[^!-*,-<>-~]")

# RFC 4422 §3.1: mechanism names; RFC 4954 §4: initial response is base64 or "=".
MECHANISM: Final = re.compile(rb"[A-Za-z0-9\-_]{1,20}")
BASE64: Final = re.compile(rb"[A-Za-z0-9+/]*={0,2}")

# RFC 3030 §2: bdat-cmd = "BDAT" SP chunk-size [ SP end-marker ]; chunk-size = 1*DIGIT; end-marker = "LAST"
CHUNK: Final = re.compile(rb"([0-9]{1,18})(?: +(LAST))?", re.IGNORECASE)

# RFC 3339 §5.6: date-time, as RFC 4865 §4 wants it (no fraction of a second)
INSTANT: Final = re.compile(
    rb"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)

# RFC 3463 §2: class "." subject "." detail
ENHANCED: Final = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?= |$)")
# RFC 5321 §4.2: Reply-line; a code alone, and the tab that some servers send, are accepted.
REPLY_LINE: Final = re.compile(rb"([2-5][0-9]{2})(?:([ \t-])(.*))?", re.DOTALL)
