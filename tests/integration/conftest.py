"""Real database servers for the tests that need one, one of each kind a session; and all that a test says."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.servers import MariaDB, NoServerError, Postgres, running_mariadb, running_postgres

if TYPE_CHECKING:
    from tests.support.ledger_conformance import Database

pytest.register_assert_rewrite("tests.support.ledger_conformance")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    try:
        with running_postgres() as server:
            yield server
    except NoServerError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    try:
        with running_mariadb() as server:
            yield server
    except NoServerError as reason:
        pytest.skip(str(reason))


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
