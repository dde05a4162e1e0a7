"""`dns :secure` behind a real validating resolver: zones that are signed, broken, or vouched for by nobody."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from columba.common.dns.client import Client, Server
from columba.sieve.answers import Answers, Sources
from columba.sieve.engine import Failed, Finished, Inputs, Outcome, begin
from columba.sieve.lang.stage import Stage
from tests.fakes.sieve import compiled
from tests.peers.all import open_folder
from tests.peers.names import Names
from tests.peers.validator import Validator

pytestmark = pytest.mark.peer
ZONE = """
mail IN A 192.0.2.7
@ IN MX 10 mail
_25._tcp.mail IN TLSA 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
"""
REVERSE = "7 IN PTR mail.signed.test.\n"
ZONES = ("signed.test", "2.0.192.in-addr.arpa")


@dataclass(frozen=True)
class Servers:
    trusting: Validator
    doubting: Validator


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with open_folder() as folder:
        names = Names(folder, {"signed.test": ZONE, ZONES[1]: REVERSE}, signed=True)
        trusting = Validator(folder, names, ZONES)
        doubting = Validator(folder, names, ZONES, trusts=False)
        yield Servers(trusting, doubting)
        for each in (trusting, doubting, names):
            each.stop()


async def said(port: int, test: str) -> Outcome:
    text = (
        f'require ["vnd.columba.dns", "vnd.columba.smtp"]; if {test} {{ reply "550 5.7.1 yes"; }}'
    )
    machine = begin(compiled(text, Stage.RCPT), Inputs(clock=time.thread_time_ns))
    resolver = Client([Server("127.0.0.1", port)])
    return await Answers({}, 5, Sources(resolver=resolver)).finish(machine)


async def is_true(port: int, test: str) -> bool:
    outcome = await said(port, test)
    assert isinstance(outcome, Finished), outcome
    return outcome.refusal is not None


@pytest.mark.parametrize(
    "test",
    [
        'dns :secure "mx" "signed.test" "10 mail.signed.test"',
        'dns :secure "a" "mail.signed.test" "192.0.2.7"',
        'dns :secure :contains "tlsa" "_25._tcp.mail.signed.test" "3 1 1 0011"',
        'dns :secure "ptr" "192.0.2.7" "mail.signed.test"',
    ],
)
async def test_a_signed_zone_is_secure_only_where_its_keys_are_trusted(
    servers: Servers, test: str
) -> None:
    assert await is_true(servers.trusting.port, test)
    assert await is_true(servers.doubting.port, test.replace(":secure ", ""))
    assert not await is_true(servers.doubting.port, test)


async def test_a_name_that_is_not_there_is_an_answer(servers: Servers) -> None:
    assert not await is_true(servers.trusting.port, 'dns "a" "nothing.signed.test"')


async def test_a_zone_whose_keys_do_not_fit_is_no_answer() -> None:
    with open_folder() as folder:
        one = Names(folder, {"signed.test": ZONE}, signed=True)
        other = Names(folder, {"signed.test": ZONE}, signed=True)
        crossed = Validator(folder, one, ("signed.test",), keys_of=other)
        outcome = await said(crossed.port, 'dns "a" "mail.signed.test"')
        assert isinstance(outcome, Failed)
        assert "SERVFAIL" in outcome.error.text
        assert not await is_true(crossed.port, 'dns :lenient "a" "mail.signed.test"')
        for each in (crossed, one, other):
            each.stop()
