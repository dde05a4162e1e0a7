"""What an id tells."""

import time

import pytest

from columba.common.idforms import derived_id, made_s
from columba.common.ids import new_id


def test_an_id_tells_when_it_was_made() -> None:
    before_s = time.time()
    id = new_id()
    assert before_s - 0.001 <= made_s(id) <= time.time()
    assert made_s(derived_id(id, "failed")) == made_s(f"{id}.3") == made_s(id)
    assert made_s("01ARZ3NDEKTSV4RRFFQ69G5FAV") == 1_469_922_850.259  # of the ULID specification


@pytest.mark.parametrize("text", ["", "01ARZ3NDE", "01ARZ3NDEI0000000000000000", "env"])
def test_what_is_no_id_tells_nothing(text: str) -> None:
    assert made_s(text) == 0.0
