"""Rows of real servers by every driver that is installed: all of them, bad ones, and queries that run on."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pymysql  # type: ignore[import-untyped]  # it has no types
import pytest
from airflow.sdk import BaseHook

from airflow_provider_contacts.errors import InterruptedPushError, SourceError
from airflow_provider_contacts.sources import rows_of_query
from demo.airflow_home import load
from tests.airflow_harness import airflow_connections
from tests.support.pushing import World, counts, sql_push
from tests.support.rows import CANARY, after, read

if TYPE_CHECKING:
    from tests.support.servers import MariaDB, Postgres

EXAMPLES = Path(__file__).resolve().parents[2] / "example_dags"
NAME = "contacts-source-test"
MYSQL = {
    name: module
    for name, module in {"MySQLdb": "MySQLdb", "mysql": "mysql.connector"}.items()
    if importlib.util.find_spec(name) is not None
}


@dataclass
class Hook:
    """A hook whose connections are of one driver.

    :param rows: a query of so many rows: id, email, notes.
    :param active: a query that counts what the server works on, by a pattern.
    """

    module: str
    arguments: dict[str, Any]
    rows: str
    active: str
    supports_autocommit: bool = False

    def get_conn(self) -> Any:
        return import_module(self.module).connect(**self.arguments)

    def set_autocommit(self, conn: Any, autocommit: bool) -> None:
        conn.autocommit = autocommit

    def ask(self, sql: str, parameters: list[Any] | None = None) -> Any:
        with closing(self.get_conn()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchone()

    def none_is_active(self, pattern: str) -> bool:
        """Tell whether the server soon works on no query like this."""
        deadline = time.monotonic() + 10
        while self.ask(self.active, [pattern])[0]:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def postgres_hook_of(server: Postgres, driver: str) -> Hook:
    return Hook(
        driver,
        {"host": str(server.folder), "user": "postgres", "dbname": "postgres", "application_name": NAME},
        "SELECT i AS id, i || '@example.com' AS email, repeat('x', 200) AS notes FROM generate_series(1, {count}) i",
        f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{NAME}' AND pid <> pg_backend_pid() "
        "AND query LIKE %s",
        supports_autocommit=True,
    )


def numbers(count: object) -> str:
    """Return a table of the numbers up to ``count``, for MySQL and MariaDB."""
    counted = f"WITH RECURSIVE n AS (SELECT 1 AS seq UNION ALL SELECT seq + 1 FROM n WHERE seq < {count})"
    return f"({counted} SELECT seq FROM n) AS numbers_to_{count}"


def mysql_hook_of(server: MariaDB, driver: str) -> Hook:
    return Hook(
        MYSQL[driver],
        {"unix_socket": str(server.socket), "user": "root", "database": "mysql"},
        "SELECT seq AS id, CONCAT(seq, '@example.com') AS email, REPEAT('x', 200) AS notes FROM " + numbers("{count}"),
        "SELECT count(*) FROM information_schema.processlist WHERE info LIKE %s AND id <> connection_id()",
    )


def opened(request: pytest.FixtureRequest) -> Iterator[Hook]:
    """Yield the hook of one driver; afterwards, all that it opened is closed."""
    mysql = request.param in MYSQL
    server = request.getfixturevalue("mariadb" if mysql else "postgres")
    found = mysql_hook_of(server, request.param) if mysql else postgres_hook_of(server, request.param)
    yield found
    assert found.none_is_active("%numbers_to_%" if mysql else "%"), "a source has not closed its connection"


postgres_hook = pytest.fixture(params=["psycopg", "psycopg2"])(opened)
mysql_hook = pytest.fixture(params=list(MYSQL))(opened)
hook = pytest.fixture(params=["psycopg", "psycopg2", *MYSQL])(opened)


def another(hook: Hook) -> psycopg.Connection[Any]:
    """Return a connection to the same PostgreSQL server that is none of a source's."""
    return psycopg.connect(**{**hook.arguments, "application_name": "other"}, autocommit=True)


