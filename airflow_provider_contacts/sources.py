"""Rows to push: a query of any Airflow SQL connection, or records of an upstream task, one at a time."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from importlib import import_module
from types import TracebackType
from typing import Any, Protocol
from uuid import uuid4

from airflow_provider_contacts.core.errors import ConfigError

Parameters = Mapping[str, Any] | Sequence[Any]
"""Bind values in the paramstyle of the connection's own driver, as ``DbApiHook.run`` takes them."""

# Refused before anything runs, since not every database would roll them back: some hooks hand out connections that
# commit by themselves.
WRITING_WORDS = frozenset(
    (
        *("ALTER", "ANALYZE", "BEGIN", "COMMIT", "COPY", "CREATE", "DELETE", "DROP", "GRANT", "INSERT", "LOAD", "LOCK"),
        *("MERGE", "REPLACE", "REVOKE", "ROLLBACK", "SAVEPOINT", "SET", "START", "TRUNCATE", "UPDATE", "UPSERT"),
        *("USE", "VACUUM"),
    )
)

# These read what is left of a result before they close its cursor, or refuse to; it goes with its connection at once.
DRAINING = frozenset({"MySQLdb", "mysql"})

RECORDS_WANTED = "records must be a list of mappings, an iterator of mappings, an upstream task's output or a DataFrame"


class SqlHook(Protocol):
    """The part of common-sql's ``DbApiHook`` that is needed here."""

    supports_autocommit: bool

    def get_conn(self) -> Any:
        """Return a new DB-API connection."""

    def set_autocommit(self, conn: Any, autocommit: bool) -> None:
        """Set the connection's autocommit flag."""


