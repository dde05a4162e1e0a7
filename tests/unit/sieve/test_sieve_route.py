"""Where a route's port comes from: a tag, or what stands behind the host."""

import pytest

from columba.sieve.lang.stage import Stage
from columba.sieve.run.actions import RouteTo
from columba.sieve.run.machine import Failed, Finished
from tests.fakes.sieve import compiled, errors_of, outcome_of

REQUIRE = 'require ["variables", "vnd.columba.route"]; '
NO_HOST = "a host name or an [address]"


@pytest.mark.parametrize(
    ("command", "route"),
    [
        ('route :relay "mx.example:2525";', RouteTo("relay", host="mx.example", port=2525)),
        ('route :relay "mx.example:2525" :port 25;', RouteTo("relay", host="mx.example", port=25)),
        ('route :relay "[192.0.2.1]:26";', RouteTo("relay", host="[192.0.2.1]", port=26)),
        ('route :relay "[2001:db8::1]:26";', RouteTo("relay", host="[2001:db8::1]", port=26)),
        ('route :relay "[2001:db8::1]";', RouteTo("relay", host="[2001:db8::1]")),
        ('route :lmtp "inner.example:24";', RouteTo("lmtp", host="inner.example", port=24)),
        ('route :lmtp "/run/lmtp:24";', RouteTo("lmtp", path="/run/lmtp:24")),
        ('set "h" "mx.example:1"; route :relay "${h}";', RouteTo("relay", host="mx.example", port=1)),
    ],
)  # fmt: skip
def test_a_port_stands_behind_the_host(command: str, route: RouteTo) -> None:
    outcome = outcome_of(compiled(REQUIRE + command, Stage.ROUTE))
    assert isinstance(outcome, Finished), outcome
    assert outcome.route == route


@pytest.mark.parametrize(
    "hop", ["mx.example:0", "mx.example:65536", "mx.example:", "::1:25", ":25"]
)
def test_what_is_no_port_is_no_host(hop: str) -> None:
    (text,) = errors_of(f'{REQUIRE} route :relay "{hop}";', Stage.ROUTE)
    assert NO_HOST in text
    outcome = outcome_of(
        compiled(f'{REQUIRE} set "h" "{hop}"; route :relay "${{h}}";', Stage.ROUTE)
    )
    assert isinstance(outcome, Failed)
    assert NO_HOST in outcome.error.text


def test_a_domain_of_mx_has_no_port() -> None:
    assert len(errors_of(f'{REQUIRE} route :mx :domain "far.example:25";', Stage.ROUTE)) == 1
