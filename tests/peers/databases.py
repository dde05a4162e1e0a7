"""Real servers that tables and dicts are kept in: PostgreSQL, MariaDB, Redis, OpenLDAP; on unix sockets and loopback.

Each is made in a folder of its own, holds the same few users, and can be stopped and started again.
"""

import glob
import os
import pwd
import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from tests.peers.process import Program, answers, free_port, lacking, require, run

# Key and values of the table that every server has.
USERS = {
    "ann@own.example": ("people/ann",),
    "team@own.example": ("ann@own.example", "bob@own.example"),
    "o'hara@own.example": ("people/o'hara",),
    "jürgen@own.example": ("leute/jürgen",),
    "100%@own.example": ("percent",),
}


def as_user(name: str, argv: Sequence[str]) -> list[str]:
    """Return a command as another user, that still dies with us."""
    who = ["--reuid", name, "--regid", name, "--clear-groups", "--pdeathsig", "KILL"]
    return ["setpriv", *who, *argv]


class Database(ABC):
    """A server that a test starts, stops and starts again."""

    def __init__(self, folder: Path, name: str, user: str) -> None:
        self.folder = folder / name
        self.folder.mkdir(mode=0o755)
        os.chown(self.folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        self._logs, self._name, self._user = folder, name, user
        self._program: Program | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        argv = as_user(self._user, self.command())
        self._program = Program(argv, self._logs, self._name, cwd=self.folder)
        self._program.wait_ready(self.is_ready)

    def stop(self) -> None:
        """End it."""
        if self._program is not None:
            self._program.stop()

    @abstractmethod
    def command(self) -> list[str]:
        """Return what starts it."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Tell whether it takes questions."""

    def run(self, *argv: str, stdin: str = "") -> str:
        """Run a program of it as its user; return what it prints."""
        done = run(as_user(self._user, argv), 60, stdin=stdin.encode())
        assert done.returncode == 0, done.stdout
        return done.stdout


class Postgres(Database):
    """PostgreSQL with the database `mail`, user `columba`, password `secret`."""

    def __init__(self, folder: Path) -> None:
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found or os.geteuid() != 0:
            lacking("PostgreSQL is not installed, or we are not root")
        self._bin = found[-1]
        super().__init__(folder, "pg", "postgres")
        self.port = free_port()
        self._data = self.folder / "data"
        password = self.folder / "password"
        password.write_text("secret\n")
        password.chmod(0o644)
        self.run(
            f"{self._bin}/initdb", "-D", str(self._data), "-U", "columba", "-A", "scram-sha-256",
            "--pwfile", str(password), "--no-sync", "-E", "UTF8", "--locale=C",
        )  # fmt: skip
        self.start()
        rows = ",".join(
            f"('{key.replace(chr(39), chr(39) * 2)}', '{value.replace(chr(39), chr(39) * 2)}')"
            for key, values in USERS.items()
            for value in values
        )
        self.sql("create database mail", "postgres")
        self.sql(
            f"create table users (name text, box text); insert into users values {rows}", "mail"
        )

    @property
    def url(self) -> str:
        """Where it is."""
        return f"pgsql://columba@/mail?host={self.folder}&port={self.port}"

    def sql(self, text: str, database: str) -> None:
        """Run SQL."""
        where = (
            f"host={self.folder} port={self.port} user=columba password=secret dbname={database}"
        )
        self.run(f"{self._bin}/psql", "-q", "-v", "ON_ERROR_STOP=1", where, stdin=text + ";\n")

    def command(self) -> list[str]:
        """Return what starts it."""
        return [
            f"{self._bin}/postgres", "-D", str(self._data), "-k", str(self.folder), "-p", str(self.port),
            "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=8MB",
        ]  # fmt: skip

    def is_ready(self) -> bool:
        """Tell whether it takes questions."""
        done = run([f"{self._bin}/pg_isready", "-q", "-h", str(self.folder), "-p", str(self.port)])
        return done.returncode == 0

    def stop(self) -> None:
        """End it without waiting for its clients."""
        if self._program is not None:
            self._program.signal(signal.SIGINT)
        super().stop()


class Mariadb(Database):
    """MariaDB with the database `mail`, user `columba`, password `secret`."""

    def __init__(self, folder: Path) -> None:
        require("mariadbd", "mariadb-install-db", root=True)
        super().__init__(folder, "maria", "mysql")
        self.socket = str(self.folder / "s")
        self._data = self.folder / "data"
        self.run(
            "mariadb-install-db", f"--datadir={self._data}", "--auth-root-authentication-method=normal",
            "--skip-test-db", "--skip-name-resolve",
        )  # fmt: skip
        self.start()
        rows = ",".join(
            f"('{key.replace(chr(39), chr(39) * 2)}', '{value.replace(chr(39), chr(39) * 2)}')"
            for key, values in USERS.items()
            for value in values
        )
        text = (
            "create database mail character set utf8mb4; use mail;"
            "create table users (name varchar(200), box varchar(200));"
            f"insert into users values {rows};"
            "create user columba@localhost identified by 'secret';"
            "grant select on mail.* to columba@localhost;"
        )
        self.run(
            "mariadb",
            "-S",
            self.socket,
            "-u",
            "root",
            "--default-character-set=utf8mb4",
            stdin=text,
        )

    @property
    def url(self) -> str:
        """Where it is."""
        return f"mysql://columba:secret@localhost/mail?unix_socket={self.socket}"

    def command(self) -> list[str]:
        """Return what starts it."""
        return [
            "mariadbd", "--no-defaults", f"--datadir={self._data}", f"--socket={self.socket}",
            "--skip-networking", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M",
            "--skip-name-resolve", f"--pid-file={self.folder}/pid",
        ]  # fmt: skip

    def is_ready(self) -> bool:
        """Tell whether it takes questions."""
        return answers(self.socket)


class Redis(Database):
    """Redis with a password, on a unix socket."""

    def __init__(self, folder: Path) -> None:
        require("redis-server", "redis-cli", root=True)
        super().__init__(folder, "redis", "redis")
        self.socket = str(self.folder / "s")
        self.start()
        for key, values in USERS.items():
            self.cli("HSET", "boxes", key, values[0])
            self.cli("RPUSH", f"list/{key}", *values)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis+unix:{self.socket}"

    def cli(self, *words: str) -> str:
        """Run a command."""
        return self.run(
            "redis-cli", "-s", self.socket, "--no-auth-warning", "-a", "secret", *words
        ).strip()

    def command(self) -> list[str]:
        """Return what starts it."""
        return [
            "redis-server", "--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "777",
            "--requirepass", "secret", "--dir", str(self.folder), "--appendonly", "yes",
        ]  # fmt: skip

    def is_ready(self) -> bool:
        """Tell whether it takes questions."""
        return answers(self.socket)


class Slapd(Database):
    """OpenLDAP with ou=people,dc=own,dc=example; cn=columba may read with the password `secret`, nobody else may."""

    def __init__(self, folder: Path) -> None:
        require("slapd", "slapadd", root=True)
        super().__init__(folder, "slapd", "openldap")
        self.port = free_port()
        config = self.folder / "slapd.conf"
        (self.folder / "data").mkdir()
        shutil.chown(self.folder / "data", "openldap", "openldap")
        config.write_text(self._config())
        self.run("slapadd", "-q", "-f", str(config), stdin=self._entries())
        self.start()

    @property
    def url(self) -> str:
        """Where it is, with base, attribute and scope."""
        return f"ldap://127.0.0.1:{self.port}/ou=people,dc=own,dc=example?description?sub"

    def command(self) -> list[str]:
        """Return what starts it."""
        config = self.folder / "slapd.conf"
        return ["slapd", "-d", "0", "-f", str(config), "-h", f"ldap://127.0.0.1:{self.port}"]

    def is_ready(self) -> bool:
        """Tell whether it takes questions."""
        return answers(("127.0.0.1", self.port))

    def _config(self) -> str:
        return f"""
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {self.folder}/pid
database mdb
suffix "dc=own,dc=example"
rootdn "cn=columba,dc=own,dc=example"
rootpw secret
directory {self.folder}/data
access to * by anonymous auth by * none
"""

    @staticmethod
    def _entries() -> str:
        import base64

        def line(name: str, value: str) -> str:
            return f"{name}:: {base64.b64encode(value.encode()).decode()}"

        text = "dn: dc=own,dc=example\nobjectClass: dcObject\nobjectClass: organization\no: own\ndc: own\n\n"
        text += "dn: ou=people,dc=own,dc=example\nobjectClass: organizationalUnit\nou: people\n\n"
        for number, (key, values) in enumerate(USERS.items()):
            text += f"dn: uid=u{number},ou=people,dc=own,dc=example\nobjectClass: inetOrgPerson\n"
            lines = [line("cn", key), "sn: x", *(line("description", value) for value in values)]
            text += "\n".join(lines) + "\n\n"
        return text
