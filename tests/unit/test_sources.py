"""The rows of a query: every one once, what was read before a bad one included, and nothing of them in an error."""

from __future__ import annotations

import signal
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock, call

import psycopg
import pymysql  # type: ignore[import-untyped]  # it has no types
import pytest

from airflow_provider_contacts.errors import ConfigError, InterruptedPushError, SourceError
from airflow_provider_contacts.sources import RowSource, rows_of_query, rows_of_records
from airflow_provider_contacts.sources.driver_errors import describe
from tests.support.alarms import OutOfTime, raising
from tests.support.rows import CANARY, after, read


class CountingConnection(sqlite3.Connection):
    """Tells whether it was closed or committed."""

    closed = 0
    committed = 0

    def close(self) -> None:
        self.closed += 1
        super().close()

    def commit(self) -> None:
        self.committed += 1
        super().commit()


@dataclass
class FileHook:
    path: str
    supports_autocommit: bool = False
    connections: list[CountingConnection] = field(default_factory=list)

    def get_conn(self) -> CountingConnection:
        self.connections.append(sqlite3.connect(self.path, factory=CountingConnection))
        return self.connections[-1]

    def set_autocommit(self, conn: Any, autocommit: bool) -> None:
        raise AssertionError(conn, autocommit)


@pytest.fixture
def hook(tmp_path: Path) -> FileHook:
    path = str(tmp_path / "warehouse.db")
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("CREATE TABLE contacts (id INTEGER, email TEXT)")
        connection.executemany(
            "INSERT INTO contacts VALUES (?, ?)", [(index, f"{index}@example.com") for index in range(10)]
        )
    connection.close()
    return FileHook(path)


ALL = "SELECT id, email FROM contacts ORDER BY id"


# What is read.


@pytest.mark.parametrize("chunk_size", [1, 3, 10, 5000])
def test_every_row_comes_once_and_the_end_closes_without_a_commit(hook: FileHook, chunk_size: int) -> None:
    rows = rows_of_query(hook, ALL, None, chunk_size)
    assert rows.columns == ("id", "email")
    assert list(rows) == [{"id": index, "email": f"{index}@example.com"} for index in range(10)]
    assert (hook.connections[0].closed, hook.connections[0].committed) == (1, 0)
    assert list(rows) == []
    rows.close()
    assert hook.connections[0].closed == 1


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT id, email, id FROM contacts", "sql has more than one column named 'id'"),
        ("SELECT 1 AS a, 2 AS b, 3 AS a, 4 AS b", "named 'a', 'b'"),
        ("SELECT 1 AS ''", "gives column 1 no name"),
        ("UPDATE contacts SET id = 0", "it begins with UPDATE"),
        ("INSERT INTO contacts VALUES (1, '') RETURNING id", "it begins with INSERT"),
        ("PRAGMA foreign_keys = ON", "it returned none"),
        ("SELECT 1; DELETE FROM contacts; --", "holds 2 statements"),
        ("", "holds 0 statements"),
    ],
)
def test_what_is_not_one_query_is_a_configuration_error(hook: FileHook, sql: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        rows_of_query(hook, sql, None, 10)
    assert all(connection.closed == 1 for connection in hook.connections)
    with rows_of_query(hook, "SELECT count(*) AS n, max(id) AS top FROM contacts", None, 10) as rows:
        assert list(rows) == [{"n": 10, "top": 9}]


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("WITH gone AS (SELECT 1) DELETE FROM contacts", "attempt to write a readonly database"),
        ("SELECT * FROM absent WHERE email = ?", "no such table: absent"),
        ("SELECT emial FROM (SELECT 1 AS email)", "no such column: emial"),
        ("SELEC 1", 'near "SELEC"'),
    ],
)
def test_a_failing_query_is_told_in_the_drivers_words(hook: FileHook, sql: str, text: str) -> None:
    parameters = [CANARY] if "?" in sql else None
    _, found = read(lambda: rows_of_query(hook, sql, parameters, 10, conn_id="w"))
    assert found.startswith("the query of connection 'w' failed before its first row: sqlite3.OperationalError")
    assert text in found
    assert [connection.closed for connection in hook.connections] == [1]


# How it ends.


def test_a_forgotten_source_closes_its_connection(hook: FileHook) -> None:
    rows = rows_of_query(hook, ALL, None, 2)
    next(rows)
    assert hook.connections[0].closed == 0
    del rows
    assert hook.connections[0].closed == 1


def test_an_error_inside_the_block_is_not_hidden_by_trouble_in_closing() -> None:
    def release() -> None:
        raise OSError("second")

    def fail() -> None:
        raise KeyError("first")

    with pytest.raises(KeyError, match="first"), RowSource(None, iter([[1]]), release):
        fail()
    with pytest.raises(OSError, match="second"), RowSource(None, iter([[1]]), release):
        pass


# A row that cannot be had.


