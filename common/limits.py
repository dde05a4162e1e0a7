"""The bounds of every input, in one place, each with its source.

Pure: numbers only. A setting may lower or raise some of them; a parser takes its bound as an argument.
"""

from typing import Final

COMMAND_LINE: Final = 4096  # RFC 5321 §4.5.3.1.4 asks for 512; ESMTP parameters and AUTH need more
AUTH_LINE: Final = 12288  # RFC 4954 §4.5
REPLY_LINE: Final = 4096  # RFC 5321 §4.5.3.1.5 says 512; real servers send more
REPLY_LINES: Final = 100
PATH: Final = 256  # RFC 5321 §4.5.3.1.3
LOCAL_PART: Final = 64  # RFC 5321 §4.5.3.1.1
DOMAIN: Final = 255  # RFC 5321 §4.5.3.1.2
RECIPIENTS: Final = 1000
HEADER_SIZE: Final = 256 * 1024
HEADER_FIELDS: Final = 1000
FIELD_LINE: Final = 998  # RFC 5322 §2.1.1, CRLF not counted
FOLD_COLUMN: Final = 78  # RFC 5322 §2.1.1
DKIM_SIGNATURE: Final = 8 * 1024  # octets of a DKIM-Signature field that is checked
ENCODED_WORD: Final = 75  # RFC 2047 §2
ADDRESS_FIELD: Final = 64 * 1024  # octets of one field that are read as addresses
ADDRESS_TOKENS: Final = 16_000  # words and marks of one field that are read as addresses
ADDRESSES: Final = 2000  # mailboxes read from one field
RECEIVED_FIELDS: Final = 100  # RFC 5321 §6.3: at least 100
MIME_DEPTH: Final = 32
MIME_PARTS: Final = 1000
HOP_TEXT: Final = 400  # octets of a next hop's words in our answers
FRAME: Final = 1 << 20  # one ZeroMQ message between services
HEADER_FRAME: Final = 256 * 1024  # its typed part
MX_HOSTS: Final = 10
MX_ADDRESSES: Final = 20
