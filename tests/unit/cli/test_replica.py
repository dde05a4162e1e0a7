"""columbadm replica: keys and members."""

from pathlib import Path

import zmq
from click.testing import CliRunner, Result
from zmq.utils import z85

from columba.master.cli.__main__ import columbadm
from tests.fakes.replicas import Replicas


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(columbadm, list(arguments))


def test_a_key_is_made_once_and_fits_its_public_half(tmp_path: Path) -> None:
    path = tmp_path / "key"
    done = invoke("replica", "key", str(path))
    assert done.exit_code == 0
    assert zmq.curve_public(path.read_bytes().strip()) == z85.encode(
        bytes.fromhex(done.stdout.split()[-1])
    )
    assert path.stat().st_mode & 0o777 == 0o640
    again = invoke("replica", "key", str(path))
    assert again.exit_code == 73
    assert "exists" in again.output


def test_status_says_who_answers_and_whether_they_are_enough(tmp_path: Path) -> None:
    replicas = Replicas(tmp_path)
    try:
        conf = write_config(tmp_path, replicas)
        replicas.stop("m2")
        done = invoke("-c", str(conf), "replica", "status")
        assert done.exit_code == 0, done.output
        assert done.stdout.count(" yes") == 2
        replicas.stop("m1")
        assert invoke("-c", str(conf), "replica", "status").exit_code == 75
    finally:
        replicas.close()


def write_config(folder: Path, replicas: Replicas) -> Path:
    text = f"columba_config_version = 1.0\nqueue_url = replica:{folder}/m0\n"
    text += replicas.settings("m0", folder)
    conf = folder / "columba.conf"
    conf.write_text(text)
    return conf
