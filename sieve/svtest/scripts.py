"""The words of a test file that compile and run other scripts, and look at results and errors."""

from collections.abc import Callable, Sequence
from pathlib import Path as FilePath
from typing import Final

from columba.sieve.core.matching import MATCH_TAGS, value_test
from columba.sieve.engine import compile_script
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.errors import CompileErrors
from columba.sieve.lang.words import Extension, Kind, Namespace, Positional, Tag, Word
from columba.sieve.run.actions import Keep
from columba.sieve.run.code import GO, Code, plain
from columba.sieve.run.compare import OCTET
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.machine import Failed, Finished, Inputs, Machine, Outcome, Script
from columba.sieve.run.requests import Inquire
from columba.sieve.run.result import Result
from columba.sieve.run.state import Run
from columba.sieve.run.values import constant_text
from columba.sieve.svtest import cases
from columba.sieve.svtest.answering import Pretended, answer, inquire
from columba.sieve.svtest.deliver import execute
from columba.sieve.svtest.suite import Suite, clock_ns, loader_of, suite_of
from columba.sieve.svtest.world import World


def compile_into(suite: Suite, path: FilePath) -> Script | None:
    """Compile a file; None after its errors were put into the list."""
    try:
        octets = path.read_bytes()
    except OSError as error:
        suite.errors.append(f"can't read {path.name}: {error.strerror}")
        return None
    script = compile_script(
        octets,
        str(path),
        suite.stage,
        limits=suite.limits,
        language=suite.language,
        loader=loader_of(suite.path),
    )
    if isinstance(script, CompileErrors):
        suite.errors.extend(script.texts)
        return None
    return script


def run_inner(run: Run, script: Script) -> bool:
    """Run a script on the current message and result; what it did becomes the run's own."""
    suite = suite_of(run)
    machine = Machine(
        script,
        Inputs(
            clock=clock_ns,
            message=run.message,
            envelope=run.envelope,
            environment=suite.environment,
            limits=suite.limits,
            result=run.result,
            host=suite,
            wall_s=run.wall_s,
        ),
    )
    suite.depth += 1
    suite.inner_failure = ""
    outcome = drive(machine, suite.pretended, suite.world)
    suite.depth -= 1
    run.result, run.message = machine.run.result, machine.run.message
    run.effects += machine.run.effects
    if isinstance(outcome, Failed):
        suite.errors.append(outcome.error.text)
        return False
    return not suite.inner_failure


def drive(machine: Machine, pretended: Pretended, world: World) -> Outcome:
    """Run a machine to its end; what it asks is answered from what the tester pretends."""
    event = machine.step()
    while not isinstance(event, Finished | Failed):
        if isinstance(event, Inquire):
            event = machine.step(inquire(event, pretended, machine.run.received))
        else:
            event = machine.step(answer(event, pretended, world))
    return event


