"""columbadm against a running server."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.server import ROOT, Server, server, wait_until
from tests.peers.process import free_port

pytestmark = pytest.mark.slow
ECHO = """
services = echo
service echo {{
  executable = python -m tests.fakes.echo_service
  process_min_avail = 1
  inet_listener echo {{
    listen = 127.0.0.1
    port = {port}
  }}
}}
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Server]:
    with server(tmp_path) as made:
        made.write(ECHO.format(port=free_port()))
        made.start()
        made.wait_log("Echo is ready")
        yield made


def columbadm(running: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "columba.master.cli", "-c", str(running.config), *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)


def test_status_errors_reload_and_stop(running: Server) -> None:
    rows = json.loads(columbadm(running, "-f", "json", "service", "status").stdout)
    assert [row["name"] for row in rows] == ["anvil", "log", "echo"]
    rows = json.loads(columbadm(running, "-f", "json", "process", "status", "echo").stdout)
    assert [row["state"] for row in rows] == ["ready"]
    os.kill(rows[0]["pid"], signal.SIGKILL)
    running.wait_log("Echo is ready", 2)
    words = f"service(echo): child {rows[0]['pid']} killed with signal 9"
    wait_until(lambda: words in columbadm(running, "log", "errors").stdout, running.log)
    assert columbadm(running, "reload").stdout == "nothing changed\n"
    good = running.config.read_text()
    running.config.write_text(good + "hang_limit = 1\n")
    broken = columbadm(running, "reload")
    assert (
        broken.returncode == 78
        and "hang_limit: Time interval '1' is missing units" in broken.stderr
    )
    running.config.write_text(good + "hang_limit = 20 s\n")
    assert columbadm(running, "reload").stdout == "changed: anvil log echo\n"
    running.wait_log("Echo is ready", 3)
    os.rename(running.folder / "log", running.folder / "log.1")
    wait_until(lambda: not columbadm(running, "log", "reopen").returncode, running.log)
    wait_until((running.folder / "log").exists, lambda: "a new log file")
    assert columbadm(running, "stop").returncode == 0
    assert running.children() == []
    assert columbadm(running, "stop").returncode == 75


def test_metrics_of_all_processes_are_served(tmp_path: Path) -> None:
    port, metrics = free_port(), free_port()
    text = ECHO.format(port=port).replace("services = echo", "services = echo stats")
    text += f"service stats {{\n  inet_listener http {{\n    listen = 127.0.0.1\n    port = {metrics}\n  }}\n}}\n"
    with server(tmp_path) as made:
        made.write(text)
        made.start()
        made.wait_log("Echo is ready")

        def page() -> str:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{metrics}/metrics", timeout=20
            ) as answer:
                assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
                return str(answer.read().decode())

        wait_until(lambda: 'columba_clients{service="echo"} 0' in page(), page)
        assert "columba_build_info{version=" in page() and page().endswith("# EOF\n")
        with socket.create_connection(("127.0.0.1", metrics), 20) as client:
            client.sendall(b"POST /x HTTP/1.1\r\n\r\n")
            assert client.makefile().readline().startswith("HTTP/1.1 405")
