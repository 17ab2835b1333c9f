"""A row that cannot be had: what was read before it comes, the error names it, and nothing quotes it."""

from __future__ import annotations

import signal
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pymysql  # type: ignore[import-untyped]  # it has no types
import pytest

from airflow_provider_contacts.errors import ConfigError, ContactsError, InterruptedPushError, SourceError
from airflow_provider_contacts.sources import RowSource, check_key, rows_of_query, rows_of_records
from airflow_provider_contacts.sources.driver_errors import told

CANARY = "personcanary"


@dataclass
class FileHook:
    path: str
    supports_autocommit: bool = False

    def get_conn(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path)

    def set_autocommit(self, conn: Any, autocommit: bool) -> None:
        raise AssertionError(conn, autocommit)


@pytest.fixture
def hook(tmp_path: Path) -> FileHook:
    return FileHook(str(tmp_path / "warehouse.db"))


def read(rows: Iterator[Any]) -> tuple[list[Any], SourceError]:
    """Return what comes before the error, and the error, which must say nothing of a person."""
    seen: list[Any] = []
    with pytest.raises(SourceError) as caught:
        seen.extend(rows)
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    for error in (caught.value, *chain_of(caught.value)):
        assert CANARY not in f"{error!r} {error.args} {getattr(error, '__notes__', [])}"
    return seen, caught.value


def chain_of(error: BaseException) -> Iterator[BaseException]:
    for behind in (error.__cause__, error.__context__):
        if behind is not None:
            yield behind
            yield from chain_of(behind)


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 10, 5000])
@pytest.mark.parametrize("bad", [1, 2, 3, 5])
def test_a_text_in_another_encoding(hook: FileHook, bad: int, chunk_size: int) -> None:
    values = ", ".join(
        f"({n}, " + (f"CAST(x'{CANARY.encode().hex()}e9' AS TEXT))" if n == bad else "'fine')") for n in range(1, 6)
    )
    sql = f"WITH p(id, first_name) AS (VALUES {values}) SELECT id, first_name FROM p"
    seen, error = read(rows_of_query(hook, sql, None, chunk_size, conn_id="crm"))
    assert [row["id"] for row in seen] == list(range(1, bad))
    assert str(error).startswith(
        f"row {bad} (row_index {bad - 1}) of the query of connection 'crm', column 'first_name',"
    )
    assert "sqlite3.OperationalError" in str(error)


@pytest.mark.parametrize("chunk_size", [1, 2, 10, 5000])
@pytest.mark.parametrize("bad", [2, 3, 5])
@pytest.mark.parametrize(
    "trouble", ["abs(-9223372036854775807 - 1)", f"json_extract('{{{CANARY}', '$.a')"], ids=["overflow", "json"]
)
def test_a_value_that_cannot_be_computed(hook: FileHook, trouble: str, bad: int, chunk_size: int) -> None:
    numbers = "WITH RECURSIVE p(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM p WHERE id < 5)"
    sql = f"{numbers} SELECT id, CASE WHEN id = {bad} THEN {trouble} ELSE id END AS n FROM p;"
    seen, error = read(rows_of_query(hook, sql, None, chunk_size))
    assert [row["id"] for row in seen] == list(range(1, bad))
    assert str(error).startswith(f"row {bad} (row_index {bad - 1}) of the query")


def test_a_syntax_error_stays_understandable(hook: FileHook) -> None:
    for sql, text in [("SELECT emial FROM (SELECT 1 AS email)", "no such column: emial"), ("SELEC 1", 'near "SELEC"')]:
        with pytest.raises(SourceError, match=text) as caught:
            rows_of_query(hook, sql, None, 10)
        assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_users_own_iterator_is_named_by_class_and_line() -> None:
    def people() -> Iterator[dict[str, str]]:
        yield {"key": "a"}
        try:
            int(CANARY)
        except ValueError as error:
            raise LookupError(CANARY) from error

    seen, error = read(rows_of_records(people()))
    assert seen == [{"key": "a"}]
    assert "row 2 (row_index 1) cannot be read: LookupError at " in str(error)
    assert "test_source_rows.py:" in str(error)
    assert "in people" in str(error)


