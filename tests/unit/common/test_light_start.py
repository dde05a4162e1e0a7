"""Each process imports what it works with, and nothing else: a server starts nine of them."""

import json
import subprocess
import sys

import pytest

READS_CONFIGURATION = {"columba.common.config.parser", "columba.common.config.resolve"}
SCRIPTS = {"lark", "columba.sieve.engine"}
S3 = {"minio", "urllib3"}
REPLICA = {"columba.queue.store.replica.store", "sqlite3"}
DNS = {"dns"}
KEYS = {"cryptography"}
PASSWORDS = {"argon2", "bcrypt", "passlib"}
SERVICE = READS_CONFIGURATION | S3 | PASSWORDS
SMALL = SERVICE | SCRIPTS | DNS | KEYS | {"sqlite3", "columba.common.mail"}
DRIVERS = {"aiomysql", "asyncpg", "ldap3", "redis"}
WITHOUT = {
    "columba.master.main": {"asyncio", "zmq", "uvloop"} | SCRIPTS | S3 | DNS | PASSWORDS,
    "columba.master.check.__main__": S3 | REPLICA - {"sqlite3"} | DNS | {"uvloop"},
    "columba.master.anvil.service": SMALL,
    "columba.master.log.service": SMALL,
    "columba.master.stats.service": SMALL,
    "columba.master.auth.service": SMALL - PASSWORDS,
    "columba.smtpd.service": SERVICE | SCRIPTS | DNS,
    "columba.sieve.service": SERVICE,
    "columba.delivery.signer.service": SERVICE - {"bcrypt"}
    | SCRIPTS
    | DNS,  # cryptography brings it
    "columba.delivery.service": SERVICE | SCRIPTS | KEYS,
    "columba.queue.service": SERVICE | SCRIPTS | KEYS | REPLICA | DNS,
}
SAY_MODULES = "import json, sys; __import__(sys.argv[1]); print(json.dumps(list(sys.modules)))"


@pytest.mark.parametrize("process", WITHOUT)
def test_a_process_imports_nothing_that_it_does_not_use(process: str) -> None:
    argv = [sys.executable, "-c", SAY_MODULES, process]
    done = subprocess.run(argv, stdout=subprocess.PIPE, timeout=60, check=True)
    names = set(json.loads(done.stdout))
    assert process in names
    assert not names & (WITHOUT[process] | DRIVERS)