def airflow_hook(postgres: Postgres, **extra: Any) -> Any:
    settings = {**postgres.connection(), "extra": {"application_name": NAME, **extra}}
    with airflow_connections({"warehouse": settings}):
        hook: Any = BaseHook.get_hook("warehouse")
        hook.connection  # noqa: B018  # read while it is defined
    return hook


# What is read.


@pytest.mark.parametrize("chunk_size", [3, 10])
def test_every_row_comes_once(hook: Hook, chunk_size: int) -> None:
    with rows_of_query(hook, hook.rows.format(count=10), None, chunk_size) as rows:
        assert rows.columns == ("id", "email", "notes")
        assert [(row["id"], row["email"]) for row in rows] == [(n, f"{n}@example.com") for n in range(1, 11)]


def test_columns_are_known_of_a_query_without_rows(hook: Hook) -> None:
    sql = f"SELECT id, email FROM ({hook.rows.format(count=3)}) t WHERE id > %s"
    with rows_of_query(hook, sql, [7], 10) as rows:
        assert rows.columns == ("id", "email")
        assert list(rows) == []


@pytest.mark.parametrize(
    ("condition", "parameters"),
    [
        ("id > %(low)s AND id < %(high)s AND email LIKE '%%@%%'", {"low": 3, "high": 6}),
        ("id > %s AND id < %s", [3, 6]),
        ("id > %s AND id < %s", (3, 6)),
        ("id > 3 AND id < 6 AND email LIKE '%@%'", None),
        ("id > 3 AND id < 6 AND email LIKE '%@%'", {}),
    ],
)
def test_parameters_in_the_drivers_own_style(hook: Hook, condition: str, parameters: Any) -> None:
    sql = f"SELECT id FROM ({hook.rows.format(count=10)}) t WHERE {condition}"
    with rows_of_query(hook, sql, parameters, 10) as rows:
        assert sorted(row["id"] for row in rows) == [4, 5]


@pytest.mark.parametrize("starts", [[], ["10@example.com", "7@example.com"]])
def test_the_sharded_examples_ranges_give_every_row_once(hook: Hook, starts: list[str]) -> None:
    push: Any = load(EXAMPLES / "example_sharded.py").get_task("push")
    condition = re.sub(":(low|high)", r"%(\1)s", push.partial_kwargs["sql"].partition("WHERE")[2])
    people = f"SELECT id, NULLIF(email, '5@example.com') AS contact_id FROM ({hook.rows.format(count=12)}) t"
    found = []
    for low, high in pairwise([None, *starts, None]):
        sql = f"SELECT id FROM ({people}) keys_ WHERE {condition}"
        with rows_of_query(hook, sql, {"low": low, "high": high}, 5) as rows:
            found += [row["id"] for row in rows]
    assert sorted(found) == list(range(1, 13))


@pytest.mark.parametrize("cursor", [None, "dictcursor", "namedtuplecursor"])
def test_a_connection_of_airflow_that_asks_for_other_rows_changes_nothing(
    postgres: Postgres, cursor: str | None
) -> None:
    hook = airflow_hook(postgres, **({"cursor": cursor} if cursor else {}))
    with rows_of_query(hook, "SELECT 1 AS id, 'a' AS email UNION ALL SELECT 2, 'b'", None, 1) as rows:
        assert list(rows) == [{"id": 1, "email": "a"}, {"id": 2, "email": "b"}]


def test_a_query_writes_nothing(postgres_hook: Hook) -> None:
    with another(postgres_hook) as other:
        other.execute("CREATE TABLE kept AS SELECT 1 AS id; CREATE SEQUENCE numbers")
        try:
            for sql in ("WITH g AS (DELETE FROM kept RETURNING id) SELECT id FROM g", "SELECT nextval('numbers') AS n"):
                _, text = read(lambda sql=sql: rows_of_query(postgres_hook, sql, None, 10))  # type: ignore[misc]
                assert "(SQLSTATE 0A000)" in text or "(SQLSTATE 25006)" in text
            assert other.execute("SELECT count(*), bool_or(is_called) FROM kept, numbers").fetchall() == [(1, False)]
        finally:
            other.execute("DROP TABLE kept; DROP SEQUENCE numbers")


