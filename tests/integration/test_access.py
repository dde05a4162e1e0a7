"""Who may connect and log in, on a whole running server: logins by real clients, certificates that change."""

import contextlib
import os
import smtplib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.certificate import self_signed
from tests.fakes.stack import Options, Stack
from tests.peers.all import Peers, open_folder
from tests.peers.process import wait_until
from tests.peers.swaks import swaks

pytestmark = [pytest.mark.peer, pytest.mark.slow]
MORE = """
ssl_reload_interval = 100 msecs
auth_mechanisms = plain login scram-sha-256 scram-sha-1 xoauth2
auth_failure_delay = 100 msecs
local_name "other.test *.wild.test" {
  ssl_cert_file = other/cert.pem
  ssl_key_file = other/key.pem
}
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Give one server for all tests of this module."""
    with open_folder() as folder, contextlib.ExitStack() as held:
        peers = Peers(folder, held)
        other = folder / "columba" / "etc" / "other"
        other.mkdir(parents=True)
        self_signed(other, "other.test")
        made = Stack(
            folder / "columba", Options(trusted="", more=MORE.replace("other/", f"{other}/"))
        )
        yield peers.keep(made)


def shown(stack: Stack, name: str = "localhost") -> bytes:
    """Return the certificate that a client is shown at the port of implicit TLS."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    at = ("127.0.0.1", stack.ports["submissions"])
    with (
        socket.create_connection(at, 10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        return secure.getpeercert(True) or b""


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks_logs_in(stack: Stack, mechanism: str) -> None:
    talk = swaks(
        stack.ports["submission"], "--tls", "--auth", mechanism, "--auth-user", stack.user,
        "--auth-password", stack.password, sender=stack.user, recipients=stack.user,
    )  # fmt: skip
    assert talk.status == 0, talk.transcript
    assert any(reply.startswith("235 2.7.0") for reply in talk.replies)


def test_columbadm_tries_a_login(stack: Stack) -> None:
    said = stack.columbadm("auth", "test", stack.user, stack.password).stdout
    assert f"user={stack.user}" in said
    assert stack.columbadm("auth", "test", stack.user, "wrong", check=False).returncode == 77


def test_a_changed_certificate_is_used_while_sessions_go_on(stack: Stack, tmp_path: Path) -> None:
    pids = stack.pids("smtpd")
    context = ssl.create_default_context(cafile=str(stack.plan.certificate))
    with smtplib.SMTP_SSL(
        "localhost", stack.ports["submissions"], context=context, timeout=30
    ) as session:
        before = shown(stack)
        cert, key = self_signed(tmp_path, "fresh.test")
        kept = [path.read_bytes() for path in paths(stack)]
        replace(stack, cert.read_bytes(), key.read_bytes())
        fresh = ssl.PEM_cert_to_DER_cert(cert.read_text())
        wait_until(lambda: shown(stack) == fresh, "the new certificate", 20)
        assert session.noop()[0] == 250
        assert stack.pids("smtpd") == pids
        assert "TLS files have changed" in stack.log()
        assert "expires in 1 days" in stack.log() or "expires in 2 days" in stack.log()
        replace(stack, b"no certificate", key.read_bytes())
        wait_until(lambda: "New TLS files are not used" in stack.log(), "a refusal", 20)
        assert shown(stack) == fresh
        replace(stack, *kept)
        assert stack.columbadm("reload").returncode == 0
        wait_until(lambda: shown(stack) == before, "the old certificate", 20)
        assert session.noop()[0] == 250
        assert stack.pids("smtpd") == pids


def test_names_have_certificates_of_their_own(stack: Stack) -> None:
    default, other = shown(stack), shown(stack, "other.test")
    assert default != other == shown(stack, "a.wild.test")
    assert shown(stack, "wild.test") == default


def logged_in(stack: Stack, held: contextlib.ExitStack) -> smtplib.SMTP_SSL:
    context = ssl.create_default_context(cafile=str(stack.plan.certificate))
    client = held.enter_context(
        contextlib.closing(
            smtplib.SMTP_SSL("localhost", stack.ports["submissions"], context=context, timeout=60)
        )
    )
    client.login(stack.user, stack.password)
    return client


def logins(stack: Stack) -> list[object]:
    return [row["login"] for row in stack.rows("who") if row["login"]]


def test_who_is_connected_is_shown_and_ended(stack: Stack) -> None:
    with contextlib.ExitStack() as held:
        client = logged_in(stack, held)
        wait_until(lambda: logins(stack) == [stack.user], "the login in who", 20)
        (row,) = stack.rows("who", "-1", stack.user)
        assert row["ip"] == "127.0.0.1" and str(row["tls"]).startswith("TLSv1")
        assert stack.rows("who", "192.0.2.0/24") == []
        assert stack.columbadm("kick", "nobody", check=False).returncode == 68
        assert stack.columbadm("kick", stack.user).stdout == "1 connections kicked\n"
        code, words = client.getreply()
        assert code == 421 and b"administrator" in words
    wait_until(lambda: logins(stack) == [], "nobody in who", 20)


def test_without_anvil_mail_goes_on(stack: Stack) -> None:
    with contextlib.ExitStack() as held:
        logged_in(stack, held)
        stack.kill("anvil")
        talk = swaks(stack.ports["smtp"], recipients=stack.user)
        assert talk.status == 0, talk.transcript
        wait_until(lambda: stack.user in logins(stack), "the login at the next anvil", 30)


def test_wrong_passwords_make_their_address_wait(stack: Stack) -> None:
    with contextlib.ExitStack() as held:
        client = logged_in(stack, held)
        del client
        for number in range(2):
            with pytest.raises(smtplib.SMTPAuthenticationError), contextlib.ExitStack() as inner:
                context = ssl.create_default_context(cafile=str(stack.plan.certificate))
                again = inner.enter_context(
                    contextlib.closing(
                        smtplib.SMTP_SSL(
                            "localhost", stack.ports["submissions"], context=context, timeout=60
                        )
                    )
                )
                again.login(stack.user, f"wrong{number}")
    (row,) = stack.rows("penalty")
    assert row["ip"] == "127.0.0.1" and int(str(row["penalty"])) >= 2


def paths(stack: Stack) -> tuple[Path, Path]:
    """Return the files of certificate and key."""
    text = stack.plan.config.read_text()
    found = {line.partition(" = ")[0]: line.partition(" = ")[2] for line in text.splitlines()}
    return Path(found["ssl_cert_file"]), Path(found["ssl_key_file"])


def replace(stack: Stack, cert: bytes, key: bytes) -> None:
    """Put new files in the places of certificate and key, as certbot does."""
    for path, content in zip(paths(stack), (cert, key), strict=True):
        new = path.with_suffix(".new")
        new.write_bytes(content)
        os.chown(new, path.stat().st_uid, path.stat().st_gid)
        new.chmod(path.stat().st_mode)
        new.rename(path)
