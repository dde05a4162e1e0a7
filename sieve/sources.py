"""Open what scripts may ask, as the settings say: dicts, name servers, secrets.

Nothing connects before the first question.
"""

from collections.abc import Mapping

from columba.common.dict.base import Dict
from columba.common.dict.open import open_dicts
from columba.common.dns.client import Client, name_servers
from columba.common.errors import ConfigError
from columba.common.ipc.calls import Caller
from columba.common.log.event import Event
from columba.sieve.answers import Sources
from columba.sieve.callouts import HopCallouts
from columba.sieve.ext.columba_dnsbl import OPTION as DNSBL_UNANSWERED
from columba.sieve.ext.columba_parts import DEFAULT_DICT
from columba.sieve.ext.columba_srs import SECRETS
from columba.sieve.files import read_secrets
from columba.sieve.mailboxes import Mailboxes
from columba.sieve.run.effects import MARKS
from columba.sieve.settings import Settings


def make_sources(settings: Settings, event: Event, caller: Caller) -> Sources:
    """Return who is asked beside tables; raises ConfigError."""
    dicts: dict[str, Dict] = open_dicts(settings.dict)
    if settings.sieve_state_dict not in dicts:
        raise ConfigError(f"sieve_state_dict: there is no dict {settings.sieve_state_dict!r}")
    notes = settings.sieve_metadata_dict
    if notes and notes not in dicts:
        raise ConfigError(f"sieve_metadata_dict: there is no dict {notes!r}")
    dicts[MARKS] = dicts[settings.sieve_state_dict]
    return Sources(
        dicts=dicts,
        dict_timeout_s=settings.dict_timeout,
        resolver=Client(name_servers(settings.dns_servers)),
        dns_timeout_s=settings.dns_timeout,
        list_timeout_s=settings.dnsbl_timeout,
        mailauth_timeout_s=settings.mailauth_timeout,
        callouts=HopCallouts(
            caller,
            dicts[DEFAULT_DICT],
            settings.dict_timeout,
            settings.callout_positive_ttl,
            settings.callout_negative_ttl,
        ),
        callout_timeout_s=settings.callout_timeout,
        stores=Mailboxes(caller, dicts[notes] if notes else None),
        event=event,
    )


def make_options(settings: Settings) -> Mapping[str, str]:
    """Return the options of extensions, by name; raises ConfigError. Reads one small file."""
    return {
        DNSBL_UNANSWERED: settings.dnsbl_unanswered,
        SECRETS: "\n".join(read_secrets(settings.srs_secret_file)),
    }
