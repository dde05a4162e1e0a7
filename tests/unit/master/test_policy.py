"""One test per row of what the master decides."""

import pytest

from columba.common.config.listening import Listening
from columba.common.config.load import defaults
from columba.common.ipc.master import AVAILABLE_RETIRING, Status
from columba.master import policy
from columba.master.policy import Ending, Limits
from columba.master.settings import InetListener, ServiceSettings
from columba.master.state import Phase, Process, Service
from columba.master.table import Spec, make_spec
from columba.master.words import Exit, exit_words

LIMITS = Limits(30, 30, 60, 2, 60)
NOW = 1000.0


def spec(name: str = "smtpd", **settings: object) -> Spec:
    base: dict[str, object] = {
        "process_limit": 3,
        "process_min_avail": 0,
        "client_limit": 10,
        "idle_kill_interval": 60.0,
        "inet_listener": {"smtp": listener()},
    }
    frozen = defaults_of(**{**base, **settings})
    return make_spec(name, frozen, settings={}, fingerprint="", base_dir="/run", origins={})


def listener() -> InetListener:
    own = {"port": 25, "listen": ["*"], "ssl": False, "type": "", "protocol": "auto"}
    return InetListener(**own, haproxy=False, **vars(defaults(Listening)))  # type: ignore[arg-type]


def defaults_of(**settings: object) -> ServiceSettings:
    texts = {"user": "", "group": "", "executable": "python -m x", "memory_limit": 1 << 29}
    return ServiceSettings(**{**plain(), **texts, **settings})  # type: ignore[arg-type]  # by name


def plain() -> dict[str, object]:
    return {"restart_request_count": (1 << 63) - 1, "unix_listener": {}}


def process(slot: int, phase: Phase = Phase.READY, available: int = 10, **more: object) -> Process:
    made = Process("smtpd", slot, slot, 100 + slot, spec(), NOW - 50, phase, available, heard_s=NOW)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def service(*processes: Process, **settings: object) -> Service:
    return Service(spec("smtpd", **settings), list(processes))


STARTING = {"phase": Phase.STARTING, "available": 0}


@pytest.mark.parametrize(
    ("state", "count"),
    [
        (service(), 0),  # nobody asks
        (service(process_min_avail=2), 2),
        (service(process(0), process_min_avail=2), 1),
        (service(process(0, Phase.STARTING, 0), process_min_avail=1), 0),
        (service(process(0, available=0), process_min_avail=1), 1),
        (service(process(0, available=0)), 1),  # all full: one more
        (service(process(0, available=0), process(1)), 0),
        (service(process(0, available=0), process(1, Phase.STARTING, 0)), 0),
        (service(process(0, available=0), process_limit=1), 0),  # at the limit
        (service(process(0, Phase.RETIRING, 0), process_limit=1, process_min_avail=1), 1),
        (service(process_min_avail=30, process_limit=50), policy.SPAWN_BURST),
    ],
)
def test_births(state: Service, count: int) -> None:
    assert policy.births(state, NOW) == count


def test_a_waiting_client_gets_the_first_process() -> None:
    state = service()
    assert policy.needs_listening(state)
    state.wanted = True
    assert policy.births(state, NOW) == 1
    assert not policy.needs_listening(state)


def test_nothing_is_born_while_throttled_or_closing() -> None:
    state = service(process_min_avail=1)
    state.throttled_until_s = NOW + 1
    assert policy.births(state, NOW) == 0
    assert policy.births(state, NOW + 1) == 1
    state.is_closing = True
    assert policy.births(state, NOW + 1) == 0


def test_an_exclusive_service_waits_for_the_end_of_the_last_process() -> None:
    state = Service(
        spec("queue", process_min_avail=1, process_limit=2), [process(0, Phase.RETIRING, 0)]
    )
    assert policy.births(state, NOW) == 0
    state.processes.clear()
    assert policy.births(state, NOW) == 1


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (process(0), None),
        (process(0, heard_s=NOW - 29), None),
        (process(0, heard_s=NOW - 30), Ending.HUNG),
        (process(0, heard_s=NOW - 30, killed=True), None),
        (process(0, Phase.STARTING, 0, started_s=NOW - 29), None),
        (process(0, Phase.STARTING, 0, started_s=NOW - 30), Ending.NEVER_READY),
        (process(0, Phase.RETIRING, 0, asked_to_end_s=NOW - 59, heard_s=NOW - 59), None),
        (process(0, Phase.RETIRING, 0, asked_to_end_s=NOW - 60), Ending.TOO_SLOW),
        (process(0, Phase.RETIRING, 0, heard_s=NOW - 30), Ending.HUNG),
    ],
)
def test_ending(one: Process, why: Ending | None) -> None:
    assert policy.ending(one, LIMITS, NOW) is why