class RowSource(Iterator[Any], AbstractContextManager["RowSource"]):
    """An iterator of rows that lets go of its database connection when exhausted, failed, closed or forgotten.

    Use it as a context manager, from one thread.

    :param columns: names in order, or ``None`` where they are not known before the rows are.
    :param rows: every row once; must not refer to this object.
    :param release: called once, however the reading ends.
    """

    def __init__(
        self, columns: tuple[str, ...] | None, rows: Iterator[Any], release: Callable[[], None] | None = None
    ) -> None:
        self.columns = columns
        self._rows = rows
        self._release = weakref.finalize(self, release or _nothing)

    def __next__(self) -> Any:
        """Return the next row; the last one and every error end the reading."""
        try:
            return next(self._rows)
        except StopIteration:
            self.close()
            raise
        except BaseException as error:
            _release_after(error, self.close)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop reading; trouble in doing so hides no error that is under way."""
        if error is None:
            self.close()
        else:
            _release_after(error, self.close)

    def close(self) -> None:
        """Stop reading; a second call does nothing."""
        self._rows = iter(())
        self._release()


def rows_of_query(hook: SqlHook, sql: str, parameters: Parameters | None, chunk_size: int) -> RowSource:
    """Run one query and return its rows as dicts, ``chunk_size`` of them in memory at a time.

    The query runs in one transaction that is never committed, and stays open until the last row is read: read-only on
    PostgreSQL (a server-side cursor) and SQLite. Rows come in no promised order unless the query gives one.

    :param sql: one statement, the same text that ``SQLExecuteQueryOperator`` would take.
    :param parameters: falsy for none; only then is a ``%`` in the text plain, as everywhere in Airflow.
    :param chunk_size: rows fetched at once, at least 1.
    :raises ConfigError: for what is not one query with distinct, named columns. Errors of the database are raised as
        the driver raised them.
    """
    _check_query(sql, parameters, chunk_size)
    opened = ExitStack()
    outlives: list[Any] = []  # a cursor that nobody holds is closed, too
    opened.callback(outlives.clear)
    try:
        connection = hook.get_conn()
        opened.callback(connection.close)
        if hook.supports_autocommit:
            hook.set_autocommit(connection, False)  # noqa: FBT003  # Airflow's signature
        driver = _driver_of(connection)
        cursor = _open_cursor(connection, driver)
        outlives.append(cursor)
        if driver not in DRAINING:
            opened.callback(cursor.close)
        columns, first = _execute(cursor, sql, parameters, chunk_size, describes_late=driver == "psycopg2")
    except BaseException as error:
        _release_after(error, opened.close)
        raise
    return RowSource(columns, _fetch(cursor, columns, chunk_size, first), opened.close)


def rows_of_records(records: Any) -> RowSource:
    """Return the records of a list, an iterator, a lazy XCom sequence or a pandas DataFrame, one at a time.

    A list inside is flattened, once, as is a DataFrame. Whatever else is not a mapping is handed on as it is.

    :raises ConfigError: for anything else, a single mapping and text included.
    """
    if _is_frame(records):
        columns = _frame_columns(records)
        return RowSource(columns, _frame_rows(records, columns))
    if isinstance(records, Mapping):
        raise ConfigError(f"{RECORDS_WANTED}; a single mapping was given: wrap it in a list")
    # Other libraries' frames iterate over columns, sets in no order that a second try would see again.
    if (
        isinstance(records, str | bytes | bytearray | memoryview | set | frozenset)
        or not isinstance(records, Iterable)
        or hasattr(records, "columns")
    ):
        raise ConfigError(f"{RECORDS_WANTED}, not {type(records).__name__}")
    return RowSource(None, _flatten(records))


def _check_query(sql: str, parameters: Parameters | None, chunk_size: int) -> None:
    if type(chunk_size) is not int or chunk_size < 1:
        raise ConfigError("chunk_size must be a whole number of at least 1")
    if isinstance(parameters, str | bytes):
        raise ConfigError("parameters must be a mapping or a list, not text")
    if not isinstance(sql, str):
        raise ConfigError(f"sql must be one query as text, not {type(sql).__name__}")
    word, statements = _survey(sql)
    if statements != 1:
        raise ConfigError(f"sql must be one query, it holds {statements} statements")
    if word in WRITING_WORDS:
        raise ConfigError(f"sql must be a query that returns rows, it begins with {word}")


def _survey(sql: str) -> tuple[str, int]:
    """Return the first word in upper case and the number of statements, comments and blank ones left out."""
    from sqlparse import lexer, tokens  # here, since a DAG file should not pay for it

    first, statements, inside = "", 0, False
    for kind, text in lexer.tokenize(sql):  # type: ignore[no-untyped-call]  # sqlparse leaves it bare
        if kind in tokens.Punctuation and text == ";":
            inside = False
        elif kind not in tokens.Whitespace and kind not in tokens.Comment and not inside:
            inside = True
            statements += 1
            first = first or text.upper().split()[0]
    return first, statements


def _driver_of(connection: Any) -> str:
    """Return the top-level package of the driver whose connection this is, or derives from."""
    known = {"MySQLdb", "mysql", "psycopg", "psycopg2", "pymysql", "sqlite3"}
    packages = (kind.__module__.partition(".")[0] for kind in type(connection).__mro__)
    return next((name for name in packages if name in known), "")


def _open_cursor(connection: Any, driver: str) -> Any:
    """Return a cursor that leaves the result at the server, where the driver's plain one would not."""
    match driver:
        case "psycopg":
            connection.read_only = True
            return connection.cursor(f"contacts_{uuid4().hex}", row_factory=import_module("psycopg.rows").tuple_row)
        case "psycopg2":
            connection.readonly = True
            plain = import_module("psycopg2.extensions").cursor
            return connection.cursor(f"contacts_{uuid4().hex}", cursor_factory=plain)
        case "MySQLdb" | "pymysql":
            return connection.cursor(import_module(f"{driver}.cursors").SSCursor)
        case "sqlite3":
            connection.execute("PRAGMA query_only = ON")
            return connection.cursor()
        case _:
            return connection.cursor()


