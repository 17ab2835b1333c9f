from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
import psycopg2  # type: ignore[import-untyped]  # it has no types
import pytest
from airflow.sdk import BaseHook

from airflow_provider_contacts.errors import ConfigError, SourceError
from airflow_provider_contacts.sources import SqlHook, rows_of_query
from tests.airflow_harness import airflow_connections

if TYPE_CHECKING:
    from airflow.providers.postgres.hooks.postgres import PostgresHook

NAME = "contacts-source-test"


class Server(Protocol):
    folder: Path


@pytest.fixture(scope="module")
def warehouse(postgres: Server) -> Iterator[str]:
    """Return the connection text of a database with one table of ten rows."""
    server = f"host={postgres.folder} user=postgres application_name={NAME}"
    with closing(psycopg.connect(f"{server} dbname=postgres", autocommit=True)) as admin:
        admin.execute("CREATE DATABASE warehouse")
        with closing(psycopg.connect(f"{server} dbname=warehouse")) as connection:
            connection.execute(
                "CREATE TABLE contacts AS SELECT i AS id, i || '@example.com' AS email FROM generate_series(0, 9) i"
            )
            connection.execute("CREATE SEQUENCE numbers")
            connection.commit()
    yield f"{server} dbname=warehouse"
    with closing(psycopg.connect(f"{server} dbname=postgres", autocommit=True)) as admin:
        admin.execute("DROP DATABASE warehouse WITH (FORCE)")


class DriverHook:
    """A hook whose connections are of one driver."""

    supports_autocommit = True

    def __init__(self, connect: Callable[[str], Any], text: str) -> None:
        self.connect, self.text, self.connections = connect, text, list[Any]()

    def get_conn(self) -> Any:
        self.connections.append(self.connect(self.text))
        return self.connections[-1]

    def set_autocommit(self, conn: Any, autocommit: bool) -> None:
        conn.autocommit = autocommit


def airflow_hook(warehouse: str, **extra: Any) -> PostgresHook:
    parts = psycopg.conninfo.conninfo_to_dict(warehouse)
    settings = {
        "conn_type": "postgres",
        "host": parts["host"],
        "login": parts["user"],
        "schema": parts["dbname"],
        "extra": {"application_name": NAME, **extra},
    }
    with airflow_connections({"warehouse": settings}):
        hook: PostgresHook = BaseHook.get_hook("warehouse")
        hook.connection  # noqa: B018  # read while it is defined
    return hook


@pytest.fixture(params=["airflow", "psycopg", "psycopg2"])
def hook(request: pytest.FixtureRequest, warehouse: str) -> SqlHook:
    if request.param == "airflow":
        return airflow_hook(warehouse)
    return DriverHook({"psycopg": psycopg.connect, "psycopg2": psycopg2.connect}[request.param], warehouse)


@pytest.fixture(autouse=True)
def no_connection_is_left(warehouse: str) -> Iterator[None]:
    """Check that each test's sources have closed what they opened."""
    yield
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND pid <> pg_backend_pid()"
    with closing(psycopg.connect(warehouse)) as connection:
        # a backend takes a moment to leave
        for _ in range(100):
            ((left,),) = connection.execute(count, [NAME]).fetchall()
            if not left:
                break
            connection.execute("SELECT pg_sleep(0.01), pg_stat_clear_snapshot()")
    assert left == 0


ALL = "SELECT id, email FROM contacts ORDER BY id"


@pytest.mark.parametrize("chunk_size", [1, 3, 10, 5000])
def test_every_row_comes_once_and_in_order(hook: SqlHook, chunk_size: int) -> None:
    with rows_of_query(hook, ALL, None, chunk_size) as rows:
        assert rows.columns == ("id", "email")
        assert list(rows) == [{"id": index, "email": f"{index}@example.com"} for index in range(10)]


def test_columns_are_known_of_a_query_without_rows(hook: SqlHook) -> None:
    with rows_of_query(hook, "SELECT id, email FROM contacts WHERE id < 0;", None, 10) as rows:
        assert rows.columns == ("id", "email")
        assert list(rows) == []


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("SELECT id FROM contacts WHERE id > %(low)s AND id < %(high)s AND email LIKE '%%@%%'", {"low": 3, "high": 6}),
        ("SELECT id FROM contacts WHERE id > %s AND id < %s", [3, 6]),
        ("SELECT id FROM contacts WHERE id > %s AND id < %s", (3, 6)),
        ("SELECT id FROM contacts WHERE id > 3 AND id < 6 AND email LIKE '%@%'", None),
        ("SELECT id FROM contacts WHERE id > 3 AND id < 6 AND email LIKE '%@%'", {}),
    ],
)
def test_parameters_in_the_drivers_own_style(hook: SqlHook, sql: str, parameters: Any) -> None:
    with rows_of_query(hook, sql, parameters, 10) as rows:
        assert sorted(row["id"] for row in rows) == [4, 5]


