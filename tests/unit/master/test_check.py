import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from columba.common.config.handed import thaw
from columba.common.config.schema import UNLIMITED
from columba.common.errors import ConfigError
from columba.master.builtin import SERVICES
from columba.master.check.compile import compile_config
from columba.master.check.contents import allows
from columba.master.compiled import load_compiled
from columba.master.privileges import Identity
from columba.master.settings import ServiceSettings
from columba.master.table import make_spec
from columba.queue.store.keyring import key_line, unreadable

HEAD = "columba_config_version = 1.0\n"
MODULE = [sys.executable, "-m", "columba.master.check"]


def write(folder: Path, text: str) -> str:
    path = folder / "columba.conf"
    path.write_text(HEAD + text)
    return str(path)


def test_the_built_in_services_need_no_words(tmp_path: Path) -> None:
    compiled = compile_config(write(tmp_path, ""), contents=False)
    assert set(compiled.services) == set(SERVICES)
    assert list(compiled.services)[:2] == ["anvil", "log"]
    assert compiled.services["smtpd"]["user"] == "columba-login"
    assert compiled.services["smtpd"]["client_limit"] == 10000
    assert compiled.services["dkim"]["user"] == "columba-keys"
    assert compiled.services["queue"]["process_limit"] == 1
    assert compiled.services["log"]["restart_request_count"] == UNLIMITED
    assert compiled.general["default_internal_user"] == "columba"
    assert load_compiled(compiled.dump()) == compiled


def test_a_service_of_ones_own(tmp_path: Path) -> None:
    text = "services = echo\nservice echo {\n  executable = /bin/cat\n  inet_listener x {\n    port = 1\n  }\n}\n"
    compiled = compile_config(write(tmp_path, text))
    assert list(compiled.services) == ["anvil", "log", "echo"]
    listeners = compiled.services["echo"]["inet_listener"]
    assert isinstance(listeners, dict) and isinstance(listeners["x"], dict)
    wanted = {"port": 1, "listen": ["*", "::"], "ssl": False, "type": ""}
    assert {name: listeners["x"][name] for name in wanted} == wanted
    assert "default_internal_user" not in compiled.settings["echo"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("services = smptd", "line 2: services: Unknown service: smptd (did you mean smtpd?)"),
        ("services = a/b", "line 2: Invalid service name: a/b"),
        ("service log {\n process_limit = 2\n}", "line 3: service(log): process_limit must be 1"),
        (
            "service smtpd {\n process_limit = 2\n\n process_min_avail = 3\n}",
            "line 5: service(smtpd): process_min_avail is greater than process_limit",
        ),
        ("service smtpd {\n client_limit = 0\n}", "line 3: service(smtpd): client_limit must be"),
        ("service smtpd {\n restart_request_count = 0\n}", 'did you mean "unlimited"?'),
        ("service smtpd {\n executable =\n}", "line 3: service(smtpd): executable must be set"),
        ("service smtpd {\n memory_limit = 1M\n}", "line 3: service(smtpd): memory_limit is less"),
        (
            "service smtpd {\n inet_listener a {\n port = 9\n }\n inet_listener b {\n port = 9\n }\n}",
            "line 6: service(smtpd): duplicate listener: 9:*",
        ),
        (
            "\ntrusted_networks = 127.0.0.1 10.0.0.0/33",
            "line 3: trusted_networks: '10.0.0.0/33' does not appear to be",
        ),
        ("\nsmtp_extensions = -FOO", "line 3: service(auth): unix_listener auth-client: "),
        (
            "service smptd {\n process_limit = 2\n}",
            "line 2: Unknown service: smptd (did you mean smtpd?)",
        ),
        (
            "service smtpd {\n inet_listener a {\n port = 9\n listen = 300.1.2.3\n }\n}",
            "line 5: service(smtpd): listen: 300.1.2.3 is no address",
        ),
        (
            "listen = ::1 [::1]\nservice smtpd {\n inet_listener a {\n port = 9\n }\n}",
            "line 2: service(smtpd): listen: [::1] is no address",
        ),
        ("ssl_cert_file = /c.pem", "line 2: ssl_cert_file and ssl_key_file go together"),
        ("local_name x {\n}", "line 2: local_name x: ssl_cert_file and ssl_key_file must be set"),
    ],
)
def test_contradictions_point_at_their_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_config(write(tmp_path, text), contents=False)
    assert words in str(caught.value)


