"""Real database servers for the tests that need one, one of each kind a session; and all that a test says."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import MariaDB, NoServerError, Postgres, running_mariadb, running_postgres

if TYPE_CHECKING:
    from tests.support.ledger_conformance import Database

pytest.register_assert_rewrite("tests.support.ledger_conformance")

MARIADB = pytest.StashKey[MariaDB]()
CRASHES = pytest.StashKey[int]()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    try:
        with running_postgres() as server:
            yield server
    except NoServerError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def mariadb(request: pytest.FixtureRequest) -> Iterator[MariaDB]:
    try:
        with running_mariadb() as server:
            request.config.stash[MARIADB] = server
            yield server
    except NoServerError as reason:
        pytest.skip(str(reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Start MariaDB again where it has crashed; the first test to meet a crash is skipped, and the log is shown.

    10.11 has been seen to crash once in some dozens of runs, each time in another test. A test that crashes it every
    time meets a second crash, and fails.
    """
    report = yield
    server = item.config.stash.get(MARIADB, None)
    if server is None or not report.failed or (log := server.crash()) is None:
        return report
    server.start()
    with warnings.catch_warnings(action="ignore"):
        gc.collect()  # the sockets that the driver has left open: no later test is to blame
    item.config.stash[CRASHES] = crashes = item.config.stash.get(CRASHES, 0) + 1
    report.sections.append(("MariaDB", log))
    if crashes == 1:
        item.config.get_terminal_writer().line(f"\n{log}")
        file, line, _ = item.location
        report.outcome, report.longrepr = "skipped", (file, (line or 0) + 1, log.partition(";")[0])
    return report


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database_of_any_kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Return an empty database of each kind in turn."""
    from tests.support.fresh_databases import fresh_database

    with closing(fresh_database(request.param, request, tmp_path)) as found:
        yield found


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """Return what gives all that the test has logged, at every level and with its arguments, and printed."""
    # The last level is the handler's, too; Airflow gives some loggers levels of their own.
    caplog.set_level(logging.INFO, "sqlalchemy.engine")
    for name in ("", "airflow_provider_contacts", "aiohttp", "asyncio", "httpcore", "httpx", "airflow"):
        caplog.set_level(logging.DEBUG, name)
    form = logging.Formatter("%(name)s %(message)s")

    def texts() -> list[str]:
        logged = [f"{form.format(record)} {record.args!r}" for record in caplog.get_records("call")]
        return [*logged, *capfd.readouterr()]

    return texts
