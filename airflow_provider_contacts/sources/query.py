"""The rows of one query, streamed by a thread that can be abandoned: signals arrive while the database works."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Any

from airflow_provider_contacts.errors import ConfigError, ContactsError, InterruptedPushError, SourceError
from airflow_provider_contacts.sources.driver_errors import describe, source_error
from airflow_provider_contacts.sources.drivers import Chunk, Link, link_of
from airflow_provider_contacts.sources.row_source import RowSource, check_distinct, release_after
from airflow_provider_contacts.sources.statement_count import check_statement

# Seconds between two looks at whether to stop.
PAUSE = 0.2

# Seconds for a cancellation to get through, and as many for the call to end by it: Airflow kills after five.
LAST_CHANCE = 1.0

# Seconds that a connection may take to be closed.
CLOSING = 2.0

Parameters = Mapping[str, Any] | Sequence[Any]
"""Bind values in the paramstyle of the connection's own driver, as ``DbApiHook.run`` takes them."""


def rows_of_query(
    hook: Any,
    sql: str,
    parameters: Parameters | None,
    chunk_size: int,
    *,
    stopping: Callable[[], bool] = lambda: False,
    conn_id: str | None = None,
) -> RowSource:
    """Run one query and return its rows as dicts, ``chunk_size`` of them in memory at a time.

    The query runs in one transaction that is never committed, and stays open until the last row is read: read-only on
    PostgreSQL (a server-side cursor) and SQLite. Rows come in no promised order unless the query gives one.

    :param hook: common-sql's ``DbApiHook``, or what connects like it.
    :param parameters: falsy for none; only then is a ``%`` in the text plain, as everywhere in Airflow.
    :param stopping: asked while the database works; once it is true, the query is cancelled.
    :param conn_id: names the connection in errors.
    :raises ConfigError: for anything but one query with distinct column names.
    :raises SourceError: where the database refuses it.
    """
    if type(chunk_size) is not int or chunk_size < 1:
        raise ConfigError("chunk_size must be a whole number of at least 1")
    if isinstance(parameters, str | bytes):
        raise ConfigError("parameters must be a mapping or a list, not text")
    check_statement(sql)
    query = Query(hook, sql, chunk_size, stopping, f"connection {conn_id!r}" if conn_id else "the source")
    columns, first = query.begin(parameters)
    return RowSource(columns, query.rows(columns, first), query.close)


class Query:
    """One query being read; ``origin`` names the source in errors."""

    def __init__(self, hook: Any, sql: str, chunk_size: int, stopping: Callable[[], bool], origin: str) -> None:
        self._hook, self._sql, self._chunk_size = hook, sql, chunk_size
        self._stopping, self._origin = stopping, origin
        self._worker = Worker()
        self._link: Link | None = None

    def begin(self, parameters: Parameters | None) -> tuple[tuple[str, ...], Chunk | None]:
        """Connect and run the query; return its columns, and its first rows where they came along."""
        try:
            link = self._call(lambda: link_of(self._hook, self._origin), f"{self._origin} cannot be opened")
            self._link = link
            trouble = f"the query of {self._origin} failed before its first row"
            first = self._call(lambda: link.execute(self._sql, parameters, self._chunk_size), trouble)
            return columns_of(link.description()), first
        except BaseException as error:
            release_after(error, self.close)
            raise

    def rows(self, columns: tuple[str, ...], first: Chunk | None) -> Iterator[dict[str, Any]]:
        """Yield every row, and raise :class:`SourceError` for one that cannot be read, behind those before it."""
        assert self._link is not None  # noqa: S101  # begun before it is read
        link, count = self._link, 0
        while True:
            chunk: Chunk = first or self._call(lambda: link.read(self._chunk_size), f"reading {self._origin} failed")
            first = None
            # A connection's extra can ask some drivers for rows that are mappings already.
            named = bool(chunk.rows) and isinstance(chunk.rows[0], Mapping)
            yield from map(dict, chunk.rows) if named else (dict(zip(columns, row, strict=True)) for row in chunk.rows)
            count += len(chunk.rows)
            if chunk.error is not None:
                raise self._unreadable(chunk.error, count, link.suspects(chunk, self._chunk_size), chunk.column)
            if not chunk.rows:
                return

    def close(self) -> None:
        """Let go of the connection."""
        link, self._link = self._link, None
        self._worker.end(link.close if link is not None else lambda: None)

    def _unreadable(self, error: BaseException, count: int, suspects: int, column: str | None) -> SourceError:
        where = f"one of the rows {count + 1} to {count + suspects}"
        if suspects == 1:
            where = f"row {count + 1} (row_index {count})"
        named = f", column {column!r}," if column is not None else ""
        return SourceError(
            f"{where} of the query of {self._origin}{named} cannot be read: {describe(error, self._sql)}; "
            "what was read before it is sent"
        )

    def _call(self, job: Callable[[], Any], trouble: str) -> Any:
        """Do something in the reading thread; what the driver raises leaves without its text and chain."""
        try:
            cancel = self._link.cancel if self._link is not None else lambda: None
            return self._worker.call(job, stopping=self._stopping, cancel=cancel)
        except ContactsError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever a driver raises
            failure = source_error(trouble, error, self._sql, opened=self._link is not None)
        raise failure


