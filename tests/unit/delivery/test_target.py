"""Which recipients travel together, and where to."""

import pytest

from columba.common.hop.destination import destination
from columba.common.ipc import wire
from columba.delivery.target import (
    Endpoint,
    NoTargetError,
    Target,
    grouped,
    literal_address,
    target_of,
)


def recipient(address: str, route: wire.Route | None = None, number: str = "1") -> wire.Recipient:
    return wire.Recipient(number=number, address=address.encode(), route=route)


def short(target: Target) -> tuple[str, str, int, bool]:
    return target.kind, target.name, target.port, target.lmtp


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        (None, ("mx", "x.test", 25, False)),
        (wire.Route(kind="mx"), ("mx", "x.test", 25, False)),
        (wire.Route(kind="mx", host="Other.Test"), ("mx", "other.test", 25, False)),
        (wire.Route(kind="relay", host="Relay.Test.", port=587), ("host", "relay.test", 587, False)),
        (wire.Route(kind="relay", host="[192.0.2.1]"), ("host", "192.0.2.1", 25, False)),
        (wire.Route(kind="lmtp", host="[IPv6:2001:db8::1]"), ("host", "2001:db8::1", 24, True)),
        (wire.Route(kind="lmtp", path="/run/lmtp"), ("unix", "/run/lmtp", 0, True)),
    ],
)  # fmt: skip
def test_routes_become_targets(
    route: wire.Route | None, expected: tuple[str, str, int, bool]
) -> None:
    target = target_of(recipient("kim@X.test", route))
    assert short(target) == expected
    assert target.route == destination(route, b"kim@X.test")


def test_an_address_literal_needs_no_names() -> None:
    assert short(target_of(recipient("kim@[192.0.2.7]"), 2525)) == (
        "host",
        "192.0.2.7",
        2525,
        False,
    )
    assert literal_address("mx.test") == "" and literal_address("[x]") == ""


@pytest.mark.parametrize("route", [None, wire.Route(kind="relay")])
def test_nowhere_to_go(route: wire.Route | None) -> None:
    with pytest.raises(NoTargetError):
        target_of(recipient("postmaster", route))


def test_the_same_target_shares_a_transaction() -> None:
    relay = wire.Route(kind="relay", host="r.test")
    tls = wire.Route(kind="relay", host="r.test", tls="verify")
    everyone = [
        recipient("a@x.test", relay), recipient("b@y.test", relay, "2"),
        recipient("c@x.test", tls, "3"), recipient("d@x.test", relay, "4"),
    ]  # fmt: skip
    pairs = [(target_of(one), one) for one in everyone]
    numbers = [[r.number for r in batch] for _, batch in grouped(pairs, 2)]
    assert numbers == [["1", "2"], ["3"], ["4"]]
    assert len(grouped(pairs, 100)) == 2


def test_an_address_that_comes_twice_gets_two_transactions() -> None:
    twice = [
        recipient("a@x.test"),
        recipient("a@x.test", number="2"),
        recipient("b@x.test", number="3"),
    ]
    batches = [[r.number for r in b] for _, b in grouped([(target_of(t), t) for t in twice], 10)]
    assert batches == [["1", "3"], ["2"]]


def test_labels() -> None:
    assert Endpoint("mx.test", "192.0.2.1", 25).label == "mx.test[192.0.2.1]:25"
    assert Endpoint("", "/run/lmtp", 0).label == "/run/lmtp"


def test_a_target_has_what_the_route_wishes() -> None:
    route = wire.Route(kind="relay", host="r.test", auth="table", concurrency=3, timeout_s=30)
    target = target_of(recipient("kim@x.test", route))
    assert (target.auth, target.concurrency, target.timeout_s) == ("table", 3, 30)
