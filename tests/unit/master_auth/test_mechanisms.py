"""Every mechanism of the auth service through its socket, asked by smtpd's client."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from columba.common.errors import ConfigError
from columba.common.sasl import scram as messages
from columba.common.sasl.dovecot import Challenge, Fail, Ok, binding_params
from columba.common.sasl.plain import format_plain
from columba.common.sasl.scram import ScramClient
from columba.master.auth.mechanisms import FLAGS, offered
from columba.master.auth.schemes import make
from columba.smtpd.peers.dovecot import Verdict
from tests.fakes.auth import Running, format_bearer

PARAMS = {"service": "smtp", "secured": "tls", "rip": "192.0.2.1"}
BINDINGS = {"tls-exporter": b"e" * 32, "tls-server-end-point": b"c" * 32}
USERS = "\n".join(
    ["ann:{PLAIN}secret", "cy:" + make("SCRAM-SHA-256", b"secret"), "di:" + make("SSHA512", b"secret"),
     "off:{PLAIN}secret::::::nologin reason=Gone", "far:{PLAIN}secret::::::allow_nets=10.0.0.0/8,2001:db8::/32",
     "near:{PLAIN}secret::::::allow_nets=192.0.2.0/24"]
)  # fmt: skip


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    made = Running(tmp_path, USERS, auth_mechanisms=[name.lower() for name in FLAGS])
    await made.start()
    yield made
    await made.close()


async def test_a_name_costs_the_same_work_known_or_not(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The challenge comes at once, so its time would tell which names there are."""
    counted: list[str] = []
    derive = messages.derive

    def counting(hash_name: str, password: str, salt: bytes, iterations: int) -> messages.Keys:
        counted.append(password)
        return derive(hash_name, password, salt, iterations)

    monkeypatch.setattr(messages, "derive", counting)
    for name in ("ann", "cy", "di", "nobody"):
        counted.clear()
        first = f"n,,n={name},r=abc".encode()
        _, verdict = await running.client.begin("SCRAM-SHA-256", PARAMS, first, 10)
        assert isinstance(verdict, Challenge) and len(counted) == 1


async def login(running: Running, *messages: bytes) -> list[Verdict]:
    number, verdict = await running.client.begin("LOGIN", PARAMS, None, 10)
    found = [verdict]
    for message in messages:
        found.append(await running.client.go_on(number, message, 10))
    return found


async def test_login(running: Running) -> None:
    user, password, end = await login(running, b"ann", b"secret")
    assert isinstance(user, Challenge) and user.data == b"Username:"
    assert isinstance(password, Challenge) and password.data == b"Password:"
    assert isinstance(end, Ok) and end.user == "ann"
    assert isinstance((await login(running, b"ann", b"no"))[-1], Fail)
    assert isinstance((await login(running, b""))[-1], Fail)
    assert running.client.mechanisms == tuple(FLAGS)


async def scram(
    running: Running,
    mechanism: str,
    user: str,
    password: str,
    *,
    bindings: dict[str, bytes],
    kind: str = "",
) -> Verdict:
    """Run an exchange as a client would; bindings are what smtpd says, kind what the client binds."""
    binding = (kind, BINDINGS[kind]) if kind else None
    client = ScramClient(mechanism, user, password, "nonce", binding=binding)
    params = {**PARAMS, **binding_params(bindings)}
    number, verdict = await running.client.begin(mechanism, params, client.first(), 10)
    if not isinstance(verdict, Challenge):
        return verdict
    verdict = await running.client.go_on(number, client.respond(verdict.data), 10)
    if isinstance(verdict, Challenge):
        client.verify(verdict.data)
        verdict = await running.client.go_on(number, b"", 10)
    return verdict


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1"])
@pytest.mark.parametrize("kind", ["", "tls-exporter", "tls-server-end-point"])
async def test_scram(running: Running, mechanism: str, kind: str) -> None:
    name = mechanism + ("-PLUS" if kind else "")
    given = BINDINGS if kind else {}
    right = await scram(running, name, "ann", "secret", bindings=given, kind=kind)
    assert isinstance(right, Ok) and right.user == "ann"
    wrong = await scram(running, name, "ann", "no", bindings=given, kind=kind)
    assert isinstance(wrong, Fail)