def test_an_error_of_ours_leaves_as_it_is() -> None:
    def people() -> Iterator[dict[str, str]]:
        raise ConfigError("as it is")
        yield {}

    with pytest.raises(ConfigError, match="as it is"):
        next(rows_of_records(people()))


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
        (sqlite3.OperationalError("no such column: emial"), "no such column: emial"),
        (State("invalid identifier 'emial'", sqlstate="42000", errno=904), "invalid identifier 'emial'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_about_the_query_is_told(error: Exception, text: str) -> None:
    assert text in told(error, SQL)


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.InvalidTextRepresentation(f'invalid input syntax for type integer: "{CANARY}"'),
        psycopg.errors.RaiseException(f"no good: {CANARY}"),
        psycopg.errors.UndefinedColumn(f'column "{CANARY}" does not exist'),
        psycopg.DataError(f"date too large (after year 10K): '{CANARY}'"),
        pymysql.err.DataError(1292, f"Truncated incorrect DOUBLE value: '{CANARY}'"),
        pymysql.err.ProgrammingError(1064, f"You have an error near 'x = '{CANARY}' at line 1"),
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
    assert CANARY not in told(error, SQL)
    assert type(error).__name__ in told(error, SQL)


# The end of a query that runs on.

FOR_EVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS most FROM n"
LATER = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 3 OR i > 100000000000"
)


def after(count: int) -> Callable[[], bool]:
    """Return a stop sign that is set when it has been asked so often."""
    asked = iter(range(count))
    return lambda: next(asked, None) is None


@pytest.mark.parametrize(("sql", "chunk_size"), [(FOR_EVER, 10), (LATER, 2), (LATER, 10)])
def test_a_query_that_runs_on_ends_when_the_push_is_told_to_stop(hook: FileHook, sql: str, chunk_size: int) -> None:
    with pytest.raises(InterruptedPushError):
        list(rows_of_query(hook, sql, None, chunk_size, stopping=after(4)))


class TimeUpError(BaseException):
    """What a handler of a signal raises."""


def test_a_query_that_runs_on_ends_by_an_exception_out_of_a_signal(hook: FileHook) -> None:
    def ring(*_: object) -> None:
        raise TimeUpError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(TimeUpError):
            list(rows_of_query(hook, FOR_EVER, None, 10))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_query_that_nobody_can_cancel_is_left_behind() -> None:
    from threading import Event

    let_go = Event()

    class Cursor:
        description = (("id",),)

        def execute(self, *_: object) -> None:
            let_go.wait(60)

        def close(self) -> None:
            """Close nothing."""

    class Connection:
        def cursor(self) -> Cursor:
            return Cursor()

        def close(self) -> None:
            """Close nothing."""

    class Hook:
        supports_autocommit = False

        def get_conn(self) -> Connection:
            return Connection()

        def set_autocommit(self, conn: Any, autocommit: bool) -> None:
            raise NotImplementedError

    with pytest.raises(InterruptedPushError):
        rows_of_query(Hook(), "SELECT 1", None, 10, stopping=after(1))
    let_go.set()


# Looking ahead.


def test_looking_ahead_loses_nothing_and_counts_right() -> None:
    def people() -> Iterator[dict[str, str]]:
        yield {"key": "a"}
        yield {"key": "b"}
        raise KeyError(CANARY)

    for count in (1, 2, 3, 10):
        source = rows_of_records(people())
        rows, failure = source.look_ahead(count)
        assert len(rows) == min(count, 2)
        assert (failure is None) == (count < 3)
        seen, error = read(source)
        assert seen == [{"key": "a"}, {"key": "b"}]
        assert "row 3 (row_index 2)" in str(error)


def test_a_key_that_no_first_record_has_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"sync_key names columns \['kex'\] that none of the first 2 records has"):
        check_key(rows_of_records([{"key": "a"}, {"key": "b", "x": 1}]), ("kex",))


@pytest.mark.parametrize("records", [[], None, [{"key": "a"}, {"other": 1}], [{"other": 1}, {"key": "a"}], ["text", 7]])
def test_a_key_that_some_first_record_has_is_none(records: Any) -> None:
    source = rows_of_records(records)
    check_key(source, ("key",))
    assert list(source) == list(records or [])


def test_closing_twice_and_looking_at_a_closed_source_is_nothing() -> None:
    source = RowSource(None, iter([1]))
    source.close()
    source.close()
    assert source.look_ahead(3) == ([], None)
    assert issubclass(SourceError, ContactsError)