def columns_of(description: Sequence[Any] | None) -> tuple[str, ...]:
    """Return the names of the columns; refuse none, and columns without a name of their own."""
    if not description:
        raise ConfigError("sql must be a query that returns columns, it returned none")
    columns = tuple(column[0] for column in description)
    if nameless := [place for place, name in enumerate(columns, 1) if not name]:
        raise ConfigError(f"sql gives column {nameless[0]} no name: give it one with AS")
    check_distinct(columns, "sql", "give each a name of its own with AS")
    return columns


class Worker:
    """One thread that runs one call after the other; a driver's connection is used in it alone."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        # Not one of a pool: the interpreter would wait for it, and a call that nobody can cancel may take hours.
        self._thread = threading.Thread(target=_work, args=(self._jobs,), name="contacts-source", daemon=True)
        self._thread.start()
        self._stuck = False

    def call(self, job: Callable[[], Any], *, stopping: Callable[[], bool], cancel: Callable[[], None]) -> Any:
        """Return what a call returns, or raise what it raises.

        Once ``stopping()`` is true, ``cancel()`` ends the call, as it does after an exception out of a signal.
        """
        done = self._submit(job)
        try:
            while not wait((done,), PAUSE).done:
                if stopping():
                    raise InterruptedPushError("the push was told to stop while its source was read")  # noqa: TRY301  # as what a signal raises
        except BaseException:
            # An error in cancelling is of no interest: the query may have ended meanwhile.
            cancelled: Future[Any] = Future()
            threading.Thread(target=_run, args=(cancel, cancelled), name="contacts-cancel", daemon=True).start()
            wait((cancelled,), LAST_CHANCE)
            self._stuck = not wait((done,), LAST_CHANCE).done
            raise
        return done.result()

    def end(self, last: Callable[[], None]) -> None:
        """Run a last call and end the thread. A call that hangs is abandoned; the last one runs if it ever returns."""
        if threading.current_thread() is self._thread:
            # A source may be collected in this thread, which cannot wait for itself.
            last()
            self._jobs.put(None)
            return
        done = self._submit(last)
        self._jobs.put(None)
        if wait((done,), 0.0 if self._stuck else CLOSING).done:
            done.result()

    def _submit(self, job: Callable[[], Any]) -> Future[Any]:
        done: Future[Any] = Future()
        self._jobs.put((job, done))
        return done


def _work(jobs: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None]) -> None:
    while (job := jobs.get()) is not None:
        _run(*job)
        # Not kept alive while waiting for the next one.
        del job


def _run(call: Callable[[], Any], done: Future[Any]) -> None:
    try:
        done.set_result(call())
    except BaseException as error:  # noqa: BLE001  # raised where it is waited for
        done.set_exception(error)
