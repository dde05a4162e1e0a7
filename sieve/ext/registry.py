"""All extensions, in one table. What stands here is known to scripts; nothing registers itself.

Pure. To add an extension: write its module, import it here, add a line.
"""

from functools import lru_cache

from columba.sieve.core.language import CORE
from columba.sieve.ext.columba_lookup import LOOKUP
from columba.sieve.ext.columba_route import ROUTE
from columba.sieve.ext.columba_smtp import SMTP
from columba.sieve.ext.regex import REGEX
from columba.sieve.ext.rfc3894_copy import COPY
from columba.sieve.ext.rfc5173_body import BODY
from columba.sieve.ext.rfc5183_environment import ENVIRONMENT
from columba.sieve.ext.rfc5228_comparators import NUMERIC
from columba.sieve.ext.rfc5228_encoded_character import ENCODED_CHARACTER
from columba.sieve.ext.rfc5228_envelope import ENVELOPE_EXTENSION
from columba.sieve.ext.rfc5228_fileinto import FILEINTO
from columba.sieve.ext.rfc5229_variables import VARIABLES
from columba.sieve.ext.rfc5231_relational import RELATIONAL
from columba.sieve.ext.rfc5233_subaddress import SUBADDRESS
from columba.sieve.ext.rfc5260_date import DATE
from columba.sieve.ext.rfc5260_index import INDEX
from columba.sieve.ext.rfc5429_reject import EREJECT, REJECT
from columba.sieve.ext.rfc5463_ihave import IHAVE
from columba.sieve.ext.rfc7352_duplicate import DUPLICATE
from columba.sieve.lang.words import Language


@lru_cache(maxsize=1)
def language() -> Language:
    """Return the language with all extensions."""
    return Language(
        CORE,
        (
            BODY,
            COPY,
            DATE,
            DUPLICATE,
            ENCODED_CHARACTER,
            ENVELOPE_EXTENSION,
            ENVIRONMENT,
            EREJECT,
            FILEINTO,
            IHAVE,
            INDEX,
            LOOKUP,
            NUMERIC,
            REGEX,
            REJECT,
            RELATIONAL,
            ROUTE,
            SMTP,
            SUBADDRESS,
            VARIABLES,
        ),
    )
