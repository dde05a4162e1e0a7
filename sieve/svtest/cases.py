"""The words of a test file that change the state of the tester: cases, message, folders, settings."""

from typing import Final

from columba.sieve.ext.rfc5490_metadata import ANNOTATION
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.tree import Command
from columba.sieve.lang.words import Kind, Positional, Tag, Word
from columba.sieve.run.code import GO, Asked, Code, asking, plain
from columba.sieve.run.envelope import Envelope
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.state import Run
from columba.sieve.run.values import constant_text
from columba.sieve.svtest.deliver import folder_or_error
from columba.sieve.svtest.settings import limits_of, stage_of, tables_of, time_of, uses_of
from columba.sieve.svtest.suite import Suite, suite_of, with_member
from columba.sieve.svtest.world import FolderError

FAILED: Final = 100  # a flow: test_fail ends its case
SOURCE: Final = "source of the message"
SOURCE_TAGS: Final = (Tag("smtp", SOURCE), Tag("folder", SOURCE, Kind.STRING))
_MEMBERS: Final = frozenset({"from", "to", "orig_to", "auth"})


def build_test(compiler: Compiler, bound: Bound) -> Code | None:
    """`test NAME { … }`: one case."""
    if compiler.level:
        compiler.error(bound.at, "the test command may stand only at the top of the script")
        return None
    assert isinstance(bound.node, Command)
    compiler.text(bound.string(0))
    block = compiler.block(bound.node.block or ())
    if (inner := block.plain) is not None:
        return plain(lambda run: _end_case(suite_of(run), _begin_case(run) or inner(run)))

    def run_asking(run: Run) -> Asked:
        _begin_case(run)
        assert block.asking is not None
        flow = yield from block.asking(run)
        return _end_case(suite_of(run), flow)

    return asking(run_asking)


def _begin_case(run: Run) -> int:
    suite = suite_of(run)
    if not suite.depth:
        suite.started += 1
        suite.cases[suite.started - 1].is_started = True
    return GO


def _end_case(suite: Suite, flow: int) -> int:
    if not suite.depth and suite.case is not None:
        suite.case.is_over = True
    return GO if flow == FAILED and not suite.depth else flow