def _execute(
    cursor: Any, sql: str, parameters: Parameters | None, chunk_size: int, *, describes_late: bool
) -> tuple[tuple[str, ...], Sequence[Any] | None]:
    """Run the query; return its columns, and the first rows where the columns are not known before them."""
    if parameters:
        cursor.execute(sql, parameters)
    else:
        cursor.execute(sql)
    first = cursor.fetchmany(chunk_size) if describes_late else None
    if not cursor.description:
        raise ConfigError("sql must be a query that returns columns, it returned none")
    columns = tuple(column[0] for column in cursor.description)
    if nameless := [place for place, name in enumerate(columns, 1) if not name]:
        raise ConfigError(f"sql gives column {nameless[0]} no name: give it one with AS")
    _check_distinct(columns, "sql", "give each a name of its own with AS")
    return columns, first


def _check_distinct(columns: Sequence[str], origin: str, remedy: str) -> None:
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise ConfigError(f"{origin} has more than one column named {', '.join(map(repr, twice))}: {remedy}")


def _fetch(
    cursor: Any, columns: tuple[str, ...], chunk_size: int, first: Sequence[Any] | None
) -> Iterator[dict[str, Any]]:
    chunk = cursor.fetchmany(chunk_size) if first is None else first
    while chunk:
        # A connection's extra can ask some drivers for rows that are mappings already.
        named = isinstance(chunk[0], Mapping)
        yield from map(dict, chunk) if named else (dict(zip(columns, row, strict=True)) for row in chunk)
        chunk = cursor.fetchmany(chunk_size)


def _release_after(error: BaseException, release: Callable[[], None]) -> None:
    """Release without hiding the error that ended the reading."""
    try:
        release()
    except Exception as second:  # noqa: BLE001  # the first error is the one to raise; this one is noted on it
        error.add_note(f"closing the source failed too: {type(second).__name__}")


def _nothing() -> None:
    """Release nothing."""


def _is_frame(value: Any) -> bool:
    return hasattr(value, "itertuples") and hasattr(value, "columns")


def _frame_columns(frame: Any) -> tuple[str, ...]:
    labels = tuple(frame.columns)
    if others := [type(label).__name__ for label in labels if not isinstance(label, str)]:
        raise ConfigError(f"the DataFrame's column labels must be text, one is {others[0]}")
    _check_distinct(labels, "the DataFrame", "rename or drop one")
    return labels


def _frame_rows(frame: Any, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for row in frame.itertuples(index=False, name=None):
        yield dict(zip(columns, map(_plain, row), strict=True))


def _plain(value: Any) -> Any:
    """Return a numpy scalar as Python's own, pandas' ``NA`` as ``None``, anything else as it is."""
    kind = type(value)
    if kind in (str, int, float, bool):
        return value
    if kind.__name__ == "NAType":  # it answers no comparison with a truth value, not even its own
        return None
    if hasattr(value, "dtype") and getattr(value, "shape", None) == ():
        # Nanoseconds, numpy's usual unit, would come out as a bare integer.
        return (value.astype(f"{value.dtype.kind}8[us]") if value.dtype.kind in "mM" else value).item()
    return value


def _flatten(records: Iterable[Any]) -> Iterator[Any]:
    for element in _elements(records):
        if _is_frame(element):
            yield from _frame_rows(element, _frame_columns(element))
        elif isinstance(element, list | tuple) or _is_lazy(element):
            yield from _elements(element)
        else:
            yield element


def _is_lazy(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, list | tuple | str | bytes | bytearray | memoryview)


def _elements(records: Iterable[Any]) -> Iterator[Any]:
    """Yield every element; a lazy sequence that cannot give one of those it counts raises.

    Its own iterator would take any refusal of the server for the end, and the rest of the records would be lost.
    """
    if not _is_lazy(records):
        yield from records
        return
    for index in range(len(records)):  # type: ignore[arg-type]  # a Sequence, as just checked
        yield records[index]  # type: ignore[index]  # likewise
