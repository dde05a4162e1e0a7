"""What anvil knows of visitors and of wrong passwords."""

import pytest

from columba.common.ipc.wire_presence import Count, Present, Visit
from columba.master.anvil.penalties import ADDRESSES_MAX, CHECKS_MAX, Penalties
from columba.master.anvil.visits import Visits, choose

ONE, TWO = "smtpd.0.1", "smtpd.1.2"


def visit(session: str, ip: str = "192.0.2.1", login: str = "") -> Visit:
    return Visit(session=session, ip=ip, key=ip, login=login, listener="smtp")


def test_processes_hear_of_each_other() -> None:
    visits = Visits("e")
    a, b = visit("a"), visit("b")
    assert visits.report(Present(process=ONE, opened=(a,)), 60.0).counts == ()
    counts = (Count(key="192.0.2.1", connects=3, messages=2),)
    told = visits.report(Present(process=TWO, opened=(b,), counts=counts), 60.0)
    assert told.counts == (Count(key="192.0.2.1", connections=1),) and told.epoch == "e"
    told = visits.report(Present(process=ONE, counts=(Count(key="192.0.2.1"),)), 60.0)
    assert told.counts == (Count(key="192.0.2.1", connections=1, connects=3, messages=2),)
    visits.report(Present(process=TWO, closed=("b",)), 60.0)
    told = visits.report(Present(process=ONE, counts=(Count(key="192.0.2.1"),)), 200.0)
    assert told.counts == ()


def test_a_login_replaces_the_visit_and_the_whole_replaces_all() -> None:
    visits = Visits("e")
    visits.report(Present(process=ONE, opened=(visit("a"), visit("b"))), 0.0)
    visits.report(Present(process=ONE, opened=(visit("a", login="ann"),)), 0.0)
    assert sorted((v.session, v.login) for _, v in visits.list()) == [("a", "ann"), ("b", "")]
    visits.report(Present(process=ONE, whole=True, opened=(visit("c"),)), 0.0)
    assert [v.session for _, v in visits.list()] == ["c"]
    visits.report(Present(process=TWO, opened=(visit("d"),)), 0.0)
    visits.keep([TWO].__contains__)
    assert [v.session for _, v in visits.list()] == ["d"]


def test_kicks_are_told_once() -> None:
    visits = Visits("e")
    known = (visit("a", login="ann@x"), visit("b", "2001:db8::1"), visit("c", "198.51.100.7"))
    visits.report(Present(process=ONE, opened=known), 0.0)
    assert visits.kick(choose("nobody", "")) == 0
    assert visits.kick(choose("ann*", "")) == 1
    assert visits.kick(choose("", "2001:db8::/32")) == 1
    assert set(visits.report(Present(process=ONE), 0.0).kicked) == {"a", "b"}
    assert visits.report(Present(process=ONE), 0.0).kicked == ()
    assert visits.kick(choose("", "")) == 3
    with pytest.raises(ValueError):
        choose("", "nowhere")


def test_each_wrong_password_doubles_the_wait() -> None:
    penalties = Penalties(15.0, 600.0)
    assert penalties.delay_s("a", 0.0) == 0.0
    assert [penalties.add("a", n, 0.0) for n in range(6)] == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert penalties.add("a", 5, 10.0) == 15.0  # the same again counts once
    assert penalties.delay_s("b", 0.0) == 0.0
    assert penalties.delay_s("a", 609.0) == 15.0
    assert penalties.delay_s("a", 610.0) == 0.0
    assert list(penalties.list(610.0)) == []
    assert Penalties(0.0, 600.0).add("a", 1, 0.0) == 0.0


def test_memory_is_bounded() -> None:
    penalties = Penalties(15.0, 600.0)
    for number in range(ADDRESSES_MAX + 10):
        penalties.add(str(number), 1, 0.0)
    found = dict(penalties.list(0.0))
    assert len(found) == ADDRESSES_MAX and "0" not in found
    for check in range(100):
        penalties.add("x", check, 0.0)
    assert len(dict(penalties.list(0.0))["x"].checks) == CHECKS_MAX