def build_fail(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_fail REASON`."""
    reason, place = compiler.text(bound.string(0)), compiler.place(bound.at)

    def run_fail(run: Run) -> int:
        suite = suite_of(run)
        if suite.case is None and not suite.depth:
            raise ScriptFailure(f"test_fail outside of a test: {reason.get(run)}", place)
        suite.fail(reason.get(run).strip())
        return FAILED

    return plain(run_fail)


def build_set(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_set OBJECT VALUE`."""
    node = bound.string(0)
    value = compiler.text(bound.string(1))
    target = node.value.lower()
    if target == "message":
        return plain(lambda run: _set_message(run, value.get(run)))
    envelope, _, member = target.partition(".")
    if envelope != "envelope" or member not in _MEMBERS:
        compiler.error(node.at, f"test_set knows no object '{node.value[:60]}'")
        return None

    def run_set(run: Run) -> int:
        run.envelope = with_member(run.envelope, member, value.get(run))
        run.message = suite_of(run).base
        return GO

    return plain(run_set)


def _set_message(run: Run, text: str) -> int:
    suite_of(run).set_message(run, text.encode("utf-8", "surrogateescape"))
    return GO


def build_config_set(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_config_set NAME VALUE`."""
    name, value = compiler.text(bound.string(0)), compiler.text(bound.string(1))

    def run_config_set(run: Run) -> int:
        suite_of(run).settings[name.get(run)] = value.get(run)
        return GO

    return plain(run_config_set)


def build_config_unset(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_config_unset NAME`."""
    name = compiler.text(bound.string(0))

    def run_config_unset(run: Run) -> int:
        suite_of(run).settings.pop(name.get(run), None)
        return GO

    return plain(run_config_unset)


def build_config_reload(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_config_reload [:extension NAME]`: all settings are read again, whatever NAME says."""
    node, place = bound.parameter("extension"), compiler.place(bound.at)
    name = compiler.constant(node, "the name of an extension") if node is not None else ""

    def run_reload(run: Run) -> int:
        suite = suite_of(run)
        if name and name not in suite.language.extensions:
            raise ScriptFailure(f"unknown extension '{name}'", place)
        suite.set_limits(run, limits_of(suite.settings))
        suite.world.uses = uses_of(suite.settings)
        suite.stage = stage_of(suite.settings)
        suite.pretended.tell(suite.settings, tables_of(suite.settings))
        run.wall_s = time_of(suite.settings, run.wall_s)
        return GO

    return plain(run_reload)


def build_mailbox_create(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_mailbox_create NAME`."""
    name = compiler.text(bound.string(0))

    def run_create(run: Run) -> int:
        suite = suite_of(run)
        try:
            suite.world.create(name.get(run))
        except FolderError as error:
            suite.fail(f"test_mailbox_create: {error}")
            return FAILED
        return GO

    return plain(run_create)


def build_mailbox_delete(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_mailbox_delete NAME`: fails its case, as no store of the tester deletes."""

    def run_delete(run: Run) -> int:
        suite_of(run).fail("test_mailbox_delete is not supported")
        return FAILED

    return plain(run_delete)


def build_metadata_set(compiler: Compiler, bound: Bound) -> Code | None:
    """`test_imap_metadata_set [:mailbox BOX] ANNOTATION VALUE`."""
    node, place = bound.parameter("mailbox"), compiler.place(bound.at)
    mailbox = compiler.text(node) if node is not None else constant_text("")
    name, value = compiler.text(bound.string(0)), compiler.text(bound.string(1))

    def run_metadata(run: Run) -> int:
        if not ANNOTATION.fullmatch(name.get(run)):
            raise ScriptFailure(f"'{name.get(run)[:60]}' is no valid annotation", place)
        try:
            suite_of(run).world.annotate(mailbox.get(run), name.get(run), value.get(run))
        except FolderError as error:
            raise ScriptFailure(str(error), place) from error
        return GO

    return plain(run_metadata)


def message_loader(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `test_message SOURCE INDEX` as a test: true if the message is there, and now current."""
    if bound.in_group(SOURCE) is None:
        compiler.error(bound.at, "test_message requires :smtp or :folder")
        return None
    index, node = bound.number(0).value, bound.parameter("folder")
    if node is None:
        return plain(lambda run: _load_sent(run, index))
    folder = compiler.text(node)
    if folder.constant is not None and (wrong := folder_or_error(folder.constant)):
        compiler.error(node.at, f"{wrong} '{folder.constant!a:.60}'")
        return None
    return plain(lambda run: _load_stored(run, folder.get(run), index))


def build_message(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `test_message` as a command: the case fails if the message is not there."""
    loader = message_loader(compiler, bound)
    if loader is None or loader.plain is None:
        return None
    load = loader.plain

    def run_message(run: Run) -> int:
        if load(run):
            return GO
        suite_of(run).fail("test_message: there is no such message")
        return FAILED

    return plain(run_message)


def _load_sent(run: Run, index: int) -> bool:
    suite = suite_of(run)
    if index >= len(suite.world.outbox):
        return False
    sent = suite.world.outbox[index]
    suite.set_message(run, sent.octets)
    login = run.envelope.login
    run.envelope = Envelope(sent.sender, (sent.recipient,), sent.recipient, login)
    return True


def _load_stored(run: Run, folder: str, index: int) -> bool:
    suite = suite_of(run)
    try:
        messages = suite.world.folder(folder)
    except FolderError:
        return False
    if index >= len(messages):
        return False
    suite.set_message(run, messages[index].octets, messages[index].flags)
    return True


_INDEX: Final = (Positional(Kind.NUMBER, "index"),)
_NAME: Final = (Positional(Kind.STRING, "name"),)
_TWO: Final = (Positional(Kind.STRING, "name"), Positional(Kind.STRING, "value"))

WORDS: Final = (
    Word("test", False, build_test, _NAME, has_block=True),
    Word("test_fail", False, build_fail, (Positional(Kind.STRING, "reason"),)),
    Word("test_set", False, build_set, _TWO),
    Word("test_config_set", False, build_config_set, _TWO),
    Word("test_config_unset", False, build_config_unset, _NAME),
    Word(
        "test_config_reload",
        False,
        build_config_reload,
        tags=(Tag("extension", takes=Kind.STRING),),
    ),
    Word("test_mailbox_create", False, build_mailbox_create, _NAME),
    Word(
        "test_imap_metadata_set",
        False,
        build_metadata_set,
        _TWO,
        (Tag("mailbox", takes=Kind.STRING),),
    ),
    Word("test_mailbox_delete", False, build_mailbox_delete, _NAME),
    Word("test_message", False, build_message, _INDEX, SOURCE_TAGS),
    Word("test_message", True, message_loader, _INDEX, SOURCE_TAGS),
)
