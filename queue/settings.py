"""The settings of the queue service."""

from dataclasses import dataclass

from columba.common.config.general import FirstRetry, General, QueueStore, Scripts, Softness
from columba.common.config.schema import Kind, setting
from columba.queue.retry import RetryPolicy


@dataclass(frozen=True)
class Settings(General, QueueStore, FirstRetry, Softness, Scripts):
    """What `service queue` can be told."""

    queue_fresh_delay: float = setting(
        Kind.TIME,
        "5 secs",
        "Time from the intake of a message to its first try; until then it can be taken back.",
    )
    queue_retry_factor: int = setting(
        Kind.UINT, "2", "Each wait is so many times as long as the one before."
    )
    queue_retry_max: float = setting(Kind.TIME, "4 hours", "The longest wait between two tries.")
    queue_lifetime: float = setting(
        Kind.TIME, "5 days", "How long a message is tried before it goes back to its sender."
    )
    queue_delay_notice: float = setting(
        Kind.TIME,
        "4 hours",
        "When the sender of a mail that waits is told so, after its arrival; 0: never.",
    )
    dsn_template_dir: str = setting(
        Kind.PATH,
        "",
        "Translations of reports to senders, LANGUAGE.toml each; empty: those that come with Columba.",
    )
    queue_probe_first: float = setting(
        Kind.TIME,
        "30 secs",
        "A destination that can't be reached is tried again by one message after this time.",
    )
    queue_probe_max: float = setting(
        Kind.TIME,
        "10 mins",
        "The longest time between two such tries; each is twice as long as the one before.",
    )
    queue_in_doubt_time: float = setting(
        Kind.TIME,
        "10 mins",
        "How long a message rests when a hop may have taken it without our having seen its answer "
        "(RFC 5321 §4.5.3.2.6).",
    )
    queue_run_timeout: float = setting(
        Kind.TIME, "45 mins", "How long one try of a queued message may take."
    )
    queue_run_limit: int = setting(Kind.UINT, "100", "Most messages that are tried at a time.")
    queue_destination_limit: int = setting(
        Kind.UINT, "20", "Most messages for one destination that are tried at a time."
    )
    queue_lease_ttl: float = setting(
        Kind.TIME, "30 secs", "An owner that has not renewed its lease for so long is succeeded."
    )
    queue_lease_renewal: float = setting(
        Kind.TIME, "5 secs", "How often leases are renewed and those of others looked at."
    )
    queue_lease_margin: float = setting(
        Kind.TIME, "5 secs", "How long before the end of its lease an owner stops."
    )
    queue_relist_interval: float = setting(
        Kind.TIME, "10 mins", "How often the store is listed again for messages that were missed."
    )
    queue_look_interval: float = setting(
        Kind.TIME,
        "15 secs",
        "How often the store is asked for rules of administrators and fence records of other nodes.",
    )
    queue_tombstone_time: float = setting(
        Kind.TIME, "7 days", "How long the store remembers a message that is done."
    )
    queue_fence_time: float = setting(
        Kind.TIME,
        "5 days",
        "How long is remembered that a message was delivered although its client was not told.",
    )
    queue_settle_time: float = setting(
        Kind.TIME, "10 mins", "How long an outcome of an unknown message is kept for its intake."
    )
    queue_recent_size: int = setting(
        Kind.SIZE,
        "32 M",
        "Memory for queued mails that this process wrote last, so that it need not read them again.",
    )
    queue_store_threads: int = setting(
        Kind.UINT,
        "16",
        "Most calls of the queue's store at a time; of the small ones on S3, which need no thread, four times as many.",
    )
    queue_store_timeout: float = setting(
        Kind.TIME, "10 secs", "When a call of the queue's store counts as failed."
    )


def retry_policy(settings: Settings) -> RetryPolicy:
    """Return when messages are tried again, by these settings."""
    return RetryPolicy(
        first_s=settings.queue_retry_first,
        factor=float(settings.queue_retry_factor),
        most_s=settings.queue_retry_max,
        lifetime_s=settings.queue_lifetime,
        fresh_s=settings.queue_fresh_delay,
        in_doubt_s=settings.queue_in_doubt_time,
        notice_s=settings.queue_delay_notice,
    )
