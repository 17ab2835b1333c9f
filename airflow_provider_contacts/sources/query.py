"""The rows of one query, streamed by a thread that can be abandoned: signals arrive while the database works."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from airflow_provider_contacts.errors import ConfigError, ContactsError, SourceError
from airflow_provider_contacts.sources.driver_errors import describe, first_words
from airflow_provider_contacts.sources.drivers import Link, link_of
from airflow_provider_contacts.sources.row_source import RowSource, check_distinct, unreadable
from airflow_provider_contacts.sources.worker import Worker

# Refused before anything runs, since not every database would roll them back: some hooks hand out connections that
# commit by themselves.
WRITING_WORDS = {
    *("ALTER", "ANALYZE", "BEGIN", "COMMIT", "COPY", "CREATE", "DELETE", "DROP", "GRANT", "INSERT", "LOAD", "LOCK"),
    *("MERGE", "REPLACE", "REVOKE", "ROLLBACK", "SAVEPOINT", "SET", "START", "TRUNCATE", "UPDATE", "UPSERT", "USE"),
    "VACUUM",
}

# What some dialect reads in another way than the others: there, the database decides.
OF_A_DIALECT = re.compile(r"""[\\$#\[`]|//|'''|\"\"\"|\b[qQ]'|/\*.*/\*""", re.DOTALL)
QUOTED = re.compile(r"""--[^\n]*|/\*.*?\*/|'[^']*'|"[^"]*\"""", re.DOTALL)


def rows_of_query(
    hook: Any,
    sql: str,
    parameters: Mapping[str, Any] | Sequence[Any] | None,
    chunk_size: int,
    *,
    stopping: Callable[[], bool] = lambda: False,
    conn_id: str | None = None,
) -> RowSource:
    """Run one query and return its rows as dicts, ``chunk_size`` of them in memory at a time.

    The query runs in one transaction that is never committed, and stays open until the last row is read: read-only on
    PostgreSQL (a server-side cursor) and SQLite. Rows come in no promised order unless the query gives one.

    :param hook: common-sql's ``DbApiHook``, or what connects like it.
    :param parameters: bind values in the paramstyle of the connection's own driver; falsy for none, and only then is
        a ``%`` in the text plain, as everywhere in Airflow.
    :param stopping: asked while the database works; once it is true, the query is cancelled.
    :param conn_id: names the connection in errors.
    :raises ConfigError: for anything but one query with distinct column names.
    :raises SourceError: where the database refuses it.
    """
    check_statement(sql)
    query = Query(hook, sql, chunk_size, stopping, f"connection {conn_id!r}" if conn_id else "the source")
    try:
        columns = query.begin(parameters)
    except BaseException:
        with suppress(Exception):
            query.close()
        raise
    return RowSource(columns, query.chunks(columns), query.close)


def check_statement(sql: str) -> None:
    """Refuse what no database takes for one query that returns rows."""
    if OF_A_DIALECT.search(sql):
        return
    statements = [one.strip() for one in QUOTED.sub(" ", sql).split(";") if one.strip()]
    if len(statements) != 1:
        raise ConfigError(f"sql must be one query, it holds {len(statements)} statements")
    word = re.split(r"\W", statements[0])[0].upper()
    if word in WRITING_WORDS:
        raise ConfigError(f"sql must be a query that returns rows, it begins with {word}")


class Query:
    """One query being read; ``origin`` names the source in errors."""

    def __init__(self, hook: Any, sql: str, chunk_size: int, stopping: Callable[[], bool], origin: str) -> None:
        self._hook, self._sql, self._chunk_size = hook, sql, chunk_size
        self._stopping, self._origin = stopping, origin
        self._worker = Worker()
        self._link: Link | None = None

    def begin(self, parameters: Any) -> tuple[str, ...]:
        """Connect and run the query; return its columns."""
        if (trouble := self._call(self._connect)) is not None:
            raise SourceError(f"{self._origin} cannot be opened: {trouble}")
        assert self._link is not None  # noqa: S101  # just connected
        if (trouble := self._call(partial(self._link.execute, self._sql, parameters))) is not None:
            raise SourceError(f"the query of {self._origin} failed before its first row: {trouble}")
        return columns_of(self._link.cursor.description)

    def chunks(self, columns: tuple[str, ...]) -> Iterator[list[dict[str, Any]]]:
        """Yield all rows, and raise :class:`SourceError` for one that cannot be read, behind those before it."""
        assert self._link is not None  # noqa: S101  # begun before it is read
        count = 0
        while True:
            rows: list[Any] = []
            trouble = self._call(partial(self._link.read, self._chunk_size, rows))
            count += len(rows)
            if rows:
                # A connection's extra can ask some drivers for rows that are mappings already.
                named = isinstance(rows[0], Mapping)
                yield list(map(dict, rows)) if named else [dict(zip(columns, row, strict=True)) for row in rows]
            if trouble is not None:
                raise unreadable(count, f"of the query of {self._origin}", trouble)
            if not rows:
                return

    def close(self) -> None:
        """Let go of the connection."""
        self._worker.end(self._disconnect)

    def _connect(self) -> None:
        self._link = link_of(self._hook, self._origin)

    def _disconnect(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _call(self, job: Callable[[], None]) -> str | None:
        """Do something in the reading thread; return what is told of the error that a driver raises."""
        link = self._link
        try:
            self._worker.call(job, stopping=self._stopping, cancel=link.cancel if link is not None else lambda: None)
        except ContactsError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever a driver raises
            # Before a connection is open, no error is about a row.
            return describe(error, self._sql) if link is not None else first_words(error)
        return None


def columns_of(description: Sequence[Any] | None) -> tuple[str, ...]:
    """Return the names of the columns; refuse none, and columns without a name of their own."""
    if not description:
        raise ConfigError("sql must be a query that returns columns, it returned none")
    columns = tuple(column[0] for column in description)
    if nameless := [place for place, name in enumerate(columns, 1) if not name]:
        raise ConfigError(f"sql gives column {nameless[0]} no name: give it one with AS")
    check_distinct(columns, "sql", "give each a name of its own with AS")
    return columns
