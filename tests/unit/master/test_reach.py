import os
from pathlib import Path

import pytest

from columba.master.privileges import Identity, own_identity
from columba.master.reach import make_file, obstacle

NOBODY = Identity(65534, 65534, True)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as others")


@root_only
def test_the_first_path_that_a_user_can_not_use_is_named(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    (hidden / "python").write_text("")
    (hidden / "python").chmod(0o755)
    path = str(hidden / "python")
    assert obstacle(NOBODY, [("/", os.R_OK), (path, os.X_OK)]) == path
    assert obstacle(NOBODY, [("/", os.R_OK), ("/dev/null", os.W_OK)]) == ""


def test_without_a_change_of_user_nothing_is_tried() -> None:
    assert obstacle(own_identity(), [("/nowhere", os.R_OK)]) == ""


@root_only
def test_a_log_file_is_made_for_its_user_and_never_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    make_file(str(path), NOBODY)
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (NOBODY.uid, 0o640)
    path.write_text("a line")
    make_file(str(path), NOBODY)
    assert path.read_text() == "a line"
