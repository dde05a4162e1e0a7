"""What is remembered, for how long and how much."""

from columba.common.dns.cache import FAILURE_S, Cache
from columba.common.dns.resolver import Answer, RecordType, Status

A = RecordType.A
SECOND = 1_000_000_000


def test_an_answer_lives_for_its_ttl() -> None:
    cache = Cache(4)
    answer = Answer(Status.FOUND, ("192.0.2.1",), ttl_s=10)
    cache.put(("x", A), answer, 0)
    assert cache.get(("x", A), 10 * SECOND - 1) is answer
    assert cache.get(("x", A), 10 * SECOND) is None
    assert len(cache) == 0


def test_types_are_apart() -> None:
    cache = Cache(4)
    cache.put(("x", A), Answer(Status.NO_DATA, ttl_s=10), 0)
    assert cache.get(("x", RecordType.MX), 1) is None


def test_a_failure_is_kept_shortly_and_a_timeout_not_at_all() -> None:
    cache = Cache(4)
    cache.put(("x", A), Answer(Status.FAILED, ttl_s=3600), 0)
    assert cache.get(("x", A), FAILURE_S * SECOND - 1) is not None
    assert cache.get(("x", A), FAILURE_S * SECOND) is None
    cache.put(("y", A), Answer(Status.TIMEOUT, ttl_s=3600), 0)
    assert cache.get(("y", A), 1) is None


def test_the_least_used_leaves_first() -> None:
    cache = Cache(2)
    for name in ("a", "b"):
        cache.put((name, A), Answer(Status.FOUND, ("192.0.2.1",), ttl_s=10), 0)
    cache.get(("a", A), 1)
    cache.put(("c", A), Answer(Status.FOUND, ("192.0.2.1",), ttl_s=10), 1)
    assert cache.get(("b", A), 2) is None
    assert cache.get(("a", A), 2) is not None
    assert len(cache) == 2