def build_compile(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_script_compile PATH`; the path is relative to the script that says it."""
    text = compiler.text(bound.string(0))
    folder = FilePath(compiler.place(0).file).parent

    def run_compile(run: Run) -> int:
        suite = suite_of(run)
        suite.errors.clear()
        script = compile_into(suite, folder / text.get(run))
        suite.slot = script or suite.slot
        return script is not None

    return plain(run_compile)


def build_run(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_script_run [:append_result]`."""
    appends = bound.has("append_result")

    def run_run(run: Run) -> int:
        suite = suite_of(run)
        suite.errors.clear()
        if suite.slot is None:
            suite.errors.append("no script was compiled")
            return False
        if not appends:
            suite.renew_result(run, empties_outbox=False)
        return run_inner(run, suite.slot)

    return plain(run_run)


def build_multiscript(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_multiscript PATHS`: each runs as long as keep is in force, on a result of their own."""
    texts = compiler.texts(bound.strings(0))
    folder = FilePath(compiler.place(0).file).parent

    def run_all(run: Run) -> int:
        suite = suite_of(run)
        suite.errors.clear()
        kept = (run.result, run.message, suite.is_kept)
        run.result = Result(suite.limits)
        is_right = _run_scripts(run, [folder / text.get(run) for text in texts])
        run.result, run.message, suite.is_kept = kept
        return is_right

    return plain(run_all)


def _run_scripts(run: Run, paths: Sequence[FilePath]) -> bool:
    suite = suite_of(run)
    for path in paths:
        script = compile_into(suite, path)
        if script is None or not run_inner(run, script):
            return False
        suite.is_kept = path != paths[-1]  # the implicit keep is the last one's to carry out
        keeps = run.result.keeps_implicitly or any(isinstance(a, Keep) for a in run.result.actions)
        if not execute(run):
            return False
        if not keeps:
            break
    return True


def build_execute(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_result_execute`."""

    def run_execute(run: Run) -> int:
        suite = suite_of(run)
        suite.errors.clear()
        is_done = execute(run)
        if is_done:
            suite.pretended.commit(run.effects)
            run.effects.clear()
        return is_done

    return plain(run_execute)


def build_reset(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_result_reset`."""

    def run_reset(run: Run) -> int:
        suite_of(run).renew_result(run, empties_outbox=True)
        return GO

    return plain(run_reset)


def build_error(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_error [:index N] KEYS`: matches the texts of the error list."""
    return _list_test(compiler, bound, lambda run: suite_of(run).errors)


def build_action(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_result_action [:index N] KEYS`: matches the names of the explicit actions."""
    return _list_test(compiler, bound, lambda run: [a.name for a in run.result.actions])


def _list_test(
    compiler: Compiler, bound: Bound, entries: Callable[[Run], Sequence[str]]
) -> Code | None:
    number = bound.number_parameter("index")
    index = number.value if number else 0

    def values(run: Run) -> Sequence[str]:
        known = entries(run)
        return known if index == 0 else known[index - 1 : index]

    return value_test(compiler, bound, values, bound.strings(0), default=OCTET)


def build_binary_save(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_binary_save NAME`."""
    name, place = compiler.text(bound.string(0)), compiler.place(bound.at)

    def run_save(run: Run) -> int:
        suite = suite_of(run)
        if suite.slot is None:
            raise ScriptFailure("no script was compiled that could be saved", place)
        suite.binaries[name.get(run)] = suite.slot
        return GO

    return plain(run_save)


def build_binary_load(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_binary_load NAME`."""
    name, place = compiler.text(bound.string(0)), compiler.place(bound.at)

    def run_load(run: Run) -> int:
        suite = suite_of(run)
        if name.get(run) not in suite.binaries:
            raise ScriptFailure(f"no script was saved as '{name.get(run)[:60]}'", place)
        suite.slot = suite.binaries[name.get(run)]
        return GO

    return plain(run_load)


def build_print(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_result_print`, `test_message_print`: a dump for people."""
    is_message = bound.word.name == "test_message_print"

    def run_print(run: Run) -> int:
        shown = [str(field.raw) for field in run.message.header] if is_message else []
        for line in shown or [str(action) for action in run.result.actions]:
            print(f"# {line}")
        return GO

    return plain(run_print)


_KEYS: Final = (Positional(Kind.STRINGS, "keys"),)
_PATH: Final = (Positional(Kind.STRING, "path"),)
_LIST_TAGS: Final = (*MATCH_TAGS, Tag("index", takes=Kind.NUMBER))

WORDS: Final = (
    Word("test_script_compile", True, build_compile, _PATH),
    Word("test_script_run", True, build_run, tags=(Tag("append_result"),)),
    Word("test_multiscript", True, build_multiscript, (Positional(Kind.STRINGS, "paths"),)),
    Word("test_error", True, build_error, _KEYS, _LIST_TAGS),
    Word("test_result_action", True, build_action, _KEYS, _LIST_TAGS),
    Word("test_result_execute", True, build_execute),
    Word("test_result_reset", False, build_reset),
    Word("test_result_print", False, build_print),
    Word("test_message_print", False, build_print),
    Word("test_binary_save", False, build_binary_save, (Positional(Kind.STRING, "name"),)),
    Word("test_binary_load", False, build_binary_load, (Positional(Kind.STRING, "name"),)),
)


def test_extension(folder: str) -> Extension:
    """Return the extension of test files in a folder; it must never reach the production engine."""
    namespaces: dict[str, Namespace] = {
        "tst": lambda name: (
            None
            if "." in name or name.isdigit()
            else constant_text(folder if name == "path" else "")
        )
    }
    words = (*cases.WORDS, *WORDS)
    return Extension("vnd.dovecot.testsuite", words=words, namespaces=namespaces)
