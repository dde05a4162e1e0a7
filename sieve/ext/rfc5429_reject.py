"""reject and ereject (RFC 5429).

Pure. In the session stages, which know no message, use vnd.columba.smtp's reply.
"""

from typing import Final

from columba.sieve.core.actions import add_action
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import DISPOSITION
from columba.sieve.lang.words import Extension, Kind, Positional, Word
from columba.sieve.run.actions import Reject
from columba.sieve.run.code import Code, plain
from columba.sieve.run.values import clean, truncate


def _build(compiler: Compiler, bound: Bound) -> Code | None:
    reason, place = compiler.text(bound.string(0)), compiler.place(bound.at)
    is_extended, limit = bound.word.name == "ereject", compiler.limits.reply_bytes
    return plain(
        lambda run: add_action(
            run, Reject(clean(truncate(reason.get(run), limit)), is_extended), place
        )
    )


def _word(name: str) -> Word:
    return Word(name, False, _build, (Positional(Kind.STRING, "reason"),), stages=DISPOSITION)


REJECT: Final = Extension("reject", words=(_word("reject"),))
EREJECT: Final = Extension("ereject", words=(_word("ereject"),))
