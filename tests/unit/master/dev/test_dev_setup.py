"""The development set-up: what it writes, that a second run keeps it, who could read it."""

import asyncio
import datetime
import os
import smtplib
import stat
import sys
from pathlib import Path

import argon2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from columba.master.dev import keys, readers
from columba.master.dev.elsewhere import Elsewhere
from columba.master.dev.plan import PASSWORD, USER, Plan
from columba.master.dev.prepare import prepare
from tests.peers.process import answers, free_port


def test_the_certificate_is_for_the_host_and_loopback() -> None:
    pair = keys.self_signed("mail.x.test", datetime.datetime.now(datetime.UTC))
    names = x509.load_pem_x509_certificate(pair.certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["mail.x.test", "localhost"]


def test_the_dkim_key_has_2048_bits() -> None:
    key = serialization.load_pem_private_key(keys.dkim_key(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 2048


def test_a_second_run_keeps_keys_and_users(tmp_path: Path) -> None:
    plan = Plan(tmp_path)
    prepare(plan)
    files = [Path(path) for path in (plan.certificate, plan.tls_key, plan.dkim_key, plan.passwords)]
    before = [path.read_bytes() for path in files]
    for path in files[1:]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    prepare(plan)
    assert [path.read_bytes() for path in files] == before


def test_the_password_is_the_one_that_is_shown(tmp_path: Path) -> None:
    plan = Plan(tmp_path)
    prepare(plan)
    user, _, secret = Path(plan.passwords).read_text().strip().partition(":")
    assert user == USER
    assert argon2.PasswordHasher().verify(secret.removeprefix("{ARGON2ID}"), PASSWORD)


def test_one_user_unless_asked_otherwise() -> None:
    assert "default_internal_user =\n" in Plan(Path("/x")).text()
    assert "default_internal_user" not in Plan(Path("/x"), own_users=True).text()
    assert "\ndkim columba.test {\n" in Plan(Path("/x")).text()


def test_the_relay_takes_the_place_of_mx() -> None:
    plan = Plan(Path("/x"), relay="127.0.0.1:2526")
    script = 'route :mx :tls "may" :sign "${author}";'
    wanted = 'route :relay "[127.0.0.1]" :port 2526 :tls "may" :sign "${author}";'
    assert plan.relayed(script) == wanted
    assert Plan(Path("/x")).relayed(script) == script


def test_the_default_policy_is_written_with_the_relay(tmp_path: Path) -> None:
    plan = Plan(
        tmp_path,
        relay="127.0.0.1:2526",
        signs=("signed.test",),
        trusted="10.0.0.0/8",
    )
    prepare(plan)
    assert ":port 2526" in plan.script("route").read_text()
    text = plan.config.read_text()
    assert f"sieve_rcpt = {plan.script('rcpt')}\n" in text
    assert "dkim signed.test {\n" in text
    assert "trusted_networks = 10.0.0.0/8\n" in text


def test_an_unknown_user_is_an_obstacle() -> None:
    why = readers.obstacle(Path(sys.executable), ("nobody-of-that-name",))
    wanted = "there is no user" if os.geteuid() == 0 else "not started by root"
    assert wanted in why


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as another user")
def test_an_interpreter_that_a_user_cannot_read_is_an_obstacle(tmp_path: Path) -> None:
    hidden = tmp_path / "python"
    hidden.symlink_to(sys.executable)
    tmp_path.chmod(0o700)
    assert "can't read" in readers.obstacle(hidden, ("nobody",))


def test_elsewhere_keeps_what_it_takes(tmp_path: Path) -> None:
    asyncio.run(_serve_one(tmp_path))
    (mail,) = tmp_path.glob("*.eml")
    text = mail.read_bytes()
    assert b"X-Envelope: rcpt TO:<b@b.test>\r\n" in text
    assert text.endswith(b"\r\n\r\n.dot\r\n")


async def _serve_one(folder: Path) -> None:
    port = free_port()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(Elsewhere(folder, port).serve())
        await asyncio.to_thread(_deliver, port)
        task.cancel()


def _deliver(port: int) -> None:
    while not answers(("127.0.0.1", port)):
        pass
    with smtplib.SMTP("127.0.0.1", port, "c.test", 5) as client:
        client.sendmail("a@a.test", ["b@b.test"], "Subject: x\r\n\r\n.dot\r\n")
