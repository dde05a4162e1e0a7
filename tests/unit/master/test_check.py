import subprocess
import sys
from pathlib import Path

import pytest

from columba.common.config.schema import UNLIMITED
from columba.common.errors import ConfigError
from columba.master.builtin import SERVICES
from columba.master.check.compile import compile_config
from columba.master.compiled import load_compiled

HEAD = "columba_config_version = 1.0\n"
MODULE = [sys.executable, "-m", "columba.master.check"]


def write(folder: Path, text: str) -> str:
    path = folder / "columba.conf"
    path.write_text(HEAD + text)
    return str(path)


def test_the_built_in_services_need_no_words(tmp_path: Path) -> None:
    compiled = compile_config(write(tmp_path, ""))
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
    assert compiled.services["echo"]["inet_listener"] == {
        "x": {"port": 1, "listen": ["*", "::"], "ssl": False, "type": ""}
    }
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
        ("ssl_cert_file = /c.pem", "line 2: ssl_cert_file and ssl_key_file go together"),
        ("local_name x {\n}", "line 2: local_name x: ssl_cert_file and ssl_key_file must be set"),
    ],
)
def test_contradictions_point_at_their_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_config(write(tmp_path, text))
    assert words in str(caught.value)


def test_the_program_prints_one_line_and_exits_78(tmp_path: Path) -> None:
    path = write(tmp_path, "hostnam = x\n")
    ran = subprocess.run([*MODULE, path], capture_output=True, text=True, timeout=20, check=False)
    assert ran.returncode == 78
    assert ran.stdout == ""
    assert ran.stderr == (
        f"Error in configuration file {path} line 2: Unknown setting: hostnam (did you mean hostname?)\n"
    )
    good = write(tmp_path, "hostname = x\n")
    ran = subprocess.run([*MODULE, good], capture_output=True, text=True, timeout=20, check=True)
    assert load_compiled(ran.stdout).general["hostname"] == "x"