def test_all_rows_are_of_the_moment_of_the_query(postgres_hook: Hook) -> None:
    with another(postgres_hook) as other:
        other.execute("CREATE TABLE moving AS SELECT i AS id FROM generate_series(0, 9) i")
        try:
            with rows_of_query(postgres_hook, "SELECT id FROM moving ORDER BY id", None, 2) as rows:
                first = next(rows)["id"]
                other.execute("DELETE FROM moving WHERE id > 4")
                assert [first, *(row["id"] for row in rows)] == list(range(10))
        finally:
            other.execute("DROP TABLE moving")


def test_a_reading_that_ends_early_or_is_forgotten_does_not_read_on(hook: Hook) -> None:
    # The rest would take half a minute.
    sql = f"SELECT a.* FROM ({hook.rows.format(count=20_000)}) a, ({hook.rows.format(count=1000)}) b"
    rows = rows_of_query(hook, sql, None, 10)
    forgotten = rows_of_query(hook, sql, None, 10)
    assert next(rows)["id"] == next(forgotten)["id"]
    began = time.monotonic()
    rows.close()
    del forgotten
    assert time.monotonic() - began < 5


def test_a_lost_connection_is_an_error_not_an_end(postgres_hook: Hook) -> None:
    rows = rows_of_query(postgres_hook, postgres_hook.rows.format(count=10), None, 2)
    next(rows)
    with another(postgres_hook) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [NAME])
    with pytest.raises(SourceError, match=r"OperationalError|AdminShutdown"):
        list(rows)


MEASURE = """
    import sys, psutil
    from importlib import import_module
    from airflow_provider_contacts.sources import rows_of_query

    class Hook:
        supports_autocommit = False

        def get_conn(self):
            return import_module({module!r}).connect(**{arguments!r})

    for _ in rows_of_query(Hook(), {sql!r}.format(count=10_000), None, 5000):  # imports and the allocator's own growth
        pass
    sizes = [psutil.Process().memory_info().rss]
    with rows_of_query(Hook(), {sql!r}.format(count=100_000), None, 5000) as rows:
        for count, row in enumerate(rows, 1):
            if count % 10_000 == 1:
                sizes.append(psutil.Process().memory_info().rss)
    print(count, row["id"], max(sizes) - sizes[0])
"""


def test_a_hundred_thousand_rows_take_the_memory_of_one_chunk(hook: Hook) -> None:
    script = textwrap.dedent(MEASURE).format(module=hook.module, arguments=hook.arguments, sql=hook.rows)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    count, last, growth = map(int, done.stdout.split())
    assert (count, last) == (100_000, 100_000)
    assert growth < 15_000_000  # all at once would be 50 MB


# A row that cannot be had.


NUMBERS = "SELECT i AS id, {} AS value FROM generate_series(1, 5) i"


@pytest.mark.parametrize(("bad", "chunk_size"), [(1, 2), (3, 5000), (5, 2)])
def test_a_date_that_python_lacks(postgres_hook: Hook, bad: int, chunk_size: int) -> None:
    sql = NUMBERS.format(f"CASE WHEN i = {bad} THEN '0044-03-15 BC'::date ELSE '2026-01-02'::date END")
    seen, text = read(lambda: rows_of_query(postgres_hook, sql, None, chunk_size))
    # psycopg converts all rows of a fetch or none.
    given = bad - 1 if postgres_hook.module == "psycopg2" else (bad - 1) // chunk_size * chunk_size
    assert [row["id"] for row in seen] == list(range(1, given + 1))
    assert text.startswith(f"row {given + 1} (row_index {given}) of the query of the source, or one behind it, cannot")


MOMENTS = {
    "date": "'infinity', '-infinity', '0044-03-15 BC', '10000-01-01'",
    "timestamp": "'infinity', '-infinity', '0044-03-15 BC'",
    "timestamptz": "'infinity', '-infinity', '10000-01-01'",
    "time": "'24:00'",
    "timetz": "'24:00+01'",
}


