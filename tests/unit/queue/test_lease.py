"""Leases: what a holder may believe and when another may take over."""

from columba.queue.lease import (
    Lease,
    Terms,
    decode,
    encode,
    freed,
    may_adopt,
    renewed,
    seen,
    taken,
)

S = 1_000_000_000
TERMS = Terms(ttl_ns=30 * S, margin_ns=5 * S)
LEASE = Lease(owner="node-0", epoch=3, holder="node", life="l1", count=7)


def test_a_lease_is_read_as_written_with_what_is_unknown() -> None:
    lease = Lease(owner="o", holder="n", extra={"zone": "b"})
    assert decode(encode(lease)) == lease


def test_every_write_has_another_nonce() -> None:
    writes = [LEASE, renewed(LEASE), taken(LEASE, "other", "l2"), freed(renewed(LEASE), True)]
    assert len({lease.nonce for lease in writes}) == len(writes)


def test_taking_raises_the_epoch_and_renewing_does_not() -> None:
    assert taken(LEASE, "other", "l2").epoch == LEASE.epoch + 1
    assert renewed(LEASE).epoch == LEASE.epoch


def test_a_holder_stops_a_margin_before_the_others_may_begin() -> None:
    assert TERMS.is_held(100 * S, 124 * S)
    assert not TERMS.is_held(100 * S, 125 * S)


def test_a_changing_lease_is_never_adopted() -> None:
    sighting, lease = None, LEASE
    for second in range(0, 300, 5):
        lease = renewed(lease)
        sighting = seen(sighting, lease, lease.nonce, second * S)
        assert not may_adopt(sighting, TERMS, second * S)


def test_an_unchanged_lease_is_adopted_after_ttl_by_our_own_clock() -> None:
    sighting = seen(None, LEASE, "e", 1000 * S)
    sighting = seen(sighting, LEASE, "e", 1029 * S)
    assert not may_adopt(sighting, TERMS, 1029 * S)
    assert may_adopt(sighting, TERMS, 1030 * S)


def test_a_free_and_empty_lease_is_left_alone() -> None:
    assert not may_adopt(seen(None, freed(LEASE, True), "e", 0), TERMS, 99 * S)
    assert may_adopt(seen(None, freed(LEASE, False), "e", 0), TERMS, 99 * S)
