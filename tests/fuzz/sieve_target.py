"""Coverage-guided fuzzing of the Sieve engine: `python -m tests.fuzz.sieve_target script|message [ATHERIS OPTIONS]`.

Nothing may raise: any octets as a script compile or have errors, and what compiles runs; any octets as a message
can be tested, edited and sent by a script that uses every extension. Needs the group `fuzz` of dependencies.
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["columba"]):
    from columba.sieve.lang.stage import Stage
    from columba.sieve.run.machine import Script
    from tests.fakes.sieve_fuzz import EVERYTHING, compiled_or_errors, outcome_of_message

STAGES: Final = tuple(Stage)
SCRIPTS: Final = Path(__file__).resolve().parents[1] / "sieve"
MESSAGE: Final = (
    b"From: Ann <a+b@c.example>\r\nTo: =?utf-8?q?J=C3=B6?= <j@d.example>, g: x@y.example;\r\n"
    b"Subject: [x] hello\r\nDate: Tue, 1 Apr 1997 09:06:31 -0800\r\nX-A: 3\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>hi\r\n--b--\r\n"
)
PLAIN: Final = (
    b"From: a@b\r\nTo: c@d, (x) e <f@g>\r\nSubject: =?utf-8?b?w7w=?=\r\nX-A: 1 2\r\n\r\nbody\r\n",
    b"Content-Type: text/plain; charset=utf-7; name*0*=utf-8''%C3; name*1=x\r\n\r\n+AGE-\r\n",
    b"Content-Type: message/rfc822\r\n\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==\r\n",
)
_everything: Final = compiled_or_errors(EVERYTHING.encode(), Stage.DELIVERY)


def try_script(octets: bytes) -> None:
    """Compile octets for the stage that the first one chooses, and run what compiles."""
    if not octets:
        return
    script = compiled_or_errors(octets[1:], STAGES[octets[0] % len(STAGES)])
    if isinstance(script, Script):
        outcome_of_message(script, MESSAGE)


def try_message(octets: bytes) -> None:
    """Run the script that does everything on octets."""
    assert isinstance(_everything, Script), _everything.render()
    outcome_of_message(_everything, octets)


TARGETS: Final = {"script": try_script, "message": try_message}


def seeds(name: str) -> list[bytes]:
    """Return inputs to begin with."""
    if name == "message":
        return [MESSAGE, *PLAIN]
    stage = bytes([STAGES.index(Stage.DELIVERY)])
    files = [*SCRIPTS.rglob("*.sieve"), *SCRIPTS.glob("*.svtest")]
    return [stage + EVERYTHING.encode(), *(stage + file.read_bytes() for file in sorted(files))]


def main() -> None:
    """Fuzz what the first argument names until the options of atheris end it."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz.sieve_target {'|'.join(TARGETS)} [OPTIONS]")
    name = sys.argv.pop(1)
    with tempfile.TemporaryDirectory() as folder:
        for number, octets in enumerate(seeds(name)):
            (Path(folder) / str(number)).write_bytes(octets)
        atheris.Setup([*sys.argv, folder, f"-artifact_prefix={Path.cwd()}/"], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