@pytest.mark.parametrize("kind", MOMENTS)
def test_a_moment_that_python_lacks_is_never_another_one(postgres_hook: Hook, kind: str) -> None:
    for value in MOMENTS[kind].split(", "):
        good = "'23:59:59'" if kind in {"time", "timetz"} else "'2026-01-02'"
        sql = NUMBERS.format(f"(CASE i WHEN 3 THEN {value} WHEN 2 THEN NULL ELSE {good} END)::{kind}")
        seen, text = read(lambda sql=sql: rows_of_query(postgres_hook, sql, None, 1))  # type: ignore[misc]
        assert [row["id"] for row in seen] == [1, 2]
        assert seen[0]["value"] is not None
        assert text.startswith("row 3 (row_index 2) of the query of the source")


@pytest.mark.parametrize(
    ("bad", "chunk_size", "parameters"), [(1, 2, None), (2, 1, ["x"]), (5, 2, ["x"]), (5, 5000, None)]
)
def test_a_value_that_the_server_cannot_convert(
    postgres_hook: Hook, bad: int, chunk_size: int, parameters: list[str] | None
) -> None:
    sql = NUMBERS.format(f"(CASE WHEN i = {bad} THEN '{CANARY}' ELSE i::text END)::int")
    sql += " WHERE %s = 'x'" if parameters else ""
    seen, text = read(lambda: rows_of_query(postgres_hook, sql, parameters, chunk_size))
    # A server that refuses one row of a fetch gives none of it.
    whole = (bad - 1) // chunk_size * chunk_size
    assert [row["id"] for row in seen] == list(range(1, whole + 1))
    assert "InvalidTextRepresentation (SQLSTATE 22P02)" in text
    assert f"row {whole + 1} (row_index {whole}) of the query" in text or (not whole and "before its first row" in text)


def test_an_error_in_the_query_stays_understandable(hook: Hook) -> None:
    assert "emial" in read(lambda: rows_of_query(hook, "SELECT emial FROM (SELECT 1 AS email) t", None, 10))[1]


@pytest.mark.parametrize("chunk_size", [1, 2, 5000])
def test_a_row_that_mysql_cannot_compute(mysql_hook: Hook, chunk_size: int) -> None:
    sql = f"SELECT seq AS id, IF(seq = 3, EXP(1000 + LENGTH('{CANARY}')), seq) AS value FROM {numbers(5)}"
    seen, text = read(lambda: rows_of_query(mysql_hook, sql, None, chunk_size))
    ahead = mysql_hook.module == "mysql.connector"
    assert [row["id"] for row in seen] == ([1] if ahead else [1, 2])
    assert ("row 2 (row_index 1)" if ahead else "row 3 (row_index 2)") in text


def test_a_date_of_zeros_harms_nobody(mysql_hook: Hook) -> None:
    sql = "SELECT seq AS id, CAST(IF(seq = 3, '0000-00-00', '2026-01-02') AS DATE) AS value FROM " + numbers(5)
    with rows_of_query(mysql_hook, sql, None, 10) as rows:
        assert [row["id"] for row in rows] == [1, 2, 3, 4, 5]


def test_what_was_read_before_a_bad_row_is_sent(
    world: World, postgres: Postgres, capfd: pytest.CaptureFixture[str]
) -> None:
    world.connect("warehouse", **postgres.connection())
    sql = (
        "SELECT i AS key, 'A' AS first_name, "
        "CASE WHEN i = 198 THEN '0044-03-15 BC'::date ELSE '1990-01-02'::date END AS birthday "
        f"FROM generate_series(1, 200) i -- {CANARY}"
    )
    op = sql_push(sql, chunk_size=10)
    result = world.run(op)
    assert (result.state, type(result.error).__name__) == ("up_for_retry", "SourceError")
    assert "row 191 (row_index 190) of the query of connection 'warehouse'" in str(result.error)
    assert counts(world.summary(op), "planned", "succeeded") == (190, 190)
    assert len(world.stored()) == 190
    assert CANARY not in "".join(capfd.readouterr())


