"""What the words of Columba that ask something have in common: variables for answers, tables, dicts, keys, effects.

Pure.
"""

import re
from typing import Final

from columba.common.dict.base import KEY_MAX
from columba.sieve.ext.rfc5229_variables import store, variable_name
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.errors import Position
from columba.sieve.lang.tree import String
from columba.sieve.lang.words import Kind, Tag
from columba.sieve.run.effects import Effect
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.requests import Answer, Found, Unavailable
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text, clean

DEFAULT_DICT: Final = "default"
AS_TAG: Final = Tag("as", takes=Kind.STRING)
DICT_TAG: Final = Tag("dict", takes=Kind.STRING)
EFFECTS: Final = 64  # that one run may have
_TIME: Final = re.compile(r"([0-9]{1,9})\s*(s|m|h|d|w|)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def result_variable(compiler: Compiler, bound: Bound, tag: str = "as") -> str | None:
    """Return the variable that a tag names, "" if the tag does not stand; None after an error."""
    node = bound.parameter(tag)
    if node is None:
        return ""
    if "variables" not in compiler.required:
        text = f"the :{tag} tag of the {bound.word} requires the extension 'variables'"
        compiler.error(bound.at, text)
        return None
    return variable_name(compiler, node)


def put_result(run: Run, name: str, value: str, place: Position) -> None:
    """Set the variable that result_variable gave, if there is one."""
    if name:
        store(run, name, value, place)


def dict_name(compiler: Compiler, node: String | None) -> str | None:
    """Return the name of a dict, the default one's if it is not said; None after an error."""
    if node is None:
        return DEFAULT_DICT
    name = compiler.constant(node, "the name of a dict")
    if name is not None and compiler.dicts is not None and name not in compiler.dicts:
        compiler.error(node.at, f"there is no dict '{name[:60]}'")
        return None
    return name


def table_name(compiler: Compiler, node: String) -> str | None:
    """Return the name of a look-up table; None after an error: a misspelt one is found when compiling."""
    name = compiler.constant(node, "the name of a look-up table")
    if name is not None and compiler.tables is not None and name not in compiler.tables:
        compiler.error(node.at, f"there is no look-up table '{name[:60]}'")
        return None
    return name


def key_of(run: Run, text: Text, place: Position) -> str:
    """Return a key. Raises ScriptFailure past the limit."""
    key = clean(text.get(run))
    if len(key) > KEY_MAX:
        raise ScriptFailure(f"a key of a dict has at most {KEY_MAX} characters", place)
    return key


def affect(run: Run, effect: Effect, place: Position) -> None:
    """Add a lasting effect to the run. Raises ScriptFailure past the limit."""
    if len(run.effects) >= EFFECTS:
        raise ScriptFailure(f"more than {EFFECTS} lasting effects", place)
    run.effects.append(effect)


def need(answer: Answer, what: str, place: Position) -> Answer:
    """Return an answer. Raises ScriptFailure, thus 451, if there is none."""
    if isinstance(answer, Unavailable):
        raise ScriptFailure(f"{what} does not answer: {answer.text}", place)
    return answer


def found_value(answer: Answer) -> str | None:
    """Return the value of Found, else None."""
    return answer.value if isinstance(answer, Found) else None


def seconds_of(text: str) -> int | None:
    """Return the seconds of "90", "15m", "1h", "2d"; None if it is no time."""
    match = _TIME.fullmatch(text.strip().lower())
    return int(match[1]) * _SECONDS[match[2]] if match else None
