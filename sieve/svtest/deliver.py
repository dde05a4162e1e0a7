"""Carry out a result in the pretended world.

Storing comes first and is all or nothing: if a folder is not there, nothing is stored or sent, and the
message is kept without edits. Then the rest, in the order of the list.
"""

from columba.sieve.run.flags import internal_flags
from columba.sieve.run.state import Run
from columba.sieve.svtest.sending import send
from columba.sieve.svtest.storing import keep, store_all
from columba.sieve.svtest.suite import suite_of
from columba.sieve.svtest.world import FolderError, folder_name


def execute(run: Run) -> bool:
    """Carry out what was not yet carried out, the implicit keep too. False: an error was noted."""
    suite = suite_of(run)
    fresh = [entry for entry in run.result.entries if not entry.is_executed]
    keeps = run.result.keeps_implicitly and not suite.is_kept
    suite.is_kept = suite.is_kept or keeps
    run.result = run.result.executed()
    try:
        store_all(run, suite, fresh)
        for entry in fresh:
            send(run, suite, entry)
    except FolderError:
        keep(suite, suite.base)
        return False
    if keeps:
        keep(suite, run.message, internal_flags(run))
    return True


def folder_or_error(name: str) -> str:
    """Return what is wrong with a folder's name, or ""."""
    try:
        folder_name(name)
    except FolderError as error:
        return str(error)
    return ""