def test_the_longest_idle_ends_and_the_least_number_stays() -> None:
    idle = [process(n, idle_since_s=NOW - 60 - n) for n in range(3)]
    busy = process(3, available=4)
    state = Service(spec(process_min_avail=2, process_limit=4), [*idle, busy])
    assert [p.slot for p in policy.idle_too_long(state, NOW)] == [2, 1]
    idle[2].asked_if_idle_s = NOW
    assert [p.slot for p in policy.idle_too_long(state, NOW)] == [1, 0]
    assert policy.idle_too_long(state, NOW - 60) == []


@pytest.mark.parametrize("failed", [False, True])
def test_an_end_before_the_first_record_pauses_longer_each_time(failed: bool) -> None:
    state, one = service(), process(0, Phase.STARTING, 0)
    pauses = []
    for _ in range(7):
        state.throttle_s = policy.pause_after(state, one, failed, LIMITS, NOW)
        pauses.append(state.throttle_s)
    assert pauses == [2, 4, 8, 16, 32, 60, 60]


def test_an_end_that_was_asked_for_never_pauses() -> None:
    one = process(0, Phase.STARTING, 0, asked_to_end_s=NOW - 1)
    assert policy.pause_after(service(), one, True, LIMITS, NOW) == 0


def test_many_failures_in_a_second_pause_a_service_that_was_never_healthy() -> None:
    state = service()
    young = process(0, started_s=NOW - 1)
    state.failures_s = [NOW - 0.5] * 10
    assert policy.pause_after(state, young, True, LIMITS, NOW) == 2
    assert policy.pause_after(state, young, False, LIMITS, NOW) == 0
    state.processes.append(process(1, started_s=NOW - 11))
    assert policy.pause_after(state, young, True, LIMITS, NOW) == 0
    state.processes.clear()
    state.failures_s = [NOW - 1.5] * 10
    assert policy.pause_after(state, young, True, LIMITS, NOW) == 0


def test_status_records_change_the_state() -> None:
    one = process(0, Phase.STARTING, 0)
    assert one.hear(Status(1, 1, 10, 5), NOW)
    assert (one.phase, one.available, one.note, one.idle_since_s) == (Phase.READY, 10, 5, NOW)
    assert not one.hear(Status(1, 1, 10, 5), NOW + 1)
    assert (one.heard_s, one.idle_since_s) == (NOW + 1, NOW)
    assert one.hear(Status(1, 1, 9, 5), NOW + 2)
    assert one.idle_since_s is None
    assert one.hear(Status(1, 1, AVAILABLE_RETIRING, 5), NOW + 3)
    assert (one.phase, one.available, one.holds_slot) == (Phase.RETIRING, 0, False)


def test_the_lowest_free_slot_is_taken() -> None:
    assert service(process(0), process(2)).free_slot() == 1
    assert service(process(0, Phase.RETIRING, 0)).free_slot() == 0


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (Exit(0), ""),
        (Exit(1), "service(x): child 5 returned error 1"),
        (Exit(84), "service(x): child 5 returned error 84 (exec() failed)"),
        (Exit(89), "service(x): child 5 returned error 89 (Fatal failure)"),
        (Exit(0, 9), "service(x): child 5 killed with signal 9"),
        (Exit(0, 11, True), "service(x): child 5 killed with signal 11 (core dumped)"),
        (Exit(0, 11), "service(x): child 5 killed with signal 11 (core dumps disabled)"),
        (
            Exit(83),
            "service(x): child 5 returned error 83 (Out of memory"
            " (service x { memory_limit=256M }, you may need to increase it))",
        ),
    ],
)
def test_endings_are_told_in_dovecots_words(how: Exit, words: str) -> None:
    assert exit_words("x", 5, how, 256 << 20) == words
