"""A real master with a real child that echoes: births, deaths, stop, reload."""

import contextlib
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.server import Server, server, wait_until
from tests.peers.process import free_port

pytestmark = pytest.mark.slow

ECHO = """
services = echo
service echo {{
  executable = python -m tests.fakes.echo_service
  process_min_avail = {min_avail}
  process_limit = 3
  client_limit = 2
  {more}
  inet_listener echo {{
    listen = 127.0.0.1
    port = {port}
  }}
}}
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Server]:
    with server(tmp_path) as made:
        yield made


def echo(port: int, more: str = "", min_avail: int = 1) -> str:
    return ECHO.format(port=port, more=more, min_avail=min_avail)


def say(port: int, text: str, timeout_s: float = 20.0) -> str:
    """Say a line and return the answer, "" when the connection ends without one."""
    with socket.create_connection(("127.0.0.1", port), timeout_s) as client:
        client.sendall(text.encode() + b"\n")
        with contextlib.suppress(ConnectionResetError):
            return client.makefile().readline().strip()
    return ""


def pid_of(port: int) -> int:
    answer = say(port, "who")
    assert answer.endswith(" who")
    return int(answer.split()[0])


def ask(running: Server, command: str) -> dict[str, object]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(running.folder / "run" / "master"))
        client.sendall(json.dumps({"command": command}).encode() + b"\n")
        answer = json.loads(client.makefile().readline())
    assert isinstance(answer, dict)
    return answer


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_a_killed_child_is_replaced_and_the_next_client_is_served(running: Server) -> None:
    port = free_port()
    running.write(echo(port))
    running.start()
    first = pid_of(port)
    assert pid_of(port) == first
    os.kill(first, signal.SIGKILL)
    second = pid_of(port)
    assert second != first
    log = running.wait_log(f"service(echo): child {first} killed with signal 9")
    assert re.search(
        r"^\w{3} [ \d]\d \d\d:\d\d:\d\d\.\d{3} echo\(\d+\): Info: Echo is ready: listeners=1$",
        log,
        re.M,
    )
    assert re.search(r" master\(\d+\): Fatal: service\(echo\): child", log)
    assert say(port, "exit 3") == ""
    running.wait_log("returned error 3")
    assert is_alive(pid_of(port))


def test_noise_and_records_of_children_are_logged(running: Server) -> None:
    port = free_port()
    running.write(echo(port))
    running.start()
    pid = pid_of(port)
    say(port, "noise out of a library")
    say(port, "log careful")
    say(port, "env HOME")
    say(port, "env MALLOC_ARENA_MAX")
    log = running.wait_log("env 2")
    assert f"echo({pid}): Warning: careful" in log
    assert "echo: Error: noise out of a library" in log
    assert "env None" in log  # HOME is none of a child's business


def test_the_log_service_may_die_and_no_line_is_lost(running: Server) -> None:
    port = free_port()
    running.write(echo(port))
    running.start()
    pid_of(port)
    rows = ask(running, "process-status")["rows"]
    assert isinstance(rows, list)
    log_pid = next(row["pid"] for row in rows if row["service"] == "log")
    os.kill(log_pid, signal.SIGKILL)
    for number in range(50):
        say(port, f"log line{number}.")
    log = running.wait_log("line49.")
    assert [f"line{n}." in log for n in range(50)] == [True] * 50
    assert f"service(log): child {log_pid} killed with signal 9" in log


@pytest.mark.parametrize("program", ["/bin/true", "/bin/false", "/nonexistent/program"])
def test_a_service_that_never_starts_is_throttled(running: Server, program: str) -> None:
    running.write(
        f"services = broken\nservice broken {{\n executable = {program}\n process_min_avail = 1\n}}\n"
    )
    running.start()
    log = running.wait_log("command startup failed, throttling for 1.200 secs")
    assert "throttling for 0.300 secs" in log
    assert "throttling for 0.600 secs" in log
    assert log.count("startup failed") <= 4
    if program.startswith("/nonexistent"):
        assert "exec() failed" in log


def test_all_busy_means_one_more_process_up_to_the_limit(running: Server) -> None:
    port = free_port()
    running.write(echo(port).replace("process_limit = 3", "process_limit = 2"))
    running.start()
    with contextlib.ExitStack() as stack:
        clients = []
        while running.log().count("Echo is ready") < 2:
            clients.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), 20)))
            time.sleep(0.2)
            assert len(clients) < 40
        assert len(clients) >= 2
        while "no process takes further work" not in running.log():
            clients.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), 20)))
            time.sleep(0.2)
            assert len(clients) < 40
        assert running.log().count("Echo is ready") == 2
        assert "process_limit (2) and client_limit (2) reached" in running.log()


def test_a_service_without_standby_is_started_by_its_first_client(running: Server) -> None:
    port = free_port()
    running.write(echo(port, min_avail=0, more="idle_kill_interval = 1 s"))
    running.start()
    running.wait_log("starting up")
    wait_until((running.folder / "run" / "master").exists, running.log)
    assert "Echo is ready" not in running.log()
    pid = pid_of(port)
    wait_until(lambda: not is_alive(pid), lambda: "end of the idle child", 15)
    assert "killed with" not in running.log()
    assert pid_of(port) != pid


def test_a_hung_child_is_killed(running: Server) -> None:
    port = free_port()
    running.write(echo(port), hang="2 s")
    running.start()
    pid = pid_of(port)
    assert say(port, "hang") == ""
    running.wait_log(f"child {pid} has not reported for 2 seconds, killing it")
    assert pid_of(port) != pid


def test_a_process_is_replaced_after_its_count_of_requests(running: Server) -> None:
    port = free_port()
    running.write(echo(port, more="restart_request_count = 2"))
    running.start()
    pids = []
    for _ in range(6):
        pids.append(pid_of(port))
        time.sleep(0.3)
    assert len(set(pids)) >= 3
    assert "error" not in running.log()


def test_term_lets_clients_finish(running: Server) -> None:
    port = free_port()
    running.write(echo(port))
    running.start()
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(b"one\n")
        lines = client.makefile()
        assert lines.readline().endswith(" one\n")
        running.signal(signal.SIGTERM)
        running.wait_log("Killed with signal 15")
        wait_until(lambda: refused(port), lambda: "refusal of a new client")
        client.sendall(b"two\n")
        assert lines.readline().endswith(" two\n")
        assert running.children() != []
        lines.close()
    assert running.wait() == 0
    assert running.children() == []
    assert "Columba ends" in running.log()
    assert not (running.folder / "run" / "master.pid").exists()


def refused(port: int) -> bool:
    try:
        return say(port, "x", 0.5) == ""
    except OSError:
        return True


def test_who_does_not_end_in_time_is_killed(running: Server) -> None:
    port = free_port()
    running.write(echo(port), shutdown="2 s")
    running.start()
    client = socket.create_connection(("127.0.0.1", port), 20)
    client.sendall(b"hang\n")
    running.wait_log("Echo is ready")
    time.sleep(0.3)
    running.signal(signal.SIGTERM)
    assert running.wait(15) == 0
    assert running.children() == []
    assert "did not end within shutdown_timeout, killing it" in running.log()
    client.close()


def test_children_end_when_the_master_is_killed(running: Server) -> None:
    port = free_port()
    running.write(echo(port, min_avail=2))
    running.start()
    running.wait_log("Echo is ready", 2)
    wait_until(lambda: len(running.children()) == 4, running.log)
    running.signal(signal.SIGKILL)
    running.wait()
    wait_until(lambda: not running.children(), lambda: f"end of {running.children()}")
    running.start()  # at once, on the same ports and folders
    running.wait_log("Echo is ready", 3)
    assert pid_of(port) in running.children()


def test_reload_keeps_what_is_the_same_and_replaces_what_is_not(running: Server) -> None:
    port, other = free_port(), free_port()
    running.write(echo(port))
    running.start()
    first = pid_of(port)
    running.signal(signal.SIGHUP)
    running.wait_log("Configuration reloaded (nothing changed)")
    assert pid_of(port) == first
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(b"before\n")
        lines = client.makefile()
        assert lines.readline() == f"{first} before\n"
        added = (
            echo(other)
            .replace("echo {", "more {", 1)
            .replace("services = echo", "services = echo more")
        )
        running.write(
            echo(port, more="restart_request_count = 500")
            + added.replace("services = echo more", "")
        )
        with running.config.open("a") as config:
            config.write("services = echo more\n")
        running.signal(signal.SIGHUP)
        running.wait_log("added: more; changed: log, echo")
        assert pid_of(port) != first  # no refusal in between: the socket is the same
        client.sendall(b"after\n")
        assert lines.readline() == f"{first} after\n"
        lines.close()
    wait_until(lambda: not is_alive(first), lambda: "end of the old process")
    assert pid_of(other) > 0
    running.wait_log(f"more({pid_of(other)}): Info: Echo is ready")


def test_a_broken_configuration_is_refused_and_the_old_one_stays(running: Server) -> None:
    port = free_port()
    running.write(echo(port))
    running.start()
    pid = pid_of(port)
    running.write(echo(port) + "log_debg = yes\n")
    running.signal(signal.SIGHUP)
    log = running.wait_log("Config reload failed, the old configuration stays: ")
    line = running.config.read_text().count("\n")
    assert f"columba.conf line {line}: Unknown setting: log_debg (did you mean log_debug?)" in log
    answer = ask(running, "reload")
    assert (answer["ok"], answer["exit_code"]) == (False, 78)
    assert "did you mean log_debug?" in str(answer["error"])
    assert pid_of(port) == pid


def test_a_port_in_use_by_others_is_refused_at_reload(running: Server) -> None:
    port = free_port()
    running.write(echo(port))
    running.start()
    pid = pid_of(port)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running.write(echo(taken.getsockname()[1]))
        running.signal(signal.SIGHUP)
        running.wait_log("Address already in use")
    assert pid_of(port) == pid


def test_a_port_in_use_stops_the_start_with_one_line(running: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running.write(echo(taken.getsockname()[1]))
        running.start()
        assert running.wait() == 69
    line = (
        running.config.read_text()[: running.config.read_text().index("inet_listener")].count("\n")
        + 1
    )
    assert running.stderr() == (
        f"columba: Fatal: {running.config} line {line}: service(echo):"
        f" listen(127.0.0.1, {taken_port(running)}) failed: Address already in use\n"
    )
    assert running.children() == []
    assert not (running.folder / "run" / "master.pid").exists()


def taken_port(running: Server) -> int:
    found = re.search(r"port = (\d+)", running.config.read_text())
    assert found is not None
    return int(found[1])


def test_a_configuration_error_stops_the_start_with_one_line(running: Server) -> None:
    running.write(echo(free_port()) + "shutdown_timeout = soon\n")
    running.start()
    assert running.wait() == 78
    number = running.config.read_text().count("\n")
    assert running.stderr() == (
        f"columba: Fatal: Error in configuration file {running.config} line {number}:"
        " shutdown_timeout: Invalid time interval: soon\n"
    )
    assert running.children() == []


def test_a_second_master_is_refused(running: Server) -> None:
    running.write(echo(free_port()))
    running.start()
    running.wait_log("Echo is ready")
    assert running.process is not None
    second = Server(running.folder)
    second.start()
    assert second.wait() == 69  # and it has not touched the first one's sockets
    assert ask(running, "service-status")["ok"] is True
    words = f"Columba is already running with PID {running.process.pid} (read from "
    assert words in running.stderr()


def test_the_admin_socket_tells_the_state(running: Server) -> None:
    port = free_port()
    running.write(echo(port))
    running.start()
    pid = pid_of(port)
    mode = os.stat(running.folder / "run" / "master").st_mode & 0o777
    assert mode == 0o600
    rows = ask(running, "service-status")["rows"]
    assert isinstance(rows, list)
    row = next(row for row in rows if row["name"] == "echo")
    assert (row["process_count"], row["process_limit"], row["client_limit"]) == (1, 3, 2)
    rows = ask(running, "process-status")["rows"]
    assert isinstance(rows, list)
    row = next(row for row in rows if row["service"] == "echo")
    assert (row["pid"], row["state"], row["slot"]) == (pid, "ready", 0)
    assert ask(running, "dance")["ok"] is False
    assert ask(running, "stop")["ok"] is True
    assert running.wait() == 0