# The end of a query that runs on.


SLOW = {
    "postgres": [
        "SELECT 1 AS id, pg_sleep(25) AS value",
        "SELECT i AS id, CASE WHEN i > 3 THEN pg_sleep(25) END AS value FROM generate_series(1, 5) i",
    ],
    "mysql": [
        "SELECT 1 AS id, SLEEP(25) AS value",
        "SELECT seq AS id, IF(seq > 3, SLEEP(25), 0) AS value FROM " + numbers(5),
    ],
}


@pytest.mark.parametrize("later", [0, 1])
def test_a_query_ends_with_the_push(hook: Hook, later: int) -> None:
    sql = SLOW["postgres" if hook.supports_autocommit else "mysql"][later]
    began = time.monotonic()
    with pytest.raises(InterruptedPushError):
        list(rows_of_query(hook, sql, None, 2, stopping=after(2)))
    assert time.monotonic() - began < 5
    assert hook.none_is_active("%leep(25)%")


WAREHOUSES = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT i AS key, 'A' AS first_name FROM n WHERE i < 5 OR i > 100000000000",
    "postgres": "SELECT i AS key, 'A' AS first_name, CASE WHEN i > 3 THEN pg_sleep(25)::text END AS company "
    "FROM generate_series(1, 5) i",
}


@pytest.mark.parametrize(("warehouse", "how"), [("sqlite", "SIGTERM"), ("postgres", "execution_timeout")])
def test_a_task_ends_in_seconds_while_its_query_runs(
    world: World, request: pytest.FixtureRequest, warehouse: str, how: str
) -> None:
    if warehouse == "postgres":
        world.connect("warehouse", **request.getfixturevalue("postgres").connection())
    limited = how == "execution_timeout"
    timeout = {"execution_timeout": timedelta(seconds=3)} if limited else {}
    # Under a default sync_id, the first thousand rows are looked at before a push begins.
    op = sql_push(WAREHOUSES[warehouse], chunk_size=2, sync_id="slow", **timeout)
    timer = threading.Timer(3.0, lambda: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.signal(signal.SIGTERM, lambda *_: op.on_kill())
    began = time.monotonic()
    try:
        if not limited:
            timer.start()
        result = world.run(op)
    finally:
        timer.cancel()
        signal.signal(signal.SIGTERM, before)
    assert time.monotonic() - began < 3 + 5
    assert type(result.error).__name__ == ("AirflowTaskTimeout" if limited else "InterruptedPushError")
    assert world.summary(op)["num_planned"] >= 2, "what was read before has its outcome"
    assert world.runs()[0][2] == "aborted"


# A vendor that is slower than the session allows.


def test_rows_that_wait_longer_than_the_server_would_come_all_the_same(mysql_hook: Hook, mariadb: MariaDB) -> None:
    with closing(pymysql.connect(unix_socket=str(mariadb.socket), user="root")) as connection:
        cursor = connection.cursor()
        cursor.execute("SET GLOBAL net_write_timeout = 1")
        try:
            sql = "SELECT seq AS id, REPEAT('x', 2000) AS value FROM " + numbers(20000)
            with rows_of_query(mysql_hook, sql, None, 10) as rows:
                next(rows)
                time.sleep(2)
                assert sum(1 for _ in rows) == 19_999
        finally:
            cursor.execute("SET GLOBAL net_write_timeout = 60")


def test_a_transaction_of_postgresql_waits_for_a_slow_vendor(postgres_hook: Hook) -> None:
    with another(postgres_hook) as admin:
        admin.execute("ALTER ROLE postgres SET idle_in_transaction_session_timeout = '300ms'")
        try:
            with rows_of_query(postgres_hook, "SELECT i FROM generate_series(1, 5) i", None, 1) as rows:
                next(rows)
                time.sleep(1)
                assert sum(1 for _ in rows) == 4
        finally:
            admin.execute("ALTER ROLE postgres RESET idle_in_transaction_session_timeout")