@pytest.mark.parametrize(("bad", "chunk_size"), [(1, 2), (2, 2), (3, 1), (5, 5000)])
def test_a_text_in_another_encoding(hook: FileHook, bad: int, chunk_size: int) -> None:
    values = ", ".join(
        f"({n}, " + (f"CAST(x'{CANARY.encode().hex()}e9' AS TEXT))" if n == bad else "'fine')") for n in range(1, 6)
    )
    sql = f"WITH p(id, first_name) AS (VALUES {values}) SELECT id, first_name FROM p"
    seen, text = read(lambda: rows_of_query(hook, sql, None, chunk_size, conn_id="crm"))
    assert [row["id"] for row in seen] == list(range(1, bad))
    assert text.startswith(
        f"row {bad} (row_index {bad - 1}) of the query of connection 'crm', or one behind it, cannot"
    )
    assert ": sqlite3.OperationalError (its text is left out" in text
    assert hook.connections[0].closed == 1


@pytest.mark.parametrize(("bad", "chunk_size"), [(2, 2), (3, 1), (5, 5000)])
@pytest.mark.parametrize(
    "trouble", ["abs(-9223372036854775807 - 1)", f"json_extract('{{{CANARY}', '$.a')"], ids=["overflow", "json"]
)
def test_a_value_that_cannot_be_computed(hook: FileHook, trouble: str, bad: int, chunk_size: int) -> None:
    numbers = "WITH RECURSIVE p(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM p WHERE id < 5)"
    sql = f"{numbers} SELECT id, CASE WHEN id = {bad} THEN {trouble} ELSE id END AS n FROM p;"
    seen, text = read(lambda: rows_of_query(hook, sql, None, chunk_size))
    # The driver reads a row ahead, and drops the one before the bad one.
    assert [row["id"] for row in seen] == list(range(1, bad - 1))
    assert text.startswith(f"row {bad - 1} (row_index {bad - 2}) of the query of the source, or one behind it, cannot")


def test_a_users_own_iterator_is_named_by_class_and_line() -> None:
    def people() -> Iterator[dict[str, str]]:
        yield {"key": "a"}
        try:
            int(CANARY)
        except ValueError as error:
            raise LookupError(CANARY) from error

    seen, text = read(lambda: rows_of_records(people()))
    assert seen == [{"key": "a"}]
    assert "row 2 (row_index 1) of the records, or one behind it, cannot be read: LookupError at " in text
    assert "test_sources.py:" in text
    assert "in people" in text


def test_an_error_of_ours_leaves_as_it_is() -> None:
    def people() -> Iterator[dict[str, str]]:
        raise ConfigError("as it is")
        yield {}

    with pytest.raises(ConfigError, match="as it is"):
        next(rows_of_records(people()))


def test_looking_ahead_loses_nothing_and_counts_right() -> None:
    def people() -> Iterator[dict[str, str]]:
        yield {"key": "a"}
        yield {"key": "b"}
        raise KeyError(CANARY)

    for count in (1, 2, 3, 10):
        source = rows_of_records(people())
        assert len(source.look_ahead(count)) == min(count, 2)
        seen, text = read(source.__iter__)
        assert seen == [{"key": "a"}, {"key": "b"}]
        assert "row 3 (row_index 2)" in text
    source.close()
    assert source.look_ahead(3) == []


class State(Exception):  # noqa: N818  # another driver's
    def __init__(self, text: str, **codes: Any) -> None:
        super().__init__(text)
        self.__dict__.update(codes)


