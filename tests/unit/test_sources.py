from __future__ import annotations

import gc
import math
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any, overload

import numpy as np  # noqa: TID253  # frames are what is tested
import pandas as pd  # noqa: TID253  # likewise
import pytest

from airflow_provider_contacts.errors import ConfigError, SourceError
from airflow_provider_contacts.sources import RowSource, rows_of_query, rows_of_records


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
class SqliteFileHook:
    path: str
    supports_autocommit: bool = False
    connections: list[CountingConnection] = field(default_factory=list)

    def get_conn(self) -> CountingConnection:
        self.connections.append(sqlite3.connect(self.path, factory=CountingConnection))
        return self.connections[-1]

    def set_autocommit(self, conn: Any, autocommit: bool) -> None:
        raise AssertionError(conn, autocommit)


@pytest.fixture
def hook(tmp_path: Path) -> SqliteFileHook:
    path = str(tmp_path / "warehouse.db")
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("CREATE TABLE contacts (id INTEGER, email TEXT)")
        connection.executemany(
            "INSERT INTO contacts VALUES (?, ?)", [(index, f"{index}@example.com") for index in range(10)]
        )
    connection.close()
    return SqliteFileHook(path)


ALL = "SELECT id, email FROM contacts ORDER BY id"


@pytest.mark.parametrize("chunk_size", [1, 3, 10, 5000])
def test_every_row_comes_once_and_in_order(hook: SqliteFileHook, chunk_size: int) -> None:
    with rows_of_query(hook, ALL, None, chunk_size) as rows:
        assert rows.columns == ("id", "email")
        assert list(rows) == [{"id": index, "email": f"{index}@example.com"} for index in range(10)]


def test_columns_are_known_of_a_query_without_rows(hook: SqliteFileHook) -> None:
    with rows_of_query(hook, "SELECT id, email FROM contacts WHERE id < 0", None, 10) as rows:
        assert rows.columns == ("id", "email")
        assert list(rows) == []


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("SELECT id FROM contacts WHERE id > :low AND id < :high", {"low": 3, "high": 6}),
        ("SELECT id FROM contacts WHERE id > ? AND id < ?", [3, 6]),
        ("SELECT id FROM contacts WHERE id > ? AND id < ?", (3, 6)),
        ("SELECT id FROM contacts WHERE id > 3 AND id < 6 AND email LIKE '%'", {}),
    ],
)
def test_parameters_in_the_drivers_own_style(
    hook: SqliteFileHook, sql: str, parameters: Mapping[str, Any] | Sequence[Any]
) -> None:
    with rows_of_query(hook, sql, parameters, 10) as rows:
        assert list(rows) == [{"id": 4}, {"id": 5}]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 AS one;",
        "SELECT 1 AS one ; \n -- that was all; really\n",
        "/* first; */ SELECT 1 AS one -- last;",
        "WITH t AS (SELECT 1 AS one) SELECT one FROM t",
        "VALUES (1)",
    ],
)
def test_one_query_however_it_is_dressed(hook: SqliteFileHook, sql: str) -> None:
    with rows_of_query(hook, sql, None, 10) as rows:
        assert [list(row.values()) for row in rows] == [[1]]


