"""All extensions, in one table. What stands here is known to scripts; nothing registers itself.

Pure. To add an extension: write its module, import it here, add a line.
"""

from functools import lru_cache
from typing import Final

from columba.sieve.core.language import CORE
from columba.sieve.ext.columba_callout import CALLOUT
from columba.sieve.ext.columba_dict import DICT
from columba.sieve.ext.columba_dns import DNS
from columba.sieve.ext.columba_dnsbl import DNSBL
from columba.sieve.ext.columba_envelope import ENVELOPE_CHANGES
from columba.sieve.ext.columba_greylist import GREYLIST
from columba.sieve.ext.columba_header import HEADER
from columba.sieve.ext.columba_log import LOG
from columba.sieve.ext.columba_lookup import LOOKUP
from columba.sieve.ext.columba_mailauth import MAILAUTH
from columba.sieve.ext.columba_queue import QUEUE
from columba.sieve.ext.columba_ratelimit import RATELIMIT
from columba.sieve.ext.columba_reserved import MILTER, POLICY
from columba.sieve.ext.columba_route import ROUTE
from columba.sieve.ext.columba_sign import SIGN
from columba.sieve.ext.columba_smtp import SMTP
from columba.sieve.ext.columba_srs import SRS
from columba.sieve.ext.dovecot_debug import DEBUG
from columba.sieve.ext.dovecot_environment import DOVECOT_ENVIRONMENT
from columba.sieve.ext.dovecot_report import REPORT
from columba.sieve.ext.regex import REGEX
from columba.sieve.ext.rfc3894_copy import COPY
from columba.sieve.ext.rfc5173_body import BODY
from columba.sieve.ext.rfc5183_environment import ENVIRONMENT
from columba.sieve.ext.rfc5228_comparators import NUMERIC
from columba.sieve.ext.rfc5228_encoded_character import ENCODED_CHARACTER
from columba.sieve.ext.rfc5228_envelope import ENVELOPE_AUTH, ENVELOPE_EXTENSION
from columba.sieve.ext.rfc5228_fileinto import FILEINTO
from columba.sieve.ext.rfc5229_variables import VARIABLES
from columba.sieve.ext.rfc5230_vacation import VACATION, VACATION_SECONDS
from columba.sieve.ext.rfc5231_relational import RELATIONAL
from columba.sieve.ext.rfc5232_imap4flags import IMAP4FLAGS
from columba.sieve.ext.rfc5233_subaddress import SUBADDRESS
from columba.sieve.ext.rfc5235_spamtest import SPAMTEST, SPAMTESTPLUS, VIRUSTEST
from columba.sieve.ext.rfc5260_date import DATE
from columba.sieve.ext.rfc5260_index import INDEX
from columba.sieve.ext.rfc5293_editheader import EDITHEADER
from columba.sieve.ext.rfc5429_reject import EREJECT, REJECT
from columba.sieve.ext.rfc5435_enotify import ENOTIFY
from columba.sieve.ext.rfc5463_ihave import IHAVE
from columba.sieve.ext.rfc5490_mailbox import MAILBOX
from columba.sieve.ext.rfc5490_metadata import MBOXMETADATA, SERVERMETADATA
from columba.sieve.ext.rfc5703_edit import ENCLOSE, REPLACE
from columba.sieve.ext.rfc5703_mime import EXTRACTTEXT, FOREVERYPART, MIME
from columba.sieve.ext.rfc6009_delivery import (
    ENVELOPE_DELIVERBY,
    ENVELOPE_DSN,
    REDIRECT_DELIVERBY,
    REDIRECT_DSN,
)
from columba.sieve.ext.rfc6134_extlists import EXTLISTS
from columba.sieve.ext.rfc6609_include import INCLUDE
from columba.sieve.ext.rfc7352_duplicate import DUPLICATE
from columba.sieve.ext.rfc8579_special_use import SPECIAL_USE
from columba.sieve.ext.rfc8580_fcc import FCC
from columba.sieve.lang.words import Language

_ALL: Final = (
    CALLOUT,
    DICT,
    DNS,
    DNSBL,
    GREYLIST,
    RATELIMIT,
    SRS,
    BODY,
    COPY,
    DATE,
    DEBUG,
    DOVECOT_ENVIRONMENT,
    DUPLICATE,
    EDITHEADER,
    ENCLOSE,
    ENCODED_CHARACTER,
    ENOTIFY,
    ENVELOPE_CHANGES,
    ENVELOPE_DELIVERBY,
    ENVELOPE_DSN,
    ENVELOPE_AUTH,
    ENVELOPE_EXTENSION,
    ENVIRONMENT,
    EREJECT,
    EXTLISTS,
    EXTRACTTEXT,
    FCC,
    FILEINTO,
    FOREVERYPART,
    HEADER,
    IHAVE,
    IMAP4FLAGS,
    INCLUDE,
    INDEX,
    LOG,
    LOOKUP,
    MAILAUTH,
    MAILBOX,
    MBOXMETADATA,
    MILTER,
    MIME,
    NUMERIC,
    POLICY,
    QUEUE,
    REDIRECT_DELIVERBY,
    REDIRECT_DSN,
    REGEX,
    REJECT,
    RELATIONAL,
    REPLACE,
    REPORT,
    ROUTE,
    SERVERMETADATA,
    SIGN,
    SMTP,
    SPAMTEST,
    SPAMTESTPLUS,
    SPECIAL_USE,
    SUBADDRESS,
    VACATION,
    VACATION_SECONDS,
    VARIABLES,
    VIRUSTEST,
)


@lru_cache(maxsize=1)
def language() -> Language:
    """Return the language with all extensions."""
    return Language(
        CORE,
        _ALL,
    )