SQL = "SELECT emial, 'x' FROM people"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (psycopg.errors.UndefinedColumn('column "emial" does not exist'), 'column "emial" does not exist'),
        (psycopg.errors.SyntaxError('syntax error at or near "emial"'), 'at or near "emial"'),
        (psycopg.OperationalError("connection failed: no route to host"), "no route to host"),
        (pymysql.err.OperationalError(1054, "Unknown column 'emial' in 'SELECT'"), "Unknown column 'emial'"),
        (pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query"), "Lost connection"),
        (pymysql.err.ProgrammingError(1064, "You have an error near 'emial' at line 1"), "near 'emial'"),
        (pymysql.err.ProgrammingError(1146, "Table 'db.people' doesn't exist"), "'db.people' doesn't exist"),
        (sqlite3.OperationalError("no such column: emial"), "no such column: emial"),
        (State("invalid identifier 'emial'", sqlstate="42000", errno=904), "invalid identifier 'emial'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_about_the_query_is_told(error: Exception, text: str) -> None:
    assert text in describe(error, SQL)


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.InvalidTextRepresentation(f'invalid input syntax for type integer: "{CANARY}"'),
        psycopg.errors.RaiseException(f"no good: {CANARY}"),
        psycopg.errors.UndefinedColumn(f'column "{CANARY}" does not exist'),
        psycopg.DataError(f"date too large (after year 10K): '{CANARY}'"),
        pymysql.err.DataError(1292, f"Truncated incorrect DOUBLE value: '{CANARY}'"),
        pymysql.err.ProgrammingError(1064, f"You have an error near 'x = '{CANARY}' at line 1"),
        pymysql.err.ProgrammingError(1146, f"Table '{CANARY}.absent' doesn't exist"),
        sqlite3.OperationalError(f"Could not decode to UTF-8 column 'emial' with text '{CANARY}'"),
        sqlite3.OperationalError(f"malformed JSON: {CANARY}"),
        UnicodeDecodeError("utf-8", CANARY.encode(), 0, 1, "invalid start byte"),
        State(f"Numeric value '{CANARY}' is not recognized", sqlstate="22018"),
        State(f"Bad int64 value: {CANARY}"),
        State(f"syntax error near '{CANARY}", sqlstate="42000"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_may_quote_a_row_is_left_out(error: Exception) -> None:
    assert CANARY not in describe(error, SQL)
    assert type(error).__name__ in describe(error, SQL)


# Other drivers.


def faked(*chunks: Sequence[Any], module: str = "other_driver") -> Any:
    """Return a hook of another driver, whose rows arrive in these chunks."""
    hook = MagicMock(supports_autocommit=True)
    hook.get_conn.return_value = type("Connection", (MagicMock,), {"__module__": module})()
    cursor = hook.get_conn().cursor.return_value
    cursor.description = (("id", 23), ("name", 25))
    cursor.fetchmany.side_effect = [*chunks, ()]
    cursor.__iter__.return_value = iter([row for chunk in chunks for row in chunk])
    return hook


def test_any_dbapi_driver_is_read_in_chunks_without_autocommit() -> None:
    hook = faked([(1, "a")], [(2, "b")])
    connection = hook.get_conn()
    with rows_of_query(hook, "SELECT %(a)s", {"a": 1}, 7) as rows:
        assert list(rows) == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    assert hook.set_autocommit.mock_calls == [call(connection, False)]  # noqa: FBT003  # Airflow's signature
    reads = [call.cursor().fetchmany(7)] * 3
    assert connection.mock_calls == [
        *(call.cursor(), call.cursor().execute("SELECT %(a)s", {"a": 1}), *reads),
        *(call.cursor().close(), call.close()),
    ]


def test_rows_that_are_mappings_already_stay_so() -> None:
    with rows_of_query(faked([{"id": 1, "name": "a"}]), "SELECT 1", None, 7) as rows:
        assert list(rows) == [{"id": 1, "name": "a"}]


def test_a_row_of_another_width_than_the_columns_is_an_error() -> None:
    hook = faked([(1,)])
    with pytest.raises(SourceError, match=r"row 1 .*ValueError"):
        next(rows_of_query(hook, "SELECT 1", None, 7))
    hook.get_conn().close.assert_called_once_with()


def test_mysqlclient_is_read_unbuffered_and_not_read_on_when_the_reading_ends_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It is not everywhere where the tests run. A cursor's close() reads the result to its end: only the connection is
    # closed.
    cursors = ModuleType("MySQLdb.cursors")
    cursors.SSCursor = unbuffered = object()  # type: ignore[attr-defined]  # a stand-in for the driver's module
    monkeypatch.setitem(sys.modules, "MySQLdb", ModuleType("MySQLdb"))
    monkeypatch.setitem(sys.modules, "MySQLdb.cursors", cursors)
    hook = faked([(1, "a")], [(2, "b")], module="MySQLdb.connections")
    connection = hook.get_conn()
    connection.unread_result = False
    with rows_of_query(hook, "SELECT 1", None, 1) as rows:
        next(rows)
    assert call(unbuffered) in connection.cursor.mock_calls
    connection.close.assert_called_once_with()
    connection.cursor().close.assert_not_called()


def test_a_query_of_mysqls_own_driver_is_ended_before_its_connection_would_read_the_rest() -> None:
    hook = faked([(1, "a")], [(2, "b")], module="mysql.connector.connection_cext")
    connection = hook.get_conn()
    connection.unread_result, connection.connection_id = True, 7
    with rows_of_query(hook, "SELECT 1", None, 1) as rows:
        next(rows)
        connection.cursor().execute.reset_mock()
    assert connection.cursor().execute.mock_calls == [call("KILL QUERY 7")]
    assert connection.close.call_count == 2  # and that of the connection which has ended it


# The end of a query that runs on.

FOR_EVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS most FROM n"
LATER = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 3 OR i > 100000000000"
)


@pytest.mark.parametrize(("sql", "chunk_size"), [(FOR_EVER, 10), (LATER, 2)])
def test_a_query_that_runs_on_ends_when_the_push_is_told_to_stop(hook: FileHook, sql: str, chunk_size: int) -> None:
    with pytest.raises(InterruptedPushError):
        list(rows_of_query(hook, sql, None, chunk_size, stopping=after(2)))


def test_a_query_that_runs_on_ends_by_an_exception_out_of_a_signal(hook: FileHook) -> None:
    with raising():
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(OutOfTime):
            list(rows_of_query(hook, FOR_EVER, None, 10))
