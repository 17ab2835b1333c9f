"""The shared rate in a table: one row an account.

The clock is the database's own, since workers' clocks differ; it is read with the row. No lock is held between two
statements: of two tasks that read the same row, one changes it, and the other reads it again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what shares a rate through a database
from sqlalchemy.exc import NoResultFound, ProgrammingError, SQLAlchemyError  # noqa: TID253  # likewise

from airflow_provider_contacts.errors import BudgetError, ConfigError
from airflow_provider_contacts.ledgers.sql.database import engine_of, run_all
from airflow_provider_contacts.ledgers.sql.db_errors import database_of, described

Result = TypeVar("Result")

BUDGETS = sa.Table(
    "contacts_rate_budgets",
    sa.MetaData(),
    sa.Column("budget", sa.String(64), primary_key=True),
    sa.Column("state", sa.String(64), nullable=False),
)

# Milliseconds since 1970, whatever time zone a session has.
POSTGRESQL_CLOCK = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
MYSQL_CLOCK = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(3)) DIV 1000"

# A task waits for nobody long. A commit that a dying PostgreSQL server forgets lets a few requests leave too early: not
# worth a wait for the disk.
MYSQL_SETTINGS = ("SET SESSION innodb_lock_wait_timeout = 5", "SET SESSION lock_wait_timeout = 5")
SETTINGS = {
    "postgresql": ("SET synchronous_commit = off", "SET statement_timeout = '5s'"),
    "mysql": MYSQL_SETTINGS,
    "mariadb": MYSQL_SETTINGS,
}

TRIES = 3
"""Times that statements are run: tasks start together and create together, and a pooled connection may be broken."""


def connect(hook: Any, where: str) -> sa.Engine:
    """Return an engine for the ``DbApiHook`` of an Airflow connection, which ``where`` names in error texts."""
    # There is nothing to roll back, and doing it would be one more round trip.
    engine = engine_of(hook, where, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)
    prepare(engine, where)
    return engine


def prepare(engine: sa.Engine, where: str) -> None:
    """Let every new connection wait for nobody long."""
    settings = SETTINGS.get(engine.dialect.name)
    if settings is None:
        raise ConfigError(f"{where}: a rate is shared through PostgreSQL, MySQL or MariaDB, not {engine.dialect.name}")

    def set_up(connection: Any, _: Any) -> None:
        if hasattr(connection, "prepare_threshold"):
            connection.prepare_threshold = None  # poolers take no prepared statements
        run_all(connection, settings)
        connection.commit()

    sa.event.listen(engine, "connect", set_up)


class RateRow:
    """One row of the table: a short text that many tasks change. ``BudgetError``: the database cannot be used.

    :param engine: whose statements commit by themselves.
    :param name: of the account, 64 characters at most.
    :param where: names the connection in error texts.
    """

    def __init__(self, engine: sa.Engine, name: str, where: str) -> None:
        self._engine, self._name, self._where = engine, name, where
        clock = POSTGRESQL_CLOCK if engine.dialect.name == "postgresql" else MYSQL_CLOCK
        self._reading = sa.select(BUDGETS.c.state, sa.literal_column(clock)).where(BUDGETS.c.budget == name)
        try:
            self._transact(self._begin)
        except BudgetError:
            self.close()
            raise

    def read(self) -> tuple[str, int]:
        """Return the text (empty: nothing yet) and the database's clock in milliseconds since 1970."""
        state, now = self._transact(self._read)
        return str(state), int(now)

    def replace(self, before: str, after: str) -> bool:
        """Write the text if it still is ``before``; return whether it was."""
        as_read = sa.update(BUDGETS).where(BUDGETS.c.budget == self._name, BUDGETS.c.state == before)
        return self._transact(lambda connection: connection.execute(as_read.values(state=after)).rowcount) == 1

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def _read(self, connection: sa.Connection) -> Any:
        try:
            return connection.execute(self._reading).one()
        except (ProgrammingError, NoResultFound):
            # A server that died may have forgotten the table, or the row.
            self._begin(connection)
            return connection.execute(self._reading).one()

    def _begin(self, connection: sa.Connection) -> None:
        """Make sure that the row is there; the right to create is needed only where there is no table."""
        BUDGETS.create(connection, checkfirst=True)
        if connection.execute(self._reading).one_or_none() is None:
            connection.execute(sa.insert(BUDGETS).values(budget=self._name, state=""))

    def _transact(self, work: Callable[[sa.Connection], Result]) -> Result:
        """Run statements; what a lost connection leaves open is at worst counted twice."""
        failure = BudgetError()
        for _ in range(TRIES):
            try:
                with self._engine.connect() as connection:
                    return work(connection)
            except SQLAlchemyError as error:
                failure = BudgetError(
                    f"{self._where}: the shared rate's database cannot be used: table {BUDGETS.name}, "
                    f"{database_of(self._engine.url)}: {described(error)}"
                )
        # Raised outside of the handler: chained to nothing that holds a value.
        raise failure
