"""Real database servers for the tests that need one: one of each kind a session."""

from __future__ import annotations

from collections.abc import Iterator
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
