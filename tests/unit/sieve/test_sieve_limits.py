"""Each bound of a script is a setting; a script that goes beyond ends in an error of its own."""

import time
from dataclasses import fields

import pytest

from columba.common.config.load import defaults
from columba.sieve.engine import CompileErrors, Failed, Finished, Script, compile_script
from columba.sieve.lang.includes import Loaded
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.settings import Settings, limits_of
from tests.fakes.sieve import outcome_of, run_text

DEFAULTS = Limits()


def made(text: str, limits: Limits) -> Script | CompileErrors:
    return compile_script(text.encode(), "test", Stage.DELIVERY, limits=limits)


def outcome(text: str, limits: Limits) -> Finished | Failed:
    script = made(text, limits)
    assert isinstance(script, Script), script.render()
    return outcome_of(script, limits=limits)


def test_the_settings_begin_at_the_defaults_of_the_engine() -> None:
    assert limits_of(defaults(Settings), {}, {}) == DEFAULTS


@pytest.mark.parametrize(
    ("setting", "value", "bound", "expected"),
    [
        ("sieve_max_script_size", 100, "script_bytes", 100),
        ("sieve_max_string_size", 100, "string_bytes", 100),
        ("sieve_max_nesting", 5, "nesting", 5),
        ("sieve_max_actions", 5, "actions", 5),
        ("sieve_max_redirects", 5, "redirects", 5),
        ("sieve_max_cpu_time", 0.5, "cpu_ms", 500),
        ("sieve_max_requests", 5, "requests", 5),
        ("sieve_variables_max_scope_size", 5, "variables", 5),
        ("sieve_variables_max_value_size", 5000, "variable_bytes", 5000),
        ("sieve_variables_max_value_size", 5, "variable_bytes", 4000),
        ("sieve_include_max_includes", 5, "includes", 5),
        ("sieve_include_max_nesting_depth", 5, "include_depth", 5),
        ("sieve_regex_max_size", 5, "regex_bytes", 5),
    ],
)
def test_each_setting_moves_its_bound(
    setting: str, value: float, bound: str, expected: int
) -> None:
    limits = limits_of(defaults(Settings, **{setting: value}), {}, {})
    changed = {
        each.name: getattr(limits, each.name)
        for each in fields(Limits)
        if getattr(limits, each.name) != getattr(DEFAULTS, each.name)
    }
    assert changed == {bound: expected}


@pytest.mark.parametrize(
    ("limits", "fits", "breaks", "said"),
    [
        (Limits(script_bytes=20), "keep;", "keep; # a long comment", "larger than 20 octets"),
        (Limits(string_bytes=3), 'redirect "a@b";', 'redirect "ab@b";', "longer than 3 octets"),
        (Limits(nesting=3), "if true { if true { keep; } }",
         "if true { if true { if true { } } }", "deeper than 3 levels"),
        (Limits(nesting=3), "if not true { }", "if not not true { }", "deeper than 3 levels"),
        (Limits(arguments=2), 'redirect "a@b";', "keep 1 2 3;", "more than 2 arguments"),
        (Limits(regex_bytes=3), 'require "regex"; if header :regex "a" "a+b" { }',
         'require "regex"; if header :regex "a" "a+bc" { }', "invalid regular expression"),
    ],
)  # fmt: skip
def test_bounds_of_compilation(limits: Limits, fits: str, breaks: str, said: str) -> None:
    allowed = made(fits, limits)
    assert isinstance(allowed, Script), allowed.render()
    refused = made(breaks, limits)
    assert isinstance(refused, CompileErrors)
    assert said in refused.errors[0].text


def test_bounds_of_includes() -> None:
    def load(location: str, name: str) -> Loaded:
        number = int(name)
        text = f'require "include"; include "{number + 1}";' if number < 9 else "keep;"
        return Loaded(text.encode(), name)

    def including(limits: Limits) -> Script | CompileErrors:
        text = b'require "include"; include "1";'
        return compile_script(text, "0", Stage.DELIVERY, limits=limits, loader=load)

    assert isinstance(including(DEFAULTS), Script)
    deep = including(Limits(include_depth=8))
    assert isinstance(deep, CompileErrors)
    assert "deeper than 8 levels" in deep.errors[0].text
    many = including(Limits(includes=8))
    assert isinstance(many, CompileErrors)
    assert "more than 8 scripts" in many.errors[0].text


@pytest.mark.parametrize(
    ("limits", "text", "said"),
    [
        (Limits(actions=2), 'require "fileinto"; fileinto "a"; fileinto "b"; fileinto "c";',
         "total number of actions exceeds policy limit"),
        (Limits(redirects=1), 'redirect "a@b.example"; redirect "c@b.example";',
         "number of redirect actions exceeds policy limit"),
        (Limits(variables=2), 'require "variables"; set "a" "1"; set "b" "1"; set "c" "1";',
         "more than 2 variables"),
    ],
)  # fmt: skip
def test_bounds_of_a_run(limits: Limits, text: str, said: str) -> None:
    assert isinstance(outcome(text, DEFAULTS), Finished)
    failed = outcome(text, limits)
    assert isinstance(failed, Failed)
    assert said in failed.error.text
    assert failed.error.position.line == 1


def test_a_value_is_cut() -> None:
    double = 'set "a" "${a}${a}";'
    text = f'require "variables"; set "a" "0123456789"; {double * 12} set :length "n" "${{a}}";'
    finished = outcome(text, DEFAULTS)
    assert isinstance(finished, Finished)
    assert finished.variables["n"] == "4096"


def test_cpu_time_ends_a_run() -> None:
    script = made("if true { keep; }\n" * 2000, DEFAULTS)
    assert isinstance(script, Script)
    failed = outcome_of(script, limits=Limits(cpu_ms=1), step_ns=1_000_000)
    assert isinstance(failed, Failed)
    assert "CPU time limit" in failed.error.text
    assert isinstance(outcome_of(script, limits=Limits(cpu_ms=1), step_ns=1), Finished)


@pytest.mark.parametrize("value", [b"(\\" * 60_000, b"a" + b" " * 120_000 + b"x", b"((" * 60_000])
def test_a_media_type_of_a_stranger_takes_no_time(value: bytes) -> None:
    message = b"Content-Type: " + value + b"\r\n\r\n"
    began_s = time.thread_time()
    run_text('require "mime"; if header :mime :type :is "content-type" "text" { stop; }', message)
    assert time.thread_time() - began_s < 1.0
