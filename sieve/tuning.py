"""Settings of Sieve extensions, under the names that Pigeonhole gives them.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from columba.common.config.schema import Kind, named, setting

_NOT_OPTIONS: Final = ("recipient_delimiter",)


@dataclass(frozen=True)
class ExternalList:
    """`sieve_list NAME { … }`: a list of addresses that scripts name (RFC 6134)."""

    name: str = setting(
        Kind.STR,
        "",
        "What scripts call the list, such as tag:example.org,2026:staff or :addrbook:x.",
    )
    file: str = setting(Kind.PATH, "", "File with an address or another value on each line.")


@dataclass(frozen=True)
class Lists:
    """External lists."""

    sieve_list: dict[str, ExternalList] = named(ExternalList, "Lists of values that scripts name.")


@dataclass(frozen=True)
class Tuning:
    """What a site says about extensions."""

    recipient_delimiter: str = setting(
        Kind.STR, "+", "What separates user and detail of an address; each character does."
    )
    sieve_vacation_min_period: float = setting(
        Kind.TIME, "1 days", "Least time between two replies to one sender; 0 allows every mail."
    )
    sieve_vacation_max_period: float = setting(
        Kind.TIME, "0 secs", "Most time between two replies to one sender; 0 is no limit."
    )
    sieve_vacation_check_recipient: bool = setting(
        Kind.BOOL, "yes", "Reply only to mail that names the user in To, Cc or Bcc."
    )
    sieve_vacation_use_original_recipient: bool = setting(
        Kind.BOOL, "no", "The address before aliases is one of the user's own, too."
    )
    sieve_vacation_send_from_recipient: bool = setting(
        Kind.BOOL, "no", "Reply with the user's address as envelope sender instead of none."
    )
    sieve_vacation_to_header_ignore_envelope: bool = setting(
        Kind.BOOL, "no", "Take the To field of a reply from the mail, whatever its envelope says."
    )
    sieve_vacation_default_subject: str = setting(
        Kind.STR, "", "Subject of a reply to mail that has none."
    )
    sieve_vacation_default_subject_template: str = setting(
        Kind.STR, "", "Subject of a reply; %%{subject} is that of the mail."
    )
    sieve_duplicate_default_period: float = setting(
        Kind.TIME, "12 hours", "How long duplicate remembers a mail if the script does not say."
    )
    sieve_duplicate_max_period: float = setting(
        Kind.TIME, "2 days", "How long duplicate remembers a mail at most."
    )
    sieve_notify_max_notifications: int = setting(
        Kind.UINT, "10", "Notifications that one script may send."
    )
    sieve_editheader_max_header_size: int = setting(
        Kind.UINT, "2048", "Octets of a field that addheader may add."
    )
    sieve_editheader_forbid_add: str = setting(
        Kind.STR, "", "Fields that addheader must not add, separated by blanks."
    )
    sieve_editheader_forbid_delete: str = setting(
        Kind.STR, "", "Fields that deleteheader must not delete, separated by blanks."
    )
    sieve_include_max_nesting_depth: int = setting(
        Kind.UINT, "10", "How deep included scripts may include others."
    )
    sieve_include_max_includes: int = setting(
        Kind.UINT, "255", "Scripts that one script may include in all."
    )
    sieve_spamtest_status_header: str = setting(
        Kind.STR, "", "Field with the result of a spam filter: NAME or NAME:REGEX."
    )
    sieve_spamtest_status_type: str = setting(
        Kind.STR, "", "How that result is written: score, strlen or text."
    )
    sieve_spamtest_max_header: str = setting(
        Kind.STR, "", "Field with the score that is surely spam: NAME or NAME:REGEX."
    )
    sieve_spamtest_max_value: str = setting(Kind.STR, "", "The score that is surely spam.")
    sieve_virustest_status_header: str = setting(
        Kind.STR, "", "Field with the result of a virus scanner: NAME or NAME:REGEX."
    )
    sieve_virustest_status_type: str = setting(
        Kind.STR, "", "How that result is written: score, strlen or text."
    )
    sieve_virustest_max_header: str = setting(
        Kind.STR, "", "Field with the score that is surely a virus: NAME or NAME:REGEX."
    )
    sieve_virustest_max_value: str = setting(Kind.STR, "", "The score that is surely a virus.")


def options(settings: Tuning) -> Mapping[str, str]:
    """Return the settings as the engine's options."""
    return {
        each.name: _text(getattr(settings, each.name))
        for each in fields(Tuning)
        if each.name not in _NOT_OPTIONS
    }


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(int(value)) if isinstance(value, float) else str(value)