def test_a_semicolon_inside_a_text_separates_nothing(hook: SqliteFileHook) -> None:
    with rows_of_query(hook, "SELECT 'a; b' AS \"c;d\"", None, 10) as rows:
        assert list(rows) == [{"c;d": "a; b"}]


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT id, email, id FROM contacts", "sql has more than one column named 'id'"),
        ("SELECT 1 AS a, 2 AS b, 3 AS a, 4 AS b", "named 'a', 'b'"),
        ("SELECT 1 AS ''", "gives column 1 no name"),
        ("UPDATE contacts SET id = 0", "it begins with UPDATE"),
        ("-- tidy up\ndelete from contacts", "it begins with DELETE"),
        ("INSERT INTO contacts VALUES (1, '') RETURNING id", "it begins with INSERT"),
        ("create table t (a)", "it begins with CREATE"),
        ("PRAGMA foreign_keys = ON", "it returned none"),
        ("SELECT 1; SELECT 2", "holds 2 statements"),
        ("SELECT 1; DELETE FROM contacts; --", "holds 2 statements"),
        ("", "holds 0 statements"),
        (" -- nothing\n;", "holds 0 statements"),
        (["SELECT 1"], "not list"),
        (None, "not NoneType"),
    ],
)
def test_what_is_not_one_query_is_a_configuration_error(hook: SqliteFileHook, sql: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        rows_of_query(hook, sql, None, 10)
    assert all(connection.closed == 1 for connection in hook.connections)
    with rows_of_query(hook, "SELECT count(*) AS n, max(id) AS top FROM contacts", None, 10) as rows:
        assert list(rows) == [{"n": 10, "top": 9}]


@pytest.mark.parametrize("chunk_size", [0, -1, True, 2.0, "5000", None])
def test_a_chunk_size_is_a_positive_whole_number(hook: SqliteFileHook, chunk_size: Any) -> None:
    with pytest.raises(ConfigError, match="chunk_size"):
        rows_of_query(hook, ALL, None, chunk_size)
    assert not hook.connections


def test_text_is_no_list_of_parameters(hook: SqliteFileHook) -> None:
    with pytest.raises(ConfigError, match="parameters must be a mapping or a list") as caught:
        rows_of_query(hook, "SELECT ? AS a", "secret", 10)
    assert "secret" not in str(caught.value)


def test_a_statement_that_writes_in_disguise_is_refused_by_the_database(hook: SqliteFileHook) -> None:
    with pytest.raises(SourceError, match=r"sqlite3\.OperationalError: attempt to write a readonly database"):
        rows_of_query(hook, "WITH gone AS (SELECT 1) DELETE FROM contacts", None, 10)
    assert [connection.closed for connection in hook.connections] == [1]


def test_a_failing_query_is_told_in_the_drivers_words(hook: SqliteFileHook) -> None:
    told = (
        r"the query of connection 'w' failed before its first row: sqlite3\.OperationalError.*: no such table: absent"
    )
    with pytest.raises(SourceError, match=told) as caught:
        rows_of_query(hook, "SELECT * FROM absent WHERE email = ?", ["ann@example.com"], 10, conn_id="w")
    assert "ann@" not in str(caught.value)
    assert [connection.closed for connection in hook.connections] == [1]


def test_nothing_is_ever_committed_and_the_end_closes(hook: SqliteFileHook) -> None:
    rows = rows_of_query(hook, ALL, None, 3)
    assert sum(1 for _ in rows) == 10
    assert (hook.connections[0].closed, hook.connections[0].committed) == (1, 0)
    assert list(rows) == []
    rows.close()
    assert hook.connections[0].closed == 1


def test_an_error_while_reading_closes_and_stays_the_error(hook: SqliteFileHook) -> None:
    # abs() of the smallest integer overflows, in a later chunk only
    sql = "SELECT id, abs(CASE WHEN id = 5 THEN -9223372036854775807 - 1 ELSE id END) AS n FROM contacts"
    rows = rows_of_query(hook, sql, None, 2)
    seen: list[int] = []
    with pytest.raises(SourceError, match=r"row 6 .*integer overflow"):
        seen.extend(row["id"] for row in rows)
    assert seen == [0, 1, 2, 3, 4]
    assert hook.connections[0].closed == 1


def test_closing_early_closes_the_connection(hook: SqliteFileHook) -> None:
    with rows_of_query(hook, ALL, None, 2) as rows:
        assert next(rows)["id"] == 0
    assert hook.connections[0].closed == 1
    assert list(rows) == []


def test_a_forgotten_source_closes_its_connection(hook: SqliteFileHook) -> None:
    rows = rows_of_query(hook, ALL, None, 2)
    assert hook.connections[0].closed == 0
    del rows
    gc.collect()
    assert hook.connections[0].closed == 1


def test_an_error_inside_the_block_is_not_hidden_by_trouble_in_closing() -> None:
    def release() -> None:
        raise OSError("second")

    def fail() -> None:
        raise KeyError("first")

    with pytest.raises(KeyError) as caught, RowSource(None, iter([1]), release):
        fail()
    assert caught.value.__notes__ == ["closing the source failed too: OSError"]
    with pytest.raises(OSError, match="second"), RowSource(None, iter([1]), release):
        pass


@dataclass
class FakeCursor:
    """A DB-API cursor of two rows, which arrive one call after the other."""

    chunks: list[Sequence[Any]] = field(default_factory=lambda: [((1, "a"),), ((2, "b"),), ()])
    calls: list[Any] = field(default_factory=list)
    description: Sequence[Any] | None = (("id", 23), ("name", 25))

    def execute(self, *arguments: Any) -> None:
        self.calls.append(arguments)

    def fetchmany(self, size: int) -> Sequence[Any]:
        self.calls.append(size)
        return self.chunks.pop(0)

    def close(self) -> None:
        self.calls.append("close")


class FakeConnection:
    def __init__(self, cursor: FakeCursor) -> None:
        self.fake_cursor, self.calls = cursor, list[Any]()

    def cursor(self, *arguments: Any) -> FakeCursor:
        self.calls.append(("cursor", *arguments))
        return self.fake_cursor

    def close(self) -> None:
        self.calls.append("close")


@dataclass
class FakeHook:
    connection: FakeConnection
    supports_autocommit: bool = True

    def get_conn(self) -> FakeConnection:
        return self.connection

    def set_autocommit(self, conn: FakeConnection, autocommit: bool) -> None:
        conn.calls.append(("autocommit", autocommit))


def test_any_dbapi_driver_is_read_in_chunks_without_autocommit() -> None:
    hook = FakeHook(FakeConnection(FakeCursor()))
    with rows_of_query(hook, "SELECT %(a)s", {"a": 1}, 7) as rows:
        assert list(rows) == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    assert hook.connection.calls == [("autocommit", False), ("cursor",), "close"]
    assert hook.connection.fake_cursor.calls == [("SELECT %(a)s", {"a": 1}), 7, 7, 7, "close"]


def test_rows_that_are_mappings_already_stay_so() -> None:
    cursor = FakeCursor([[{"id": 1, "name": "a"}], []])
    with rows_of_query(FakeHook(FakeConnection(cursor)), "SELECT 1", None, 7) as rows:
        assert list(rows) == [{"id": 1, "name": "a"}]


def test_a_row_of_another_width_than_the_columns_is_an_error() -> None:
    cursor = FakeCursor([[(1,)], []])
    rows = rows_of_query(FakeHook(FakeConnection(cursor)), "SELECT 1", None, 7)
    with pytest.raises(SourceError, match=r"row 1 .*ValueError"):
        next(rows)
    assert cursor.calls[-1] == "close"


@pytest.mark.parametrize("driver", ["MySQLdb", "pymysql"])
def test_mysql_leaves_the_result_at_the_server(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cursors = ModuleType(f"{driver}.cursors")
    cursors.SSCursor = unbuffered = object()  # type: ignore[attr-defined]  # a stand-in for the driver's module
    monkeypatch.setitem(sys.modules, driver, ModuleType(driver))
    monkeypatch.setitem(sys.modules, f"{driver}.cursors", cursors)
    kind = type("Connection", (FakeConnection,), {"__module__": f"{driver}.connections"})
    hook = FakeHook(kind(FakeCursor()))
    with rows_of_query(hook, "SELECT 1", None, 7) as rows:
        assert len(list(rows)) == 2
    assert ("cursor", unbuffered) in hook.connection.calls


@pytest.mark.parametrize("module", ["MySQLdb.connections", "mysql.connector.connection_cext"])
def test_mysql_does_not_read_on_what_is_left_when_the_reading_ends_early(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A cursor's close() reads the result to its end (MySQLdb) or refuses (MySQL's own): only its connection is closed.
    cursors = ModuleType("MySQLdb.cursors")
    cursors.SSCursor = object()  # type: ignore[attr-defined]  # a stand-in for the driver's module
    monkeypatch.setitem(sys.modules, "MySQLdb", ModuleType("MySQLdb"))
    monkeypatch.setitem(sys.modules, "MySQLdb.cursors", cursors)
    hook = FakeHook(type("Connection", (FakeConnection,), {"__module__": module})(FakeCursor()))
    with rows_of_query(hook, "SELECT 1", None, 1) as rows:
        next(rows)
    assert hook.connection.calls[-1] == "close"
    assert "close" not in hook.connection.fake_cursor.calls


def test_a_million_rows_take_the_memory_of_one_chunk() -> None:
    script = textwrap.dedent(
        """
        import sqlite3, psutil
        from airflow_provider_contacts.sources import rows_of_query

        class Hook:
            supports_autocommit = False

            def get_conn(self):
                return sqlite3.connect(":memory:")

        sql = '''
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
            SELECT i AS id, 'person' || i || '@example.com' AS email, 'A name of usual length ' || i AS name FROM n
        '''
        for _ in rows_of_query(Hook(), sql, [10_000], 5000):  # imports and the allocator's own growth
            pass
        sizes = [psutil.Process().memory_info().rss]
        with rows_of_query(Hook(), sql, [1_000_000], 5000) as rows:
            for count, row in enumerate(rows, 1):
                if count % 100_000 == 1:
                    sizes.append(psutil.Process().memory_info().rss)
        print(count, row["id"], max(sizes) - sizes[0])
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    count, last, growth = map(int, done.stdout.split())
    assert (count, last) == (1_000_000, 1_000_000)
    assert growth < 10_000_000  # all at once would be 260 MB


ANN, BOB = {"email": "ann@example.com"}, {"email": "bob@example.com"}


class LazySequence(Sequence[Any]):
    """As Airflow's own: an element is asked for when it is needed, and ``IndexError`` stands for any refusal."""

    def __init__(self, values: list[Any], missing: int | None = None) -> None:
        self.values, self.missing = values, missing

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, key: int) -> Any: ...

    @overload
    def __getitem__(self, key: slice) -> Sequence[Any]: ...

    def __getitem__(self, key: int | slice) -> Any:
        if key == self.missing:
            raise IndexError(key)
        return self.values[key]


def generated() -> Iterator[dict[str, str]]:
    yield ANN
    yield BOB


@pytest.mark.parametrize(
    "records",
    [
        [ANN, BOB],
        (ANN, BOB),
        iter([ANN, BOB]),
        generated(),
        {1: ANN, 2: BOB}.values(),
        LazySequence([ANN, BOB]),
        [[ANN], [BOB]],
        [[], (ANN, BOB), []],
        LazySequence([[ANN, BOB]]),
        LazySequence([[ANN], BOB]),
        [LazySequence([ANN]), BOB],
        pd.DataFrame([ANN, BOB]),
        LazySequence([pd.DataFrame([ANN]), pd.DataFrame([BOB])]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_records_of_every_allowed_kind(records: Any) -> None:
    with rows_of_records(records) as rows:
        assert list(rows) == [ANN, BOB]


def test_only_a_frame_knows_its_columns_from_the_start() -> None:
    assert rows_of_records([ANN]).columns is None
    assert rows_of_records(pd.DataFrame([ANN])).columns == ("email",)
    assert rows_of_records(pd.DataFrame(columns=["a", "b"])).columns == ("a", "b")


def test_what_is_no_mapping_is_handed_on() -> None:
    *rows, strange = rows_of_records([ANN, None, "text", 3, [[BOB]], {"a"}])
    assert rows == [ANN, None, "text", 3, [BOB]]
    assert repr(strange) == "<set>"


def test_lists_are_flattened_once_only() -> None:
    assert list(rows_of_records([[[ANN]]])) == [[ANN]]


def test_records_are_taken_one_at_a_time() -> None:
    taken = []

    def endless() -> Iterator[dict[str, int]]:
        for index in range(1_000_000):
            taken.append(index)
            yield {"index": index}

    with rows_of_records(endless()) as rows:
        assert [next(rows), next(rows)] == [{"index": 0}, {"index": 1}]
    assert taken == [0, 1]


def test_an_element_that_the_server_does_not_give_is_no_end() -> None:
    rows = rows_of_records(LazySequence([ANN, BOB, ANN], missing=1))
    assert next(rows) == ANN
    with pytest.raises(SourceError, match=r"row 2 .*IndexError"):
        next(rows)


@pytest.mark.parametrize(
    ("records", "text"),
    [
        (ANN, "wrap it in a list"),
        ("[]", "not str"),
        (b"[]", "not bytes"),
        (bytearray(b"x"), "not bytearray"),
        (7, "not int"),
        ({"a"}, "not set"),
        (pd.DataFrame({0: [1], "a": [2]}), "labels must be text, one is int"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "the DataFrame has more than one column named 'a'"),
        (pd.DataFrame({("a", "b"): [1]}), "one is tuple"),
    ],
)
def test_what_is_no_list_of_records_is_a_configuration_error(records: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        rows_of_records(records)
    assert "ann@" not in str(caught.value)


def test_another_librarys_frame_is_not_taken_for_a_list_of_columns() -> None:
    class OtherFrame:
        columns = ("a",)

        def __iter__(self) -> Iterator[Any]:
            return iter([[1, 2]])

    with pytest.raises(ConfigError, match="not OtherFrame"):
        rows_of_records(OtherFrame())


def test_the_values_of_a_frame_are_pythons_own() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001  # a time without a zone is the case
    frame = pd.DataFrame(
        {
            "whole": np.array([1, 2], dtype="int32"),
            "part": [1.5, math.nan],
            "yes": [True, False],
            "text": ["a", None],
            "moment": [moment, None],
            "mixed": pd.Series([np.int64(7), np.str_("b")], dtype=object),
            "numpy_moment": pd.Series([np.datetime64("2026-01-02T03:04:05", "ns"), np.float32(0.5)], dtype=object),
            "nullable": pd.array([3, None], dtype="Int64"),
            "exact": [Decimal("1.10"), {"nested": 1}],
        }
    )
    first, second = rows_of_records(frame)
    kinds = {name: type(value) for name, value in first.items()}
    assert kinds.pop("moment") is pd.Timestamp  # a datetime with nanoseconds
    assert kinds == {
        "whole": int,
        "part": float,
        "yes": bool,
        "text": str,
        "mixed": int,
        "numpy_moment": datetime,
        "nullable": int,
        "exact": Decimal,
    }
    assert first["numpy_moment"] == moment == first["moment"]
    assert type(second["mixed"]) is str
    assert second["numpy_moment"] == 0.5
    assert math.isnan(second["part"])
    assert math.isnan(second["moment"])
    assert math.isnan(second["nullable"])
    assert second["exact"] == {"nested": 1}


def test_pandas_is_not_imported_for_a_list() -> None:
    script = (
        "import sys; from airflow_provider_contacts.sources import rows_of_records; list(rows_of_records([{}]));"
        "print(sorted({'pandas', 'numpy', 'sqlparse', 'sqlalchemy', 'airflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
