"""Transactions that tell what failed: step by step, or with PostgreSQL and psycopg 3 in one exchange."""

from __future__ import annotations

import logging
import time
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
from airflow_provider_contacts.ledgers.sql.statements import ManyRows, Row, Unnested

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Call = tuple[ManyRows, Sequence[Row]]
Statement = tuple[str, Any]

BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
COMMITTED = "COMMIT"
FENCED_OUT = "22012"  # SQLSTATE of a division by zero, by which a fence fails


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


def in_steps(connection: Connection, calls: Sequence[Call]) -> list[int]:
    """Run statements one by one; return how many rows each has written."""
    return [statement.run(connection, rows) for statement, rows in calls]


def takes_pipelines(engine: Engine) -> bool:
    """Tell whether the driver and its library can send several statements before the first is answered."""
    driver: Any = engine.dialect.loaded_dbapi
    return engine.dialect.driver == "psycopg" and bool(driver.Pipeline.is_supported())


def in_one_exchange(
    engine: Engine, fence: Statement | None, calls: Callable[[], Sequence[Call]], *, repeatable: bool
) -> list[int] | None:
    """Run statements in one transaction and one exchange; return how many rows each has written.

    ``None`` if the fence does not hold; then nothing is written.
    """

    def once() -> list[int] | None:
        statements = [
            statement.bound(rows) if rows and isinstance(statement, Unnested) else None for statement, rows in calls()
        ]
        before: list[Statement] = [(POSTGRESQL_SETTINGS, ()), *([fence] if fence else [])]
        with engine.connect() as connection:
            try:
                done = pipelined(connection, [*before, *(one for one in statements if one is not None)])
            except DBAPIError as error:
                if fence and error.orig is not None and sqlstate(error.orig) == FENCED_OUT:
                    return None
                raise
        written = iter(done[len(before) :])
        return [0 if one is None else next(written).rowcount for one in statements]

    return repeated(engine, once, repeatable=repeatable)


def rows_in_one_exchange(engine: Engine, query: Statement) -> list[Any]:
    """Return the rows of a query in a transaction of its own; see :func:`in_one_exchange`."""

    def once() -> list[Any]:
        with engine.connect() as connection:
            return list(pipelined(connection, [(POSTGRESQL_SETTINGS, ()), query])[-1].fetchall())

    return repeated(engine, once, repeatable=True)


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


def one_by_one(connection: Connection, rows: Sequence[Row], *writers: ManyRows) -> None:
    """Write rows each for itself, and what is refused once more in ever shorter forms; raise the last one's refusal."""

    def write(row: Row) -> None:
        in_steps(connection, [(writer, [row]) for writer in writers])

    for row in rows:
        *first, last = shortened(row)
        for form in first:
            try:
                with connection.begin_nested():
                    write(form)
            except (SQLAlchemyError, UnicodeError, OverflowError) as error:
                if not refused(error):
                    raise
            else:
                break
        else:
            write(last)


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


AT_ONCE = Patience(0.0)