@pytest.mark.parametrize("cursor", ["dictcursor", "namedtuplecursor"])
def test_a_connection_that_asks_for_other_rows_changes_nothing(warehouse: str, cursor: str) -> None:
    with rows_of_query(airflow_hook(warehouse, cursor=cursor), ALL, None, 4) as rows:
        assert next(rows) == {"id": 0, "email": "0@example.com"}
        assert len(list(rows)) == 9


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT id, email, id FROM contacts", "more than one column named 'id'"),
        ("SELECT 1, 2", "more than one column named"),
        ("SELECT FROM contacts", "it returned none"),
        ("UPDATE contacts SET id = 0", "it begins with UPDATE"),
        ("SELECT 1 AS a; DELETE FROM contacts", "holds 2 statements"),
    ],
)
def test_what_is_not_one_query_is_a_configuration_error(hook: SqlHook, sql: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        rows_of_query(hook, sql, None, 10)


@pytest.mark.parametrize(
    "sql",
    [
        "WITH gone AS (DELETE FROM contacts RETURNING id) SELECT id FROM gone",
        "SELECT nextval('numbers') AS n",
        "SELECT * FROM absent",
        "SELECT 1 / (id - id) AS n FROM contacts WHERE email = %(email)s",
    ],
)
def test_what_the_database_refuses_is_told_in_its_words(hook: SqlHook, sql: str, warehouse: str) -> None:
    parameters = {"email": "3@example.com"} if "%" in sql else None
    with pytest.raises(SourceError, match=r"SQLSTATE (0A000|25006|42P01|22012)") as caught:
        list(rows_of_query(hook, sql, parameters, 10))
    assert "3@example.com" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
    with closing(psycopg.connect(warehouse)) as connection:
        assert connection.execute("SELECT count(*), max(id) FROM contacts").fetchall() == [(10, 9)]
        assert connection.execute("SELECT is_called FROM numbers").fetchall() == [(False,)]


def test_an_error_while_reading_comes_after_the_rows_before_it(hook: SqlHook) -> None:
    rows = rows_of_query(hook, "SELECT 10 / (5 - i) AS n FROM generate_series(1, 10) i", None, 2)
    seen: list[int] = []
    with pytest.raises(SourceError, match=r"row 5 .*DivisionByZero \(SQLSTATE 22012\)"):
        seen.extend(row["n"] for row in rows)
    assert seen == [2, 3, 5, 10]


def test_closing_early_and_forgetting_let_go_of_the_connection(hook: SqlHook) -> None:
    with rows_of_query(hook, ALL, None, 2) as rows:
        next(rows)
    forgotten = rows_of_query(hook, ALL, None, 2)
    next(forgotten)
    del forgotten


def test_all_rows_are_of_the_moment_of_the_query(hook: SqlHook, warehouse: str) -> None:
    with rows_of_query(hook, ALL, None, 2) as rows, closing(psycopg.connect(warehouse)) as other:
        first = next(rows)["id"]
        other.execute("DELETE FROM contacts WHERE id > 4")
        other.execute("UPDATE contacts SET email = 'changed'")
        assert [first, *(row["id"] for row in rows if row["email"] != "changed")] == list(range(10))
        other.rollback()


def test_a_lost_connection_is_an_error_not_an_end(hook: SqlHook, warehouse: str) -> None:
    rows = rows_of_query(hook, ALL, None, 2)
    next(rows)
    with closing(psycopg.connect(warehouse)) as other:
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
        other.execute(f"{kill} AND pid <> pg_backend_pid()", [NAME])
    with pytest.raises(SourceError, match=r"OperationalError|AdminShutdown"):
        list(rows)


MEASURE = """
    import sys, psutil, {driver}
    from airflow_provider_contacts.sources import rows_of_query

    class Hook:
        supports_autocommit = False

        def get_conn(self):
            return {driver}.connect(sys.argv[1])

    sql = "SELECT i AS id, i || '@example.com' AS email, repeat('x', 200) AS notes FROM generate_series(1, %s) i"
    for _ in rows_of_query(Hook(), sql, [10_000], 5000):  # imports and the allocator's own growth
        pass
    sizes = [psutil.Process().memory_info().rss]
    with rows_of_query(Hook(), sql, [200_000], 5000) as rows:
        for count, row in enumerate(rows, 1):
            if count % 20_000 == 1:
                sizes.append(psutil.Process().memory_info().rss)
    print(count, row["id"], max(sizes) - sizes[0])
"""


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_two_hundred_thousand_rows_take_the_memory_of_one_chunk(warehouse: str, driver: str) -> None:
    script = textwrap.dedent(MEASURE.format(driver=driver))
    done = subprocess.run([sys.executable, "-c", script, warehouse], capture_output=True, text=True, check=True)
    count, last, growth = map(int, done.stdout.split())
    assert (count, last) == (200_000, 200_000)
    assert growth < 15_000_000  # all at once would be 140 MB
