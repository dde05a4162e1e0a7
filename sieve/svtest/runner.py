"""Run one test file and report: one line for each case, then one for the file."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Final

from columba.common.ipc.wire import Client
from columba.sieve.engine import compile_script
from columba.sieve.ext.registry import language
from columba.sieve.lang.errors import CompileErrors, ErrorLog, Source
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.lang.tokens import END, Lexer, Token
from columba.sieve.run.machine import Failed, Inputs, Machine
from columba.sieve.run.result import INBOX
from columba.sieve.svtest.scripts import drive, test_extension
from columba.sieve.svtest.settings import TESTER_LIMITS
from columba.sieve.svtest.suite import (
    HOST,
    USER,
    Case,
    Suite,
    clock_ns,
    derived_envelope,
    loader_of,
)
from columba.sieve.view import environment

EXIT_PASSED: Final = 0
EXIT_FAILED: Final = 1
EXIT_ABORTED: Final = 2
CLIENT: Final = Client(ip="192.0.2.1", name="client.example.net", helo="client.example.net")
# The tester plays a delivery agent: its scripts run after the mail was accepted.
TESTER_ITEMS: Final = {
    "phase": "post",
    "vnd.dovecot.default-mailbox": INBOX,
    "vnd.dovecot.username": USER,
}


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of a file. trouble: why it was abandoned, or ""."""

    path: FilePath
    cases: tuple[Case, ...]
    trouble: str = ""

    @property
    def passed(self) -> int:
        """How many cases passed."""
        return sum(case.is_passed for case in self.cases)

    @property
    def exit_code(self) -> int:
        """0: all passed; 1: a case failed; 2: the file did not compile or was abandoned."""
        if self.trouble:
            return EXIT_ABORTED
        return EXIT_PASSED if self.passed == len(self.cases) else EXIT_FAILED

    @property
    def is_all_failed(self) -> bool:
        """Whether every case that was reached failed, or the file as a whole."""
        reached = [case for case in self.cases if case.is_started]
        return bool(self.trouble) or not any(case.is_passed for case in reached)


def run_file(path: FilePath, time_limit_s: int = 0) -> FileResult:
    """Run a test file."""
    path = path.resolve()
    octets = path.read_bytes()
    cases = find_cases(octets, str(path))
    suite_language = language().with_extension(test_extension(str(path.parent)))
    script = compile_script(
        octets, str(path), Stage.DELIVERY, language=suite_language, loader=loader_of(path)
    )
    if isinstance(script, CompileErrors):
        print(script.render(), file=sys.stderr)
        return FileResult(path, tuple(cases), "the file does not compile")
    suite = Suite(path, suite_language, cases, dict(environment(CLIENT, HOST)) | TESTER_ITEMS)
    limits = Limits(cpu_ms=time_limit_s * 1000) if time_limit_s else TESTER_LIMITS
    inputs = Inputs(
        clock=clock_ns,
        message=suite.base,
        envelope=derived_envelope(suite.base),
        environment=suite.environment,
        limits=limits,
        host=suite,
        wall_s=time.time(),
    )
    outcome = drive(Machine(script, inputs), suite.pretended, suite.world)
    if isinstance(outcome, Failed):
        print(outcome.error.render(), file=sys.stderr)
        return FileResult(path, tuple(suite.cases), outcome.error.text)
    return FileResult(path, tuple(suite.cases))


def find_cases(octets: bytes, name: str) -> list[Case]:
    """Return the cases at the top of a file, also of one that does not compile."""
    source = Source(octets, name)
    cases: list[Case] = []
    depth, before = 0, Token(END, "", 0, 0, 0)
    for token in Lexer(source.text, ErrorLog(source), Limits()).tokens():
        depth += {"LBRACE": 1, "RBRACE": -1}.get(token.kind, 0)
        is_case = token.kind == "STRING" and (before.kind, before.text) == ("IDENTIFIER", "test")
        if is_case and depth == 0:
            cases.append(Case(token.text))
        before = token
    return cases


def report_lines(result: FileResult) -> list[str]:
    """Return the report of a file."""
    lines = []
    for number, case in enumerate(result.cases, 1):
        name = _one_line(case.name)
        if case.is_passed:
            lines.append(f"ok {number} - {name}")
        elif case.reason:
            lines.append(f"not ok {number} - {name} # {_one_line(case.reason)}")
        else:
            why = _one_line(result.trouble or "the script stopped before")
            lines.append(f"not ok {number} - {name} # not reached: {why}")
    total, passed = len(result.cases), result.passed
    aborted = "yes" if result.trouble else "no"
    lines.append(
        f"RESULT file={result.path} total={total} passed={passed}"
        f" failed={total - passed} aborted={aborted}"
    )
    return lines


def _one_line(text: str) -> str:
    return " ".join(text.split())
