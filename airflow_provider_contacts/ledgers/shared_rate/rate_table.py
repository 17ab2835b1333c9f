"""The shared rate in a table: one row an account.

The clock is the database's own, since workers' clocks differ; it is read with the row. No lock is held between two
statements: of two tasks that read the same row, one changes it, and the other reads it again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what shares a rate through a database
from sqlalchemy.exc import IntegrityError, SQLAlchemyError  # noqa: TID253  # likewise

from airflow_provider_contacts.errors import BudgetError, ConfigError
from airflow_provider_contacts.ledgers.sql.database import driver_extras, run_all
from airflow_provider_contacts.ledgers.sql.db_errors import (
    AWAY,
    CREDENTIAL,
    CROWDED,
    NAMELESS,
    NO_DATABASE,
    cause_of,
    database_of,
    describe,
    lost,
)

Result = TypeVar("Result")

BUDGETS = sa.Table(
    "contacts_rate_budgets",
    sa.MetaData(),
    sa.Column("budget", sa.String(64), primary_key=True),
    sa.Column("state", sa.String(64), nullable=False),
)

# Milliseconds since 1970, whatever time zone a session has.
MYSQL_CLOCK = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(3)) DIV 1000"
CLOCKS = {
    "postgresql": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
    "mysql": MYSQL_CLOCK,
    "mariadb": MYSQL_CLOCK,
}

MYSQL_SETTINGS = (
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION innodb_lock_wait_timeout = 5",
    "SET SESSION lock_wait_timeout = 5",
)
SETTINGS = {
    "postgresql": (
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
        # A commit that a dying server forgets lets a few requests leave too early: not worth a wait for the disk.
        "SET synchronous_commit = off",
        "SET statement_timeout = '5s'",
    ),
    "mysql": MYSQL_SETTINGS,
    "mariadb": MYSQL_SETTINGS,
}

TRIES = 5
"""Times that a connection is made anew."""


def connect(hook: Any, where: str) -> sa.Engine:
    """Return an engine for the ``DbApiHook`` of an Airflow connection, which ``where`` names in error texts."""
    settings: dict[str, Any] = {
        "hide_parameters": True,
        "isolation_level": "AUTOCOMMIT",
        "pool_reset_on_return": None,  # there is nothing to roll back, and it would be one more round trip
        "pool_size": 1,
    }
    if extras := driver_extras(hook):
        settings["connect_args"] = extras
    try:
        engine: sa.Engine = hook.get_sqlalchemy_engine(engine_kwargs=settings)
    except (SQLAlchemyError, ImportError, NotImplementedError) as error:
        # SQLAlchemy's own text may quote the URL.
        raise ConfigError(f"{where}: no SQLAlchemy engine ({type(error).__name__})") from None
    prepare(engine, where)
    return engine


def prepare(engine: sa.Engine, where: str) -> None:
    """Let every new connection see what others have written, and wait for nobody long."""
    settings = SETTINGS.get(engine.dialect.name)
    if settings is None:
        raise ConfigError(
            f"{where}: a rate is shared through PostgreSQL, MySQL, MariaDB or Redis, not {engine.dialect.name}"
        )

    def set_up(connection: Any, _: Any) -> None:
        if hasattr(connection, "prepare_threshold"):
            connection.prepare_threshold = None  # poolers take no prepared statements
        run_all(connection, settings)
        connection.commit()

    sa.event.listen(engine, "connect", set_up)


def create(connection: sa.Connection) -> None:
    """Create the table; unlike what stands in it, it must not be forgotten when the server dies."""
    if connection.dialect.name != "postgresql":
        BUDGETS.create(connection)
        return
    connection.exec_driver_sql("SET synchronous_commit = on")
    BUDGETS.create(connection)
    connection.exec_driver_sql("SET synchronous_commit = off")


class SqlStore:
    """One row of the table; see :class:`airflow_provider_contacts.ledgers.shared_rate.limiter.StateStore`.

    :param engine: whose statements commit by themselves.
    :param name: of the account, 64 characters at most.
    :param where: names the connection in error texts.
    """

    def __init__(self, engine: sa.Engine, name: str, where: str) -> None:
        self._engine, self._name, self._where = engine, name, where
        clock: sa.ColumnClause[Any] = sa.literal_column(CLOCKS[engine.dialect.name])
        self._reading = sa.select(BUDGETS.c.state, clock).where(BUDGETS.c.budget == name)
        try:
            self._transact(self._begin)
        except BudgetError:
            self.close()
            raise

    def read(self) -> tuple[str, int]:
        """Return the row's text and the database's clock."""
        state, now = self._transact(self._read)
        return str(state), int(now)

    def replace(self, before: str, after: str) -> bool:
        """Write the text if the row is as it was read."""
        as_read = sa.update(BUDGETS).where(BUDGETS.c.budget == self._name, BUDGETS.c.state == before)
        return self._transact(lambda connection: connection.execute(as_read.values(state=after)).rowcount) == 1

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def _read(self, connection: sa.Connection) -> Any:
        row = connection.execute(self._reading).one_or_none()
        if row is None:
            self._begin(connection)
            row = connection.execute(self._reading).one()
        return row

    def _begin(self, connection: sa.Connection) -> None:
        """Make sure that the row is there; the right to create is needed only where there is no table."""
        if not sa.inspect(connection).has_table(BUDGETS.name):
            try:
                create(connection)
            except SQLAlchemyError:
                # Tasks start together and create together.
                if not sa.inspect(connection).has_table(BUDGETS.name):
                    raise
        if connection.execute(self._reading).one_or_none() is None:
            try:
                connection.execute(sa.insert(BUDGETS).values(budget=self._name, state=""))
            except IntegrityError:
                return  # likewise

    def _transact(self, work: Callable[[sa.Connection], Result]) -> Result:
        """Run statements; what a lost connection leaves open is at worst counted twice."""
        failure = BudgetError()
        for left in reversed(range(TRIES)):
            try:
                with self._engine.connect() as connection:
                    return work(connection)
            except SQLAlchemyError as error:
                failure = BudgetError(
                    f"{self._where}: the shared rate's database cannot be used: table {BUDGETS.name}, "
                    f"{database_of(self._engine.url)}: {describe(error)}{advice(error)}"
                )
                if not left or not lost(error):
                    break
        # Raised outside of the handler: chained to nothing that holds a value.
        raise failure


def advice(error: SQLAlchemyError) -> str:
    """Return what to do about an error, where that is the same as for an outcome table; else nothing."""
    cause = cause_of(error)
    return f"; {cause.advice}" if cause in {AWAY, CREDENTIAL, CROWDED, NAMELESS, NO_DATABASE} else ""
