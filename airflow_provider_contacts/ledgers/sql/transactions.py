"""Transactions that tell what failed: step by step, or with PostgreSQL and psycopg 3 in one exchange."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.errors import InterruptedPushError, LedgerError
from airflow_provider_contacts.ledgers.sql.database import POSTGRESQL_SETTINGS, READING
from airflow_provider_contacts.ledgers.sql.db_errors import (
    MomentaryError,
    failure_of,
    lost,
    refused,
    rolled_back,
    sqlstate,
)
from airflow_provider_contacts.ledgers.sql.rows import shortened
from airflow_provider_contacts.ledgers.sql.statements import ManyRows, Row

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Call = tuple[ManyRows, Sequence[Row]]
Written = Counter[ManyRows]
Statement = tuple[str, Any]

BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
COMMITTED = "COMMIT"
CONDITION_FAILED = "22012"  # SQLSTATE of a division by zero, by which a fence or a claim fails

TRIES = 3
OPENING_SECONDS = 10.0
FIRST_WAIT, LONGEST_WAIT, SLICE = 0.2, 2.0, 0.1


def transact(
    engine: Engine,
    work: Callable[[Connection], Result],
    *,
    repeatable: bool = False,
    is_reading: bool = False,
) -> Result:
    """Run ``work`` in one transaction that is durable when this returns; see :func:`repeated`."""

    def once() -> Result:
        with engine.connect().execution_options(**{READING: is_reading}) as connection, connection.begin():
            return work(connection)

    return repeated(engine, once, repeatable=repeatable)


def reading(engine: Engine, work: Callable[[Connection], Result]) -> Result:
    """Return what a transaction finds that writes nothing and takes no lock."""
    return transact(engine, work, repeatable=True, is_reading=True)


def repeated(engine: Engine, once: Callable[[], Result], *, repeatable: bool) -> Result:
    """Run one transaction, again where the database has rolled it back.

    :param repeatable: whether it may run again after a commit whose fate is not known.
    :raises LedgerError: with a text that quotes no row, and without the driver's exception, which does.
    """
    failure = LedgerError()
    for left in reversed(range(TRIES)):
        try:
            return once()
        except (SQLAlchemyError, UnicodeError, OverflowError) as error:
            failure = failure_of(engine, error)
            if not left or not (rolled_back(error) or (repeatable and lost(error))):
                break
    # Raised outside of the handler: chained to nothing that holds a row.
    raise failure


def in_steps(connection: Connection, calls: Sequence[Call]) -> Written:
    """Run statements one after the other; return how many rows each has written."""
    return Counter({statement: statement.run(connection, rows) for statement, rows in calls})


def row_by_row(connection: Connection, calls: Sequence[Call]) -> Written:
    """Run statements for one row after the other; what is refused is written in ever shorter forms."""
    return Counter({statement: sum(written(connection, statement, row) for row in rows) for statement, rows in calls})


def written(connection: Connection, statement: ManyRows, row: Row) -> int:
    """Write one row, in the longest form that the database takes; raise its refusal of the shortest."""
    *first, last = shortened(statement.fields, row)
    for form in first:
        try:
            with connection.begin_nested():
                return statement.run(connection, [form])
        except (SQLAlchemyError, UnicodeError, OverflowError) as error:
            if not refused(error):
                raise
    return statement.run(connection, [last])


def takes_pipelines(engine: Engine) -> bool:
    """Tell whether the driver and its library can send several statements before the first is answered."""
    driver: Any = engine.dialect.loaded_dbapi
    return engine.dialect.driver == "psycopg" and bool(driver.Pipeline.is_supported())


def in_one_exchange(
    engine: Engine, statements: Callable[[], Sequence[Statement]], *, repeatable: bool = True
) -> list[Any] | None:
    """Run statements in one transaction and one exchange; return their cursors.

    ``None`` if a condition among them does not hold; then nothing is written.
    """

    def once() -> list[Any] | None:
        given = statements()
        with engine.connect() as connection:
            try:
                return pipelined(connection, [(POSTGRESQL_SETTINGS, ()), *given])[1:]
            except DBAPIError as error:
                if error.orig is not None and sqlstate(error.orig) == CONDITION_FAILED:
                    return None
                raise

    return repeated(engine, once, repeatable=repeatable)


def pipelined(connection: Connection, statements: Sequence[Statement]) -> list[Any]:
    """Run one transaction on the driver's own connection; return the cursor of each statement.

    The one point of synchronisation is behind COMMIT, and only its own tag says that it took place.
    """
    raw: Any = connection.connection.dbapi_connection
    errors: Any = connection.dialect.loaded_dbapi
    raw.autocommit = True  # so that the driver begins no transaction by itself
    try:
        with raw.pipeline():
            raw.execute(BEGIN)
            cursors: list[Any] = [raw.execute(*one) for one in statements]
            end = raw.execute(COMMITTED)
        if end.statusmessage != COMMITTED:
            raise errors.OperationalError("the transaction was not committed")
    except errors.Error as error:
        is_lost = bool(raw.closed or raw.broken)
        if is_lost:
            connection.invalidate(error)
        told: dict[str, Any] = {"hide_parameters": True, "connection_invalidated": is_lost}
        raise DBAPIError.instance(None, None, error, errors.Error, dialect=connection.dialect, **told) from None
    finally:
        if not raw.closed:
            raw.rollback()
            raw.autocommit = False
    return cursors


@dataclass(frozen=True, slots=True)
class Patience:
    """How long work is repeated that fails for a reason that may pass; ``stopping`` is asked while it waits."""

    seconds: float = OPENING_SECONDS
    stopping: Callable[[], bool] = field(default=lambda: False, kw_only=True)
    monotonic: Callable[[], float] = field(default=time.monotonic, kw_only=True)
    sleep: Callable[[float], None] = field(default=time.sleep, kw_only=True)

    def run(self, work: Callable[[], Result]) -> Result:
        """Return what ``work`` returns, or raise the last attempt's error; a stop is an ``InterruptedPushError``."""
        until, wait = self.monotonic() + self.seconds, FIRST_WAIT
        while True:
            try:
                return work()
            except MomentaryError as error:
                if self.monotonic() + wait > until:
                    raise
                log.warning("%s. It is tried again in %.1f s", error, wait)
            self._rest(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _rest(self, seconds: float) -> None:
        until = self.monotonic() + seconds
        while (left := until - self.monotonic()) > 0:
            if self.stopping():
                raise InterruptedPushError("the task was told to stop while it opened the outcome table")
            self.sleep(min(left, SLICE))