def test_the_program_prints_one_line_and_exits_78(tmp_path: Path) -> None:
    path = write(tmp_path, "hostnam = x\n")
    ran = subprocess.run([*MODULE, path], capture_output=True, text=True, timeout=20, check=False)
    assert ran.returncode == 78
    assert ran.stdout == ""
    assert ran.stderr == (
        f"Error in configuration file {path} line 2: Unknown setting: hostnam (did you mean hostname?)\n"
    )
    good = write(tmp_path, "hostname = x\nservices = log\n")
    ran = subprocess.run([*MODULE, good], capture_output=True, text=True, timeout=20, check=True)
    assert load_compiled(ran.stdout).general["hostname"] == "x"


def content_error(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        compile_config(write(folder, f"state_dir = {folder}\ndefault_internal_user =\n" + text))
    return str(caught.value).replace(str(folder), "D")


def test_a_script_with_a_mistake_is_named_with_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "data.sieve").write_text('keep;\nrequire "no-such-extension";\n')
    text = f"services = sieve\nsieve_rcpt =\nsieve_route =\nsieve_data = {tmp_path}/data.sieve\n"
    assert content_error(tmp_path, text).startswith("D/data.sieve line 2 column")
    (tmp_path / "data.sieve").unlink()
    words = (
        "D/columba.conf line 7: sieve_data: Can't open file D/data.sieve: No such file or directory"
    )
    assert content_error(tmp_path, text) == words


def test_a_table_or_dict_that_cant_be_used_is_named_with_its_line(tmp_path: Path) -> None:
    base = "services = sieve\nsieve_rcpt =\nsieve_route =\nsieve_data =\n"
    place = "D/columba.conf line 8: "
    for section, words in (
        ("lookup t {\n  url = mongo:x\n}\n", "lookup t: no table of kind 'mongo'"),
        (
            "lookup t {\n  url = sqlite:/x\n  query = select 1\n}\n",
            "lookup t: the query has no place",
        ),
        ("dict d {\n  url = sqlite:x\n}\n", "dict d: sqlite: needs an absolute path"),
    ):
        assert content_error(tmp_path, base + section).startswith(place + words)
    (tmp_path / "aliases").write_text("root: ann@x\nbin: |/bin/cat\n")
    text = f"{base}lookup t {{\n  url = aliases:{tmp_path}/aliases\n}}\n"
    assert content_error(tmp_path, text).startswith(
        "D/aliases line 2: alias bin: commands are not run"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's services have users of their own")
@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("service log {\n  user = nosuch\n}\n", 5, "service(log) User doesn't exist: nosuch"),
        ("service log {\n  group = nosuch\n}\n", 5, "service(log) Group doesn't exist: nosuch"),
        (
            "service log {\n  unix_listener x {\n    user = nosuch\n  }\n}\n",
            6,
            "User doesn't exist",
        ),
        ("default_internal_user = nosuch\n", 4, "User doesn't exist: nosuch"),
    ],
)
def test_users_and_groups_must_exist(tmp_path: Path, text: str, line: int, words: str) -> None:
    own = "service anvil {\n  user = root\n}\n" if "default" not in text else ""
    head = "services = log\ndefault_internal_user = root\n" if own else "services = log\n\n"
    with pytest.raises(ConfigError) as caught:
        compile_config(write(tmp_path, f"{head}{text}"))
    assert f"line {line}: " in str(caught.value) and words in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's services have users of their own")
