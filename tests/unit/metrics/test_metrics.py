import msgspec

from columba.common.metrics.export import Totals
from columba.common.metrics.push import Push
from columba.common.metrics.registry import OTHER, SERIES_MAX, Registry, counter, gauge, histogram

MAILS = counter("columba_mails", "Mails by result.", ("result",))
OPEN = gauge("columba_open", "Open connections.")
TIME = histogram("columba_time_seconds", "Time.", "seconds", (0.1, 1.0))


def test_deltas_are_added_up_over_processes() -> None:
    totals = Totals()
    for process, count in (("a.0.1", 2), ("b.0.1", 3)):
        registry = Registry()
        for _ in range(count):
            registry.add(MAILS, "delivered")
        registry.set(OPEN, value=count)
        registry.observe(TIME, value=0.05)
        registry.observe(TIME, value=count)
        assert totals.take(process, registry.take(), 1.0) == 0
        assert registry.take() == []
        registry.add(MAILS, 'odd"')
        assert totals.take(process, registry.take(), 2.0) == 0
    assert totals.render() == (
        "# TYPE columba_mails counter\n# HELP columba_mails Mails by result.\n"
        'columba_mails_total{result="delivered"} 5\ncolumba_mails_total{result="odd\\""} 2\n'
        "# TYPE columba_open gauge\n# HELP columba_open Open connections.\ncolumba_open 5\n"
        "# TYPE columba_time_seconds histogram\n# UNIT columba_time_seconds seconds\n"
        "# HELP columba_time_seconds Time.\n"
        'columba_time_seconds_bucket{le="0.1"} 2\ncolumba_time_seconds_bucket{le="1"} 2\n'
        'columba_time_seconds_bucket{le="+Inf"} 4\ncolumba_time_seconds_sum 5.1\n'
        "columba_time_seconds_count 4\n# EOF\n"
    )


def test_gauges_of_silent_processes_are_forgotten_and_counts_stay() -> None:
    totals, registry = Totals(), Registry()
    registry.set(OPEN, value=4)
    registry.add(MAILS, "x")
    totals.take("a.0.1", registry.take(), 1.0)
    totals.alive("a.0.1", 5.0)
    totals.forget(5.0)
    assert "columba_open 4" in totals.render()
    totals.forget(5.1)
    assert "columba_open 4" not in totals.render()
    assert 'columba_mails_total{result="x"} 1' in totals.render()


def test_what_could_not_be_sent_is_counted_again() -> None:
    registry = Registry()
    registry.add(MAILS, "x")
    taken = registry.take()
    registry.add(MAILS, "x")
    registry.give_back(taken)
    assert registry.take()[0].values == (2.0,)


def test_labels_are_bounded() -> None:
    registry = Registry()
    for number in range(SERIES_MAX + 5):
        registry.add(MAILS, str(number))
    taken = {series.label_values[0]: series.values for series in registry.take()}
    assert len(taken) == SERIES_MAX + 1
    assert taken[OTHER] == (5.0,)


def test_a_series_that_does_not_fit_is_refused() -> None:
    totals, registry = Totals(), Registry()
    registry.add(MAILS, "x")
    (series,) = registry.take()
    totals.take("a", [series], 1.0)
    for wrong in (
        msgspec.structs.replace(series, kind="gauge"),
        msgspec.structs.replace(series, values=(1.0, 2.0)),
        msgspec.structs.replace(series, label_values=()),
    ):
        assert totals.take("a", [wrong], 1.0) == 1
    assert 'columba_mails_total{result="x"} 1' in totals.render()


def test_a_push_survives_the_wire() -> None:
    registry = Registry()
    registry.observe(TIME, value=0.5)
    push = Push("a.0.1", tuple(registry.take()))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(push), type=Push) == push
