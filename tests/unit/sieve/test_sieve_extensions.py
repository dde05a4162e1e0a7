"""Extensions whose effect the service can't have yet are errors in its stages, never passed over."""

import pytest

from columba.sieve.engine import CompileErrors, Script, compile_script
from columba.sieve.ext.registry import language
from columba.sieve.lang.stage import Stage

TESTER_ONLY = sorted(
    name for name, known in language().extensions.items() if Stage.DATA not in known.stages
)


@pytest.mark.parametrize("name", TESTER_ONLY)
def test_what_only_the_tester_can_do_is_refused_elsewhere(name: str) -> None:
    text = f'require "{name}";'.encode()
    assert isinstance(compile_script(text, "a", Stage.DELIVERY), Script)
    for stage in Stage:
        if stage is not Stage.DELIVERY:
            errors = compile_script(text, "a", stage)
            assert isinstance(errors, CompileErrors)
            wanted = f"the capability '{name}' can't be used in the {stage.value} stage"
            assert errors.errors[0].text == wanted


def test_ihave_tells_the_same() -> None:
    text = b'require ["ihave", "reject"]; if ihave "body" { body "x"; } else { reject "no"; }'
    assert isinstance(compile_script(text, "a", Stage.DATA), Script)


def test_body_is_for_the_tester_alone() -> None:
    assert "body" in TESTER_ONLY
    assert "date" not in TESTER_ONLY
