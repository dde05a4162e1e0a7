"""What a run sees of its own writes."""

from columba.sieve.run.effects import Effect, written


def test_nothing_written_leaves_what_is_known() -> None:
    assert written([], "d", "k", "7") == "7"
    assert written([Effect("set", "other", "d", "x")], "d", "k", None) is None
    assert written([Effect("set", "k", "other", "x")], "d", "k", None) is None


def test_writes_are_applied_in_their_order() -> None:
    effects = [Effect("set", "k", "d", "5"), Effect("add", "k", "d", amount=-2)]
    assert written(effects, "d", "k", None) == "3"
    assert written([*effects, Effect("unset", "k", "d")], "d", "k", "9") is None


def test_adding_to_what_is_no_number_begins_at_zero() -> None:
    assert written([Effect("add", "k", "d", amount=4)], "d", "k", None) == "4"
    assert written([Effect("add", "k", "d", amount=4)], "d", "k", "many") == "4"
    assert written([Effect("add", "k", "d", amount=4)], "d", "k", "-1") == "3"
