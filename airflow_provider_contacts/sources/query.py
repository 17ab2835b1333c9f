"""The rows of one query, streamed, by a thread that can be left: signals are heard while the database works."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from airflow_provider_contacts.errors import ConfigError, ContactsError, SourceError
from airflow_provider_contacts.sources.driver_connection import Link
from airflow_provider_contacts.sources.driver_errors import failed, told
from airflow_provider_contacts.sources.drivers import link_of
from airflow_provider_contacts.sources.rows import RowSource, check_distinct
from airflow_provider_contacts.sources.statement_count import check_statement
from airflow_provider_contacts.sources.worker import Worker

Parameters = Mapping[str, Any] | Sequence[Any]
"""Bind values in the paramstyle of the connection's own driver, as ``DbApiHook.run`` takes them."""


class SqlHook(Protocol):
    """The part of common-sql's ``DbApiHook`` that is needed here."""

    supports_autocommit: bool

    def get_conn(self) -> Any:
        """Return a new DB-API connection."""

    def set_autocommit(self, conn: Any, autocommit: bool) -> None:
        """Set the connection's autocommit flag."""


def never() -> bool:
    """Tell that nobody wants to stop."""
    return False


def rows_of_query(
    hook: SqlHook,
    sql: str,
    parameters: Parameters | None,
    chunk_size: int,
    *,
    stopping: Callable[[], bool] = never,
    conn_id: str | None = None,
) -> RowSource:
    """Run one query and return its rows as dicts, ``chunk_size`` of them in memory at a time.

    The query runs in one transaction that is never committed, and stays open until the last row is read: read-only on
    PostgreSQL (a server-side cursor) and SQLite. Rows come in no promised order unless the query gives one.

    :param sql: one statement, the same text that ``SQLExecuteQueryOperator`` would take.
    :param parameters: falsy for none; only then is a ``%`` in the text plain, as everywhere in Airflow.
    :param chunk_size: rows fetched at once, at least 1.
    :param stopping: asked while the database works; once it is true, the query is cancelled.
    :param conn_id: names the connection in errors.
    :raises ConfigError: for what is not one query with distinct, named columns.
    :raises SourceError: for whatever the database or its driver raises; nothing of a row is in it.
    """
    _check_parameters(parameters, chunk_size)
    check_statement(sql)
    reader = Reader(hook, sql, chunk_size, stopping, f"connection {conn_id!r}" if conn_id else "the source")
    columns = reader.begin(parameters)
    return RowSource(columns, _rows(reader, columns), reader.close)


class Reader:
    """One query being read.

    :param origin: names the source in errors.
    """

    def __init__(self, hook: SqlHook, sql: str, chunk_size: int, stopping: Callable[[], bool], origin: str) -> None:
        self._hook = hook
        self._sql = sql
        self._chunk_size = chunk_size
        self._stopping = stopping
        self._origin = origin
        self._worker = Worker()
        self._link: Link | None = None
        self._first: tuple[Sequence[Any], BaseException | None, str | None] | None = None

    def begin(self, parameters: Parameters | None) -> tuple[str, ...]:
        """Connect and run the query; return its columns."""
        failure: ContactsError
        try:
            self._link = self._call(partial(link_of, self._hook, self._origin), f"{self._origin} cannot be opened")
            execute = partial(self._link.execute, self._sql, parameters, self._chunk_size)
            self._first = self._call(execute, f"the query of {self._origin} failed before its first row")
            return _columns(self._link.description)
        except ContactsError as error:
            failure = error
            self.close(failure)
        except BaseException as error:
            self.close(error)
            raise
        raise failure

    def read(self) -> tuple[Sequence[Any], BaseException | None, str | None]:
        """Return the next rows, with the error that ended them and the column that it is about."""
        assert self._link is not None  # noqa: S101  # begun before it is read
        if self._first is not None:
            found, self._first = self._first, None
            return found
        read: tuple[Sequence[Any], BaseException | None, str | None]
        read = self._call(partial(self._link.read, self._chunk_size), f"reading {self._origin} failed")
        return read

    def unreadable(self, count: int, error: BaseException, column: str | None) -> SourceError:
        """Return the error for a row that cannot be had.

        :param count: rows that were read before it.
        """
        where = f"row {count + 1} (row_index {count})"
        if self._link is not None and self._link.refused_whole(error) and self._chunk_size > 1:
            where = f"one of the rows {count + 1} to {count + self._chunk_size}"
        named = f", column {column!r}," if column is not None else ""
        return SourceError(
            f"{where} of the query of {self._origin}{named} cannot be read: {told(error, self._sql)}; "
            "what was read before it is sent"
        )

    def close(self, error: BaseException | None = None) -> None:
        """Let go of the connection.

        :param error: that is under way; trouble in closing is noted on it.
        """
        link, self._link = self._link, None
        try:
            self._worker.end(link.close if link is not None else _nothing)
        except Exception as second:
            if error is None:
                raise
            error.add_note(f"closing the source failed too: {type(second).__name__}")

    def _call(self, job: Callable[[], Any], trouble: str) -> Any:
        """Do something in the reading thread; what the driver raises leaves without its text and chain."""
        try:
            return self._worker.call(job, stopping=self._stopping, cancel=self._cancel)
        except ContactsError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever a driver raises
            failure = failed(trouble, error, self._sql, opened=self._link is not None)
        raise failure

    def _cancel(self) -> None:
        if self._link is not None:
            self._link.cancel()


def _rows(reader: Reader, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    count = 0
    while True:
        chunk, error, column = reader.read()
        # A connection's extra can ask some drivers for rows that are mappings already.
        named = bool(chunk) and isinstance(chunk[0], Mapping)
        yield from map(dict, chunk) if named else (dict(zip(columns, row, strict=True)) for row in chunk)
        count += len(chunk)
        if error is not None:
            raise reader.unreadable(count, error, column)
        if not chunk:
            return


def _check_parameters(parameters: Parameters | None, chunk_size: int) -> None:
    if type(chunk_size) is not int or chunk_size < 1:
        raise ConfigError("chunk_size must be a whole number of at least 1")
    if isinstance(parameters, str | bytes):
        raise ConfigError("parameters must be a mapping or a list, not text")


def _columns(description: Sequence[Any] | None) -> tuple[str, ...]:
    if not description:
        raise ConfigError("sql must be a query that returns columns, it returned none")
    columns = tuple(column[0] for column in description)
    if nameless := [place for place, name in enumerate(columns, 1) if not name]:
        raise ConfigError(f"sql gives column {nameless[0]} no name: give it one with AS")
    check_distinct(columns, "sql", "give each a name of its own with AS")
    return columns


def _nothing() -> None:
    """Close nothing."""
