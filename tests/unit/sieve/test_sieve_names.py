"""A client's name counts only if it leads back."""

import pytest

from columba.common.dns.resolver import Record, RecordType
from columba.sieve.names import client_name
from tests.fakes.resolver import FakeResolver

REVERSE = "9.2.0.192.in-addr.arpa"
Records = dict[tuple[str, RecordType], tuple[Record, ...]]
KNOWN: Records = {
    (REVERSE, RecordType.PTR): ("other.example.", "Mail.Example."),
    ("mail.example", RecordType.A): ("192.0.2.9",),
    ("other.example", RecordType.A): ("192.0.2.8",),
}


async def name_of(resolver: FakeResolver, ip: str = "192.0.2.9") -> str:
    return await client_name(resolver, ip, 1)


async def test_the_name_that_leads_back() -> None:
    assert await name_of(FakeResolver(KNOWN)) == "confirmed mail.example"


async def test_no_name_leads_back() -> None:
    records: Records = {k: v for k, v in KNOWN.items() if k[0] != "mail.example"}
    assert await name_of(FakeResolver(records)) == "unconfirmed"


async def test_no_name() -> None:
    assert await name_of(FakeResolver({})) == "missing"
    assert await name_of(FakeResolver({}), "") == "missing"


@pytest.mark.parametrize("silent", [REVERSE, "mail.example"])
async def test_a_resolver_that_does_not_answer_says_nothing_against_the_client(silent: str) -> None:
    assert await name_of(FakeResolver(KNOWN, silent=frozenset({silent}))) == "unknown"


async def test_version_6() -> None:
    reverse = "1.0.0.0" + ".0" * 20 + ".8.b.d.0.1.0.0.2.ip6.arpa"
    records: Records = {
        (reverse, RecordType.PTR): ("six.example.",),
        ("six.example", RecordType.AAAA): ("2001:db8:0::1",),
    }
    assert await name_of(FakeResolver(records), "2001:db8::1") == "confirmed six.example"
