"""Counts of the last minute, and the keys that they are kept by."""

import pytest

from columba.common.net.address_key import address_key
from columba.common.net.windows import Windows


def test_the_last_minute_is_counted() -> None:
    windows = Windows()
    for at in (600.0, 610.0, 659.0):
        windows.add("a", at)
    windows.add("b", 659.0, 5)
    assert (windows.count("a", 659.0), windows.count("b", 659.0)) == (3, 5)
    assert windows.count("a", 690.0) == 2  # half of the window before
    assert windows.count("a", 719.9) == 1
    assert windows.count("a", 720.0) == 0
    windows.add("a", 5000.0)
    assert windows.count("a", 5000.0) == 1


@pytest.mark.parametrize(
    ("ip", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("a:b", "a:b"),
    ],
)
def test_keys(ip: str, key: str) -> None:
    assert address_key(ip) == key
