"""One transaction of writes: step by step, or with PostgreSQL and psycopg 3 in one exchange with the server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.ledgers.sql.database import POSTGRESQL_SETTINGS
from airflow_provider_contacts.ledgers.sql.db_errors import refused, repeated
from airflow_provider_contacts.ledgers.sql.refusal_causes import state_of
from airflow_provider_contacts.ledgers.sql.statements import ManyRows, Row, Unnested

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

Call = tuple[ManyRows, Sequence[Row]]
Statement = tuple[str, tuple[Any, ...]]

BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
COMMITTED = "COMMIT"
FENCED_OUT = "22012"
"""SQLSTATE of a division by zero, by which a fence fails."""


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

    :param repeatable: see :func:`airflow_provider_contacts.ledgers.sql.db_errors.transact`.
    :raises LedgerError: likewise.
    """

    def once() -> list[int] | None:
        statements = [
            statement.bound(rows) if rows and isinstance(statement, Unnested) else None for statement, rows in calls()
        ]
        before: list[Statement] = [(POSTGRESQL_SETTINGS, ()), *([fence] if fence else [])]
        with engine.connect() as connection:
            try:
                counts = pipelined(connection, [*before, *(one for one in statements if one is not None)])
            except DBAPIError as error:
                if fence and error.orig is not None and state_of(error.orig) == FENCED_OUT:
                    return None
                raise
        written = iter(counts[len(before) :])
        return [0 if one is None else next(written) for one in statements]

    return repeated(engine, once, repeatable=repeatable)


def pipelined(connection: Connection, statements: Sequence[Statement]) -> list[int]:
    """Run one transaction on the driver's own connection; return how many rows each statement has written.

    The one point of synchronisation is behind COMMIT, and only its own tag says that it took place.
    """
    raw: Any = connection.connection.dbapi_connection
    errors: Any = connection.dialect.loaded_dbapi
    raw.autocommit = True  # so that the driver begins no transaction by itself
    try:
        with raw.pipeline():
            raw.execute(BEGIN)
            cursors = [raw.execute(*one) for one in statements]
            end = raw.execute(COMMITTED)
        if end.statusmessage != COMMITTED:
            raise errors.OperationalError("the transaction was not committed")
        return [one.rowcount for one in cursors]
    except errors.Error as error:
        is_lost = bool(raw.closed or raw.broken)
        if is_lost:
            connection.invalidate(error)
        raise DBAPIError.instance(
            None, None, error, errors.Error, hide_parameters=True, connection_invalidated=is_lost,
            dialect=connection.dialect,
        ) from None  # fmt: skip
    finally:
        if not raw.closed:
            raw.rollback()
            raw.autocommit = False


def one_by_one(
    connection: Connection,
    rows: Sequence[Row],
    write: Callable[[Row], object],
    shortened: Callable[[Row], Sequence[Row]],
) -> None:
    """Write rows each for itself, and what is refused once more in ever shorter forms; raise the last one's refusal."""
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