def test_a_key_of_the_queue_that_its_service_can_t_read_says_what_mends_it(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.touch(0o640)
    keys.write_text(key_line(b"k" * 32, 0.0))
    text = f"services = queue\ndefault_internal_user = nobody\nqueue_url = file:{tmp_path}/queue\n"
    with pytest.raises(ConfigError) as caught:
        compile_config(write(tmp_path, f"{text}queue_key_file = {keys}\n"))
    words = f"line 5: queue_key_file: {keys} can't be read by the user nobody: chgrp "
    assert words in str(caught.value) and f"chmod 640 {keys}" in str(caught.value)
    assert "(chgrp, chmod 640)" in unreadable(PermissionError(13, "Permission denied"))


def test_files_that_are_not_there_are_warnings(tmp_path: Path) -> None:
    text = f"state_dir = {tmp_path}\ndefault_internal_user =\nservices = sieve auth\n"
    text += "sieve_rcpt =\nsieve_route =\nsieve_data =\n"
    text += f"auth_passwd_file = {tmp_path}/users\nlookup t {{\n  url = file:{tmp_path}/table\n}}\n"
    warnings = compile_config(write(tmp_path, text)).warnings
    assert [each.replace(str(tmp_path), "D") for each in warnings] == [
        "D/columba.conf line 9: lookup t: There is no file D/table",
        "D/columba.conf line 8: auth_passwd_file: There is no file D/users",
    ]
    for name in ("users", "table"):
        (tmp_path / name).touch()
    assert compile_config(write(tmp_path, text)).warnings == []


def test_a_key_that_cant_be_used_is_named_with_its_line(tmp_path: Path) -> None:
    text = "services = dkim\ndkim x.test {\n  selector = s\n  key_file = key.pem\n}\n"
    assert content_error(tmp_path, text).startswith(
        "D/columba.conf line 7: key_file: D/key.pem: can't be read"
    )
    (tmp_path / "key.pem").write_text("no key\n")
    (tmp_path / "key.pem").chmod(0o600)
    assert "D/columba.conf line 7: key_file: D/key.pem: not an unencrypted" in content_error(
        tmp_path, text
    )


def test_a_certificate_that_cant_be_used_is_named_with_its_line(tmp_path: Path) -> None:
    text = "services = log\nssl_cert_file = cert.pem\nssl_key_file = key.pem\n"
    assert (
        content_error(tmp_path, text)
        == "D/columba.conf line 5: ssl_cert_file: Can't open file D/cert.pem"
    )
    (tmp_path / "cert.pem").write_text("no certificate\n")
    (tmp_path / "key.pem").write_text("no key\n")
    assert (
        "D/columba.conf line 5: ssl_cert_file: D/cert.pem and D/key.pem can't be used"
        in content_error(tmp_path, text)
    )


def test_who_logs_in_how_is_named_with_its_line(tmp_path: Path) -> None:
    text = "services = auth\nauth_mechanisms = plain cram-md5\n"
    assert content_error(tmp_path, text).startswith(
        "D/columba.conf line 5: auth_mechanisms: CRAM-MD5 is not known"
    )
    text = "services = log\nssl_server_request_client_cert = yes\n"
    words = "D/columba.conf line 5: ssl_server_request_client_cert needs ssl_server_ca_file"
    assert content_error(tmp_path, text) == words
    text = f"services = log\nssl_server_ca_file = {tmp_path}/columba.conf\n"
    assert "D/columba.conf can't be used" in content_error(tmp_path, text)


def test_a_log_without_its_folder_is_named_with_its_line(tmp_path: Path) -> None:
    text = f"services = log\nlog_path = {tmp_path}/none/log\n"
    assert (
        content_error(tmp_path, text)
        == "D/columba.conf line 5: log_path: There is no folder D/none"
    )


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "may"),
    [
        (0o400, 7, 9, True),
        (0o077, 7, 8, False),  # the owner's own bits count, and no others
        (0o040, 9, 8, True),
        (0o404, 9, 8, False),
        (0o004, 9, 9, True),
        (0o440, 9, 9, False),
        (0o000, 0, 0, True),
    ],
)
def test_rights_are_read_from_the_mode(mode: int, uid: int, gid: int, may: bool) -> None:
    status = os.stat_result((mode, 0, 0, 1, 7, 8, 0, 0, 0, 0))
    assert allows(status, 4, Identity(uid, gid, True)) is may


