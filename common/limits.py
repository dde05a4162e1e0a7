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
DOMAIN_LABEL: Final = 63  # RFC 1035 §2.3.4
RECIPIENTS: Final = 1000
HEADER_SIZE: Final = 256 * 1024
HEADER_FIELDS: Final = 1000
FIELD_LINE: Final = 998  # RFC 5322 §2.1.1, CRLF not counted
FOLD_COLUMN: Final = 78  # RFC 5322 §2.1.1
DKIM_SIGNATURE: Final = 8 * 1024  # octets of a DKIM-Signature field that is checked
DKIM_SIGNATURES: Final = 8  # of one mail that are checked; RFC 6376 §6.1 lets a verifier limit them
DKIM_KEY_BITS: Final = 8192  # of the longest RSA key that is used; RFC 8301 §3.2 asks for 4096
ARC_SETS: Final = 50  # RFC 8617 §4.2.1
DMARC_AUTHORS: Final = 4  # domains in From that are looked at
DMARC_RECORD: Final = 4096  # octets
DMARC_QUERIES: Final = 8  # RFC 9989 §4.10: of one walk
SPF_RECORD: Final = 4096  # octets; RFC 7208 §3.4 asks for 512
SPF_TERMS: Final = 10  # RFC 7208 §4.6.4: that ask the DNS
SPF_VOID: Final = 2  # RFC 7208 §4.6.4: questions that find nothing
SPF_NAMES: Final = 10  # RFC 7208 §4.6.4: hosts of one mx or ptr
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
