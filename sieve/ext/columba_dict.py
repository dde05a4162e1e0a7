"""vnd.columba.dict: values that outlive a message. docs/sieve/vnd.columba.dict.md.

Pure. Reading asks at once; what is written becomes an effect of the run, done when the mail was delivered or queued.
The run itself sees what it has written.
"""

from typing import Final

from columba.common.dict.base import VALUE_MAX, number
from columba.sieve.ext.columba_parts import (
    AS_TAG,
    affect,
    dict_name,
    found_value,
    key_of,
    need,
    put_result,
    result_variable,
)
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import GO, Asked, Code, asking, plain
from columba.sieve.run.effects import Effect, written
from columba.sieve.run.requests import DictAdd, DictGet
from columba.sieve.run.state import Run
from columba.sieve.run.values import clean, truncate

_DICT: Final = Positional(Kind.STRING, "dict")
_KEY: Final = Positional(Kind.STRING, "key")
_EXPIRES: Final = Tag("expires", takes=Kind.NUMBER)


def build_get(compiler: Compiler, bound: Bound) -> Code | None:
    """Build the test `dict_get`: the first key that has a value."""
    place = compiler.place(bound.at)
    name, variable = dict_name(compiler, bound.string(0)), result_variable(compiler, bound)
    keys = compiler.texts(bound.strings(1))
    if name is None or variable is None:
        return None

    def run_get(run: Run) -> Asked:
        for text in keys:
            key = key_of(run, text, place)
            answer = need((yield DictGet(name, key)), f"dict '{name}'", place)
            value = written(run.effects, name, key, found_value(answer))
            if value is not None:
                put_result(run, variable, value, place)
                return True
        return False

    return asking(run_get)


def build_set(compiler: Compiler, bound: Bound) -> Code | None:
    """Build the command `dict_set`."""
    place, name = compiler.place(bound.at), dict_name(compiler, bound.string(0))
    key, value = compiler.text(bound.string(1)), compiler.text(bound.string(2))
    expires = bound.number_parameter("expires")
    if name is None:
        return None

    def run_set(run: Run) -> int:
        text = truncate(clean(value.get(run)), VALUE_MAX)
        affect(
            run,
            Effect(
                "set",
                key_of(run, key, place),
                name,
                value=text,
                expires_s=expires.value if expires else 0,
            ),
            place,
        )
        return GO

    return plain(run_set)


def build_delete(compiler: Compiler, bound: Bound) -> Code | None:
    """Build the command `dict_delete`."""
    place, name = compiler.place(bound.at), dict_name(compiler, bound.string(0))
    key = compiler.text(bound.string(1))
    if name is None:
        return None

    def run_delete(run: Run) -> int:
        affect(run, Effect("unset", key_of(run, key, place), name), place)
        return GO

    return plain(run_delete)


def build_increment(compiler: Compiler, bound: Bound) -> Code | None:
    """Build the command `dict_increment`; with :tries the number grows at once."""
    place, name = compiler.place(bound.at), dict_name(compiler, bound.string(0))
    key, variable = compiler.text(bound.string(1)), result_variable(compiler, bound)
    by, expires = bound.number_parameter("by"), bound.number_parameter("expires")
    expires_s, amount = expires.value if expires else 0, by.value if by else 1
    amount = -amount if bound.has("down") else amount
    if name is None or variable is None:
        return None

    def run_tries(run: Run) -> Asked:
        asked = DictAdd(name, key_of(run, key, place), amount, expires_s)
        answer = need((yield asked), f"dict '{name}'", place)
        put_result(run, variable, found_value(answer) or "", place)
        return GO

    def run_increment(run: Run) -> int:
        wanted = key_of(run, key, place)
        affect(run, Effect("add", wanted, name, amount=amount, expires_s=expires_s), place)
        return GO

    def run_told(run: Run) -> Asked:
        wanted = key_of(run, key, place)
        answer = need((yield DictGet(name, wanted)), f"dict '{name}'", place)
        run_increment(run)
        sum_ = number(written(run.effects, name, wanted, found_value(answer)))
        put_result(run, variable, str(sum_), place)
        return GO

    if bound.has("tries"):
        return asking(run_tries)
    return asking(run_told) if variable else plain(run_increment)


DICT: Final = Extension(
    "vnd.columba.dict",
    words=(
        Word("dict_get", True, build_get, (_DICT, Positional(Kind.STRINGS, "keys")), (AS_TAG,)),
        Word(
            "dict_set",
            False,
            build_set,
            (_DICT, _KEY, Positional(Kind.STRING, "value")),
            (_EXPIRES,),
        ),
        Word("dict_delete", False, build_delete, (_DICT, _KEY)),
        Word(
            "dict_increment",
            False,
            build_increment,
            (_DICT, _KEY),
            (AS_TAG, _EXPIRES, Tag("by", takes=Kind.NUMBER), Tag("down"), Tag("tries")),
        ),
    ),
)
