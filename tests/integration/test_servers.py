"""A server of the tests that crashes costs one test, not all that come after it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.servers import MariaDB

CRASHING = """
import os, signal
from contextlib import closing
import pymysql, pytest

@pytest.mark.parametrize("crashes", {crashes})
def test_one(mariadb, crashes):
    with closing(pymysql.connect(unix_socket=str(mariadb.socket), user="root")) as connection:
        if crashes:
            os.kill(mariadb.process.pid, signal.SIGSEGV)
            mariadb.process.wait()
        connection.cursor().execute("SELECT 1")
"""


def run(folder: Path, crashes: list[bool]) -> str:
    (folder / "test_it.py").write_text(CRASHING.format(crashes=crashes))
    options = ("-p", "tests.integration.conftest", "-p", "no:randomly", "-p", "no:cacheprovider", "-rs")
    command = [sys.executable, "-m", "pytest", *options, f"--rootdir={folder}", str(folder)]
    root = str(Path(__file__).parents[2])
    told = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=root, env={**os.environ, "PYTHONPATH": root}
    )
    return told.stdout


def test_one_crash_costs_one_test_and_shows_the_log(mariadb: MariaDB, tmp_path: Path) -> None:
    said = run(tmp_path, [False, True, False, False])
    assert "3 passed, 1 skipped" in said, said
    assert f"MariaDB {mariadb.version} ended by itself with -11" in said
    assert "ready for connections" in said


def test_a_second_crash_is_a_failure(mariadb: MariaDB, tmp_path: Path) -> None:
    said = run(tmp_path, [True, False, True, False])
    assert "1 failed, 2 passed, 1 skipped" in said, said
    assert mariadb.crash() is None