@pytest.mark.parametrize(
    ("url", "words"),
    [("file:nowhere", "wants file:/absolute/path"), ("ftp:/x", "no store of this")],
)
def test_a_queue_url_that_no_store_has_is_said_with_its_line(
    tmp_path: Path, url: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        compile_config(write(tmp_path, f"services = queue\nqueue_url = {url}\n"))
    assert caught.value.line == 3
    assert not Path("nowhere").exists()


def test_a_new_dkim_key_counts_at_reload_and_a_socket_does_not(tmp_path: Path) -> None:
    keys, place = tmp_path / "dkim", tmp_path / "auth-client"
    (keys / "example.org").mkdir(parents=True)
    path = write(tmp_path, f"dkim_key_dir = {keys}\nauth_socket = {place}\n")
    before = compile_config(path, contents=False).fingerprints
    (keys / "example.org" / "s1.pem").write_text("key")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        after = compile_config(path, contents=False).fingerprints
    assert {name for name in before if before[name] != after[name]} == {"dkim"}


def test_tls_from_the_first_octet_needs_a_certificate(tmp_path: Path) -> None:
    text = "service smtpd {\n  inet_listener x {\n    port = 1\n    ssl = yes\n  }\n}\n"
    with pytest.raises(
        ConfigError, match="inet_listener x: ssl = yes needs ssl_cert_file"
    ) as caught:
        compile_config(write(tmp_path, text), contents=False)
    assert caught.value.line == 5


def test_a_listener_says_what_differs_from_its_service(tmp_path: Path) -> None:
    compiled = compile_config(
        write(
            tmp_path,
            "bare_newline = normalize\nmessage_size_limit = 10M\nservice smtpd {\n  message_size_limit = 20M\n"
            "  inet_listener smtp {\n    port = 25\n    bare_newline = reject\n  }\n"
            "  inet_listener printers {\n    port = 26\n    protocol = submission\n    haproxy = yes\n  }\n"
            "  unix_listener mail {\n    protocol = lmtp\n    smtp_extensions = -CHUNKING\n  }\n}\n",
        ),
        contents=False,
    )
    assert compiled.settings["smtpd"]["message_size_limit"] == 20 << 20
    service = thaw(ServiceSettings, compiled.services["smtpd"])
    spec = make_spec(
        "smtpd",
        service,
        settings=compiled.settings["smtpd"],
        fingerprint="",
        base_dir="/run",
        origins={},
    )
    found = {each.name: (each.type, each.haproxy, each.settings) for each in spec.listeners}
    assert found == {
        "smtp": ("", False, '{"bare_newline": "reject"}'),
        "printers": ("submission", True, ""),
        "mail": ("lmtp", False, '{"smtp_extensions": ["-CHUNKING"]}'),
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("smtp_extensions = SIZE CHUNKNG", "smtp_extensions: CHUNKNG is not known"),
        ("xclient_networks = 10.0.0.0/40", "xclient_networks: '10.0.0.0/40' does not appear to be"),
        ("protocol = smpt", "Invalid value: smpt"),
    ],
)
def test_a_listeners_mistake_points_at_its_line(tmp_path: Path, line: str, words: str) -> None:
    text = f"service smtpd {{\n  inet_listener smtp {{\n    port = 25\n    {line}\n  }}\n}}\n"
    with pytest.raises(ConfigError, match="line 5") as caught:
        compile_config(write(tmp_path, text), contents=False)
    assert words in str(caught.value)


def test_a_listeners_table_that_nobody_knows_points_at_its_line(tmp_path: Path) -> None:
    text = "service smtpd {\n  inet_listener x {\n    port = 25\n    submission_sender_login = fil:/x\n  }\n}\n"
    settings = f"services = smtpd\nlog_path = {tmp_path}/log\n"
    with pytest.raises(ConfigError, match=r"line 7: lookup submission_sender_login: .*fil"):
        compile_config(write(tmp_path, settings + text))
