"""The load switch: when it cuts, how it grows, what queue runs get."""

from columba.common.hop.admission import WINDOW_NS, Admission


def test_admission_cuts_and_grows() -> None:
    limit = Admission(100, 500, 0)
    for _ in range(20):
        assert limit.enter(0, False)
        limit.leave(0, False, 900)
    limit.leave(WINDOW_NS, False, 0) if limit.enter(WINDOW_NS, False) else None
    assert limit.limit == 70
    assert limit.changes == 1
    now = WINDOW_NS
    for _ in range(6):
        now += WINDOW_NS
        assert limit.enter(now, False)
        limit.leave(now, False, 1)
    assert limit.limit == 100
    assert limit.changes == 2


def test_admission_never_falls_under_a_tenth_and_bounds_queue_runs() -> None:
    limit = Admission(40, 500, 0)
    now = 0
    for _ in range(20):
        assert limit.enter(now, False)
        limit.leave(now, False, 9000)
        now += WINDOW_NS
        limit.enter(now, False)
        limit.leave(now, False, 9000)
    assert limit.limit == 4
    assert limit.enter(now, True)
    assert not limit.enter(now, True)
    assert limit.enter(now, False)