async def test_scram_with_keys_alone(running: Running) -> None:
    assert isinstance(await scram(running, "SCRAM-SHA-256", "cy", "secret", bindings={}), Ok)
    assert isinstance(await scram(running, "SCRAM-SHA-1", "cy", "secret", bindings={}), Fail)
    plain = format_plain("cy", "secret")
    assert isinstance((await running.client.begin("PLAIN", PARAMS, plain, 10))[1], Ok)


@pytest.mark.parametrize("user", ["nobody", "di"])
async def test_who_has_no_keys_is_asked_like_one_who_has(running: Running, user: str) -> None:
    client = ScramClient("SCRAM-SHA-256", user, "secret", "nonce")
    seen = set()
    for _ in range(2):
        number, verdict = await running.client.begin("SCRAM-SHA-256", PARAMS, client.first(), 10)
        assert isinstance(verdict, Challenge) and b",i=4096" in verdict.data
        seen.add(verdict.data.partition(b",s=")[2])
        assert isinstance(
            await running.client.go_on(number, client.respond(verdict.data), 10), Fail
        )
    assert len(seen) == 1  # the salt stays


async def test_a_lie_about_binding_is_found(running: Running) -> None:
    client = ScramClient("SCRAM-SHA-256", "ann", "secret", "nonce", could_bind=True)
    params = {**PARAMS, **binding_params(BINDINGS)}
    _, verdict = await running.client.begin("SCRAM-SHA-256", params, client.first(), 10)
    assert isinstance(verdict, Fail)


@pytest.mark.parametrize(
    ("params", "authzid", "code"),
    [
        ({"valid-client-cert": "", "cert_username": "Ann"}, b"", "ok"),
        ({"valid-client-cert": "", "cert_username": "ann"}, b"ann", "ok"),
        ({"valid-client-cert": "", "cert_username": "ann"}, b"cy", "fail"),
        ({"valid-client-cert": "", "cert_username": "nobody"}, b"", "fail"),
        ({"cert_username": "ann"}, b"", "fail"),
        ({}, b"ann", "fail"),
    ],
)
async def test_external(
    running: Running, params: dict[str, str], authzid: bytes, code: str
) -> None:
    _, verdict = await running.client.begin("EXTERNAL", {**PARAMS, **params}, authzid, 10)
    assert isinstance(verdict, Ok if code == "ok" else Fail)


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
async def test_bearer_tokens(running: Running, mechanism: str) -> None:
    right = format_bearer(mechanism, "di", "secret")
    assert isinstance((await running.client.begin(mechanism, PARAMS, right, 10))[1], Ok)
    wrong = format_bearer(mechanism, "di", "no")
    number, verdict = await running.client.begin(mechanism, PARAMS, wrong, 10)
    assert isinstance(verdict, Challenge) and b'"status"' in verdict.data
    assert isinstance(await running.client.go_on(number, b"\x01", 10), Fail)


@pytest.mark.parametrize(
    ("user", "answer"),
    [
        ("off", Fail(1, "user_disabled", "Gone")),
        ("far", Fail(1, "", "")),
        ("near", Ok(1, "near", {})),
    ],
)
async def test_who_may_not_come_in(running: Running, user: str, answer: Verdict) -> None:
    message = format_plain(user, "secret")
    assert (await running.client.begin("PLAIN", PARAMS, message, 10))[1] == answer


def test_a_setting_that_names_no_mechanism() -> None:
    with pytest.raises(ConfigError):
        offered(["plain", "cram-md5"])
