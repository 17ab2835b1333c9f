"""Real database servers for the tests that need one: one of each kind a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import MariaDB, NoServerError, Postgres, running_mariadb, running_postgres

pytest.register_assert_rewrite("tests.ledger_conformance")


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
