"""A table that cannot be opened or created for a moment: another attempt within seconds succeeds."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy  # noqa: TID253  # the table is what is tested

from airflow_provider_contacts.ledgers.sql.db_errors import MomentaryError
from airflow_provider_contacts.ledgers.sql.open_table import open_ledger
from airflow_provider_contacts.ledgers.sql.table_ledger import SqlLedger
from airflow_provider_contacts.ledgers.sql.transactions import Patience
from tests.support.ledger_conformance import Database, claim, opening
from tests.support.servers import MariaDB, Postgres, running_postgres

if TYPE_CHECKING:
    from pathlib import Path


class Rests:
    """Stands in for sleeping: at the second rest, the trouble ends."""

    def __init__(self, end: Callable[[], object]) -> None:
        self.count = 0
        self._end = end

    def __call__(self, seconds: float) -> None:
        self.count += 1
        if self.count == 2:
            self._end()
        threading.Event().wait(seconds)


def claimed_after(database: Database, end: Callable[[], object]) -> set[str]:
    """Check that opening is tried again until the trouble has ended; return what can be claimed then."""
    rests = Rests(end)
    ledger = database.open(patience=Patience(30, sleep=rests))
    assert rests.count >= 2
    return claim(ledger, "one")


def holding(url: str, **how: Any) -> sqlalchemy.Connection:
    """Return a session that ends when it is closed."""
    return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, **how).connect()


def run(url: str, *statements: str) -> None:
    with holding(url, isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def postgres_role(postgres: Postgres, name: str) -> Database:
    """Return the database of a new role with a schema of its own."""
    run(
        postgres.url(),
        f"CREATE ROLE {name} LOGIN",
        f"CREATE SCHEMA {name} AUTHORIZATION {name}",
        f"ALTER ROLE {name} SET search_path = {name}",
    )
    return Database(postgres.url(user=name))


def reset(postgres: Postgres, database: Database, name: str, setting: str) -> None:
    """Take a setting from a role; a setting is read where a session begins."""
    run(postgres.url(), f"ALTER ROLE {name} RESET {setting}")
    for engine in database.engines:
        engine.dispose()


@pytest.mark.parametrize("there", [False, True], ids=["to be created", "there"])
def test_postgresql_that_is_read_only(postgres: Postgres, there: bool) -> None:
    name = f"readonly_{there}".lower()
    database = postgres_role(postgres, name)
    if there:
        database.open("before").close()
    run(postgres.url(), f"ALTER ROLE {name} SET default_transaction_read_only = on")

    ended = partial(reset, postgres, database, name, "default_transaction_read_only")
    assert claimed_after(database, ended) == {"one"}
    database.close()


@pytest.mark.parametrize(("limit", "table"), [("lock", "contact_outcomes"), ("statement", "contact_outcomes_runs")])
def test_postgresql_whose_lock_is_held(postgres: Postgres, limit: str, table: str) -> None:
    name = f"held_{limit}"
    database = postgres_role(postgres, name)
    database.open("before").close()
    holder = holding(postgres.url())
    holder.exec_driver_sql(f"LOCK TABLE {name}.{table} IN ACCESS EXCLUSIVE MODE")
    # Only while the lock is held: a busy machine needs longer than this for a statement that waits for nothing.
    run(postgres.url(), f"ALTER ROLE {name} SET {limit}_timeout = '100ms'")

    def end() -> None:
        holder.close()
        reset(postgres, database, name, f"{limit}_timeout")

    assert claimed_after(database, end) == {"one"}
    database.close()


def test_postgresql_that_has_no_connection_left(postgres: Postgres) -> None:
    database = postgres_role(postgres, "crowd")
    run(postgres.url(), "ALTER ROLE crowd CONNECTION LIMIT 0")
    assert claimed_after(database, lambda: run(postgres.url(), "ALTER ROLE crowd CONNECTION LIMIT 5")) == {"one"}
    database.close()


def test_postgresql_that_is_down() -> None:
    with running_postgres() as server:
        server.stop()
        database = Database(server.url())
        assert claimed_after(database, server.start) == {"one"}
        database.close()


def mariadb_user(mariadb: MariaDB, name: str) -> Database:
    """Return the database of a new user, with the tables in it."""
    user = f"{name}@localhost"
    run(mariadb.url(), f"CREATE DATABASE {name}", f"CREATE USER {user}", f"GRANT ALL ON {name}.* TO {user}")
    database = Database(mariadb.url(user=name, database=name))
    database.open("before").close()
    return database


def test_mariadb_that_is_read_only(mariadb: MariaDB) -> None:
    database = mariadb_user(mariadb, "readonly")
    run(mariadb.url(), "SET GLOBAL read_only = 1")
    try:
        assert claimed_after(database, lambda: run(mariadb.url(), "SET GLOBAL read_only = 0")) == {"one"}
    finally:
        run(mariadb.url(), "SET GLOBAL read_only = 0")
    database.close()


def test_mariadb_whose_lock_is_held(mariadb: MariaDB) -> None:
    database = mariadb_user(mariadb, "held")
    holder = holding(mariadb.url(database="held"))
    holder.exec_driver_sql("SET SESSION lock_wait_timeout = 60")
    holder.exec_driver_sql("LOCK TABLES contact_outcomes WRITE, contact_outcomes_runs WRITE")
    before = holder.exec_driver_sql("SELECT @@GLOBAL.lock_wait_timeout").scalar()
    run(mariadb.url(), "SET GLOBAL lock_wait_timeout = 1")
    try:
        assert claimed_after(database, holder.close) == {"one"}
    finally:
        run(mariadb.url(), f"SET GLOBAL lock_wait_timeout = {before}")
    database.close()


def test_sqlite_whose_file_is_locked(tmp_path: Path) -> None:
    # What another program does to a file that does not wait as long as we do.
    database = Database(f"sqlite:///{tmp_path}/x.db")
    database.open("before").close()
    impatient = Database(database.url)
    engine = impatient.engine()
    sqlalchemy.event.listen(engine, "connect", lambda one, _: one.execute("PRAGMA busy_timeout = 50").close())

    def begin(patience: Patience) -> SqlLedger:
        return open_ledger(opening(patience=patience), engine)

    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(MomentaryError, match="database is locked; another session or program"):
            begin(Patience(0))
        ledger = begin(Patience(30, sleep=Rests(lambda: holder.execute("ROLLBACK"))))
    assert claim(ledger, "one") == {"one"}
    impatient.close()
