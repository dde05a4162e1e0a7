"""The order of hosts, and the reasons why there is none."""

import random
from typing import Final

import pytest

from columba.common.dns.mx import (
    Addresses,
    MxHosts,
    MxProblem,
    host_addresses,
    mx_hosts,
    no_addresses,
)
from columba.common.dns.resolver import Answer, MxRecord, Status

OWN: Final = frozenset({"us.example"})


def found(*pairs: tuple[int, str], secure: bool = False) -> Answer:
    records = tuple(MxRecord(preference, host) for preference, host in pairs)
    return Answer(Status.FOUND, records, secure, 300)


def hosts(answer: Answer, limit: int = 10, seed: int = 1) -> tuple[str, ...]:
    result = mx_hosts("to.example", answer, random.Random(seed).shuffle, OWN, limit)
    assert isinstance(result, MxHosts)
    return result.hosts


def problem(answer: Answer, domain: str = "to.example") -> MxProblem:
    result = mx_hosts(domain, answer, random.Random(1).shuffle, OWN, 10)
    assert isinstance(result, MxProblem)
    return result


def test_lower_preference_comes_first() -> None:
    assert hosts(found((20, "b"), (10, "a"), (30, "c"))) == ("a", "b", "c")


def test_equal_preferences_are_shuffled_among_themselves_only() -> None:
    answer = found((5, "first"), *((10, f"m{n}") for n in range(6)), (20, "last"))
    orders = {hosts(answer, seed=seed) for seed in range(20)}
    assert len(orders) > 10
    assert all(order[0] == "first" and order[-1] == "last" for order in orders)
    assert {order[1] for order in orders} == {f"m{n}" for n in range(6)}


def test_a_host_named_twice_is_tried_once_at_its_best_place() -> None:
    assert hosts(found((20, "a"), (10, "a"), (15, "b"))) == ("a", "b")


def test_the_number_of_hosts_has_a_limit() -> None:
    assert hosts(found(*((n, f"m{n}") for n in range(40))), limit=3) == ("m0", "m1", "m2")


def test_no_mx_means_the_domain_itself() -> None:
    result = mx_hosts("To.Example", Answer(Status.NO_DATA, secure=True), lambda _: None, OWN, 10)
    assert result == MxHosts(("to.example",), True)


def test_null_mx_is_final() -> None:
    got = problem(found((0, "")))
    assert (got.permanent, got.code, got.enhanced) == (True, 556, "5.1.10")


def test_a_null_mx_beside_real_ones_is_ignored() -> None:
    assert hosts(found((0, ""), (10, "a"))) == ("a",)


def test_a_domain_that_does_not_exist_is_final() -> None:
    got = problem(Answer(Status.NO_NAME))
    assert (got.permanent, got.code, got.enhanced) == (True, 550, "5.1.2")


@pytest.mark.parametrize("status", [Status.FAILED, Status.TIMEOUT])
def test_a_failing_dns_is_temporary(status: Status) -> None:
    got = problem(Answer(status))
    assert (got.permanent, got.code, got.enhanced) == (False, 451, "4.4.3")


def test_hosts_no_better_than_ourselves_are_not_tried() -> None:
    answer = found((10, "a"), (20, "us.example"), (20, "equal"), (30, "worse"))
    assert hosts(answer) == ("a",)


def test_when_we_are_the_best_it_is_a_loop() -> None:
    for got in (
        problem(found((10, "us.example"), (20, "b"))),
        problem(Answer(Status.NO_DATA), "us.example"),
    ):
        assert (got.permanent, got.enhanced, got.alert) == (True, "5.4.6", True)


def test_addresses_of_both_families_come_in_turn() -> None:
    four = Answer(Status.FOUND, ("192.0.2.1", "192.0.2.2", "192.0.2.3"), True)
    six = Answer(Status.FOUND, ("2001:db8::1",), True)
    assert host_addresses(four, six, True, 3).addresses == ("2001:db8::1", "192.0.2.1", "192.0.2.2")
    assert host_addresses(four, six, False, 2) == Addresses(("192.0.2.1", "2001:db8::1"), True)


def test_one_insecure_family_makes_the_host_insecure() -> None:
    four = Answer(Status.FOUND, ("192.0.2.1",), False)
    six = Answer(Status.FOUND, ("2001:db8::1",), True)
    assert host_addresses(four, six, True, 9).secure is False


def test_one_failing_family_does_not_hide_the_other() -> None:
    four = Answer(Status.FOUND, ("192.0.2.1",))
    assert host_addresses(four, Answer(Status.TIMEOUT), True, 9).addresses == ("192.0.2.1",)


def test_no_address_is_always_temporary() -> None:
    got = host_addresses(Answer(Status.NO_NAME), Answer(Status.FAILED), True, 9)
    assert got.addresses == () and got.reason == "look-up failed"
    assert host_addresses(Answer(Status.NO_NAME), Answer(Status.NO_NAME), True, 9).reason
    assert no_addresses("to.example", [got.reason]).permanent is False
