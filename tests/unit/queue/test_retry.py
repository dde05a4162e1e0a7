"""When a message is tried again."""

import pytest

from columba.queue.retry import RetryPolicy, next_due_s

POLICY = RetryPolicy()
DAY_S = 86400.0


@pytest.mark.parametrize(
    ("attempts", "wait_s"), [(1, 60), (2, 120), (3, 240), (8, 7680), (9, 14400), (500, 14400)]
)
def test_waits_double_up_to_four_hours(attempts: int, wait_s: float) -> None:
    assert next_due_s(POLICY, attempts, 1000.0, 9 * DAY_S) == 1000.0 + wait_s


def test_no_try_is_planned_past_the_expiry() -> None:
    assert next_due_s(POLICY, 9, 1000.0, 1500.0) == 1500.0
    assert next_due_s(POLICY, 9, 1000.0, 900.0) == 1000.0


def test_five_days_are_enough() -> None:
    assert POLICY.expires_s(1000.0) == 1000.0 + 5 * DAY_S
