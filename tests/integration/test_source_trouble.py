"""Bad rows, queries that run on and slow vendors, with real servers and every driver that is installed."""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

import psycopg
import pymysql  # type: ignore[import-untyped]  # it has no types
import pytest
from airflow.sdk import DAG

from airflow_provider_contacts.errors import InterruptedPushError, SourceError
from airflow_provider_contacts.operators import SqlToContactsOperator
from airflow_provider_contacts.sources import rows_of_query
from tests.support.pushing import World

if TYPE_CHECKING:
    from tests.support.servers import MariaDB, Postgres

CANARY = "personcanary"
POSTGRES = ("psycopg", "psycopg2")
MYSQL = {
    name: module
    for name, module in {"pymysql": "pymysql", "MySQLdb": "MySQLdb", "mysql": "mysql.connector"}.items()
    if importlib.util.find_spec(name) is not None
}


class Hook:
    """A hook whose connections are of one driver."""

    def __init__(self, connect: Callable[[], Any], *, autocommit: bool) -> None:
        self.connect = connect
        self.supports_autocommit = autocommit

    def get_conn(self) -> Any:
        return self.connect()

    def set_autocommit(self, conn: Any, autocommit: bool) -> None:
        conn.autocommit = autocommit


@pytest.fixture(params=POSTGRES)
def postgres_hook(request: pytest.FixtureRequest, postgres: Postgres) -> Hook:
    text = f"host={postgres.folder} user=postgres dbname=postgres"
    return Hook(lambda: import_module(request.param).connect(text), autocommit=True)


@pytest.fixture(params=MYSQL)
def mysql_hook(request: pytest.FixtureRequest, mariadb: MariaDB) -> Hook:
    driver = import_module(MYSQL[request.param])
    return Hook(
        lambda: driver.connect(unix_socket=str(mariadb.socket), user="root", database="mysql"), autocommit=False
    )


def read(rows: Iterator[Any]) -> tuple[list[Any], str]:
    """Return what comes before the error, and its text; nothing of a person is in it, nor in what is chained to it."""
    seen: list[Any] = []
    with pytest.raises(SourceError) as caught:
        seen.extend(rows)
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is caught.value.__context__ is None
    return seen, str(caught.value)


NUMBERS = "SELECT i AS id, {} AS value FROM generate_series(1, 5) i"


@pytest.mark.parametrize("chunk_size", [1, 2, 10, 5000])
@pytest.mark.parametrize("bad", [1, 3, 5])
def test_a_date_that_python_lacks(postgres_hook: Hook, bad: int, chunk_size: int) -> None:
    value = f"CASE WHEN i = {bad} THEN '0044-03-15 BC'::date ELSE '2026-01-02'::date END"
    seen, text = read(rows_of_query(postgres_hook, NUMBERS.format(value), None, chunk_size))
    assert [row["id"] for row in seen] == list(range(1, bad))
    assert text.startswith(f"row {bad} (row_index {bad - 1}) of the query of the source")


@pytest.mark.parametrize("chunk_size", [1, 2, 10, 5000])
@pytest.mark.parametrize("value", ["'infinity'::date", "'-infinity'::timestamptz", "'10000-01-01'::date"])
def test_psycopg_names_the_column_of_a_date_without_an_end(postgres: Postgres, value: str, chunk_size: int) -> None:
    hook = Hook(lambda: psycopg.connect(f"host={postgres.folder} user=postgres dbname=postgres"), autocommit=True)
    kind = value.rpartition("::")[2]
    sql = NUMBERS.format(f"CASE WHEN i = 3 THEN {value} ELSE '2026-01-02'::{kind} END")
    seen, text = read(rows_of_query(hook, sql, None, chunk_size))
    assert [row["id"] for row in seen] == [1, 2]
    assert text.startswith("row 3 (row_index 2) of the query of the source, column 'value',")


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
        good = "'23:59:59'" if kind.startswith("time") and "stamp" not in kind else "'2026-01-02'"
        sql = NUMBERS.format(f"(CASE i WHEN 3 THEN {value} WHEN 2 THEN NULL ELSE {good} END)::{kind}")
        seen, text = read(rows_of_query(postgres_hook, sql, None, 10))
        assert [row["id"] for row in seen] == [1, 2]
        assert seen[0]["value"] is not None
        assert text.startswith("row 3 (row_index 2) of the query of the source")


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 10, 5000])
@pytest.mark.parametrize("bad", [2, 3, 5])
@pytest.mark.parametrize("parameters", [None, ["x"]])
def test_a_value_that_the_server_cannot_convert(
    postgres_hook: Hook, bad: int, chunk_size: int, parameters: list[str] | None
) -> None:
    sql = NUMBERS.format(f"(CASE WHEN i = {bad} THEN '{CANARY}' ELSE i::text END)::int")
    sql += " WHERE %s = 'x'" if parameters else ""
    seen, text = read(rows_of_query(postgres_hook, sql, parameters, chunk_size))
    # A server that refuses one row of a fetch gives none of it: they are fetched again, one by one.
    assert [row["id"] for row in seen] == list(range(1, bad))
    assert text.startswith(f"row {bad} (row_index {bad - 1}) of the query of the source cannot be read")
    assert "InvalidTextRepresentation (SQLSTATE 22P02)" in text


def test_a_first_row_that_the_server_cannot_convert(postgres_hook: Hook) -> None:
    seen, text = read_at_once(lambda: rows_of_query(postgres_hook, NUMBERS.format(f"(i || '{CANARY}')::int"), None, 10))
    assert seen == []
    assert CANARY not in text
    assert "InvalidTextRepresentation (SQLSTATE 22P02)" in text


@pytest.mark.parametrize("sql", ["SELECT emial FROM (SELECT 1 AS email) t", "SELEC 1", "SELECT 1 FROM absent"])
def test_an_error_in_the_query_stays_understandable(postgres_hook: Hook, sql: str) -> None:
    _, text = read_at_once(lambda: rows_of_query(postgres_hook, sql, None, 10))
    assert any(word in text for word in ('"emial" does not exist', 'near "SELEC"', '"absent" does not exist'))


@pytest.mark.parametrize("sql", ["SELECT emial FROM (SELECT 1 AS email) t", "SELEC 1", "SELECT 1 FROM absent"])
def test_an_error_in_the_query_stays_understandable_on_mysql(mysql_hook: Hook, sql: str) -> None:
    _, text = read_at_once(lambda: rows_of_query(mysql_hook, sql, None, 10))
    assert any(word in text for word in ("Unknown column 'emial'", "near 'SELEC 1'", "doesn't exist"))


def read_at_once(begin: Callable[[], Any]) -> tuple[list[Any], str]:
    """Do as :func:`read` does, where the query itself may fail."""
    seen: list[Any] = []
    with pytest.raises(SourceError) as caught:
        seen.extend(begin())
    assert caught.value.__cause__ is caught.value.__context__ is None
    return seen, str(caught.value)


@pytest.mark.parametrize("chunk_size", [1, 2, 10, 5000])
def test_a_row_that_mysql_cannot_compute(mysql_hook: Hook, chunk_size: int) -> None:
    sql = f"SELECT seq AS id, IF(seq = 3, EXP(1000 + LENGTH('{CANARY}')), seq) AS value FROM seq_1_to_5"
    seen, text = read(rows_of_query(mysql_hook, sql, None, chunk_size))
    assert [row["id"] for row in seen] == [1, 2]
    assert "row 3 (row_index 2)" in text


def test_a_date_of_zeros_harms_nobody(mysql_hook: Hook) -> None:
    sql = "SELECT seq AS id, CAST(IF(seq = 3, '0000-00-00', '2026-01-02') AS DATE) AS value FROM seq_1_to_5"
    with rows_of_query(mysql_hook, sql, None, 10) as rows:
        assert [row["id"] for row in rows] == [1, 2, 3, 4, 5]


# The end of a query that runs on.


def after(count: int) -> Callable[[], bool]:
    asked = iter(range(count))
    return lambda: next(asked, None) is None


def ended(sql: str, count: Callable[[str], int]) -> None:
    """Check that the server does not work on a query any more."""
    deadline = time.monotonic() + 5
    while count(sql):
        assert time.monotonic() < deadline, "the query runs on"
        time.sleep(0.05)


def postgres_counts(postgres: Postgres) -> Callable[[str], int]:
    def count(mark: str) -> int:
        with closing(psycopg.connect(f"host={postgres.folder} user=postgres dbname=postgres")) as connection:
            found = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND state = 'active'"
                " AND pid <> pg_backend_pid()",
                [f"%{mark}%"],
            ).fetchone()
        assert found is not None
        return int(found[0])

    return count


def mariadb_counts(mariadb: MariaDB) -> Callable[[str], int]:
    def count(mark: str) -> int:
        connect = pymysql.connect(unix_socket=str(mariadb.socket), user="root")
        with closing(connect) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM information_schema.processlist WHERE info LIKE %s AND id <> connection_id()",
                [f"%{mark}%"],
            )
            (found,) = cursor.fetchone()
        return int(found)

    return count


SLOW = {
    "at once": "SELECT 1 AS id, pg_sleep(25) AS value",
    "in a later chunk": "SELECT i AS id, CASE WHEN i > 3 THEN pg_sleep(25) END AS value FROM generate_series(1, 5) i",
}
SLOW_MYSQL = {
    "at once": "SELECT 1 AS id, SLEEP(25) AS value",
    "in a later chunk": "SELECT seq AS id, IF(seq > 3, SLEEP(25), 0) AS value FROM seq_1_to_5",
}


@pytest.mark.parametrize("when", SLOW)
def test_a_query_of_postgresql_ends_with_the_push(postgres_hook: Hook, postgres: Postgres, when: str) -> None:
    began = time.monotonic()
    with pytest.raises(InterruptedPushError):
        list(rows_of_query(postgres_hook, SLOW[when], None, 2, stopping=after(4)))
    assert time.monotonic() - began < 5
    ended("pg_sleep(25)", postgres_counts(postgres))


@pytest.mark.parametrize("when", SLOW_MYSQL)
def test_a_query_of_mysql_ends_with_the_push(mysql_hook: Hook, mariadb: MariaDB, when: str) -> None:
    began = time.monotonic()
    with pytest.raises(InterruptedPushError):
        list(rows_of_query(mysql_hook, SLOW_MYSQL[when], None, 2, stopping=after(4)))
    assert time.monotonic() - began < 5
    ended("SLEEP(25)", mariadb_counts(mariadb))


def slow_push(sql: str, **parameters: Any) -> Any:
    with DAG("d", schedule=None):
        return SqlToContactsOperator(
            task_id="push",
            sql=sql,
            sql_conn_id="warehouse",
            sync_key="key",
            contacts_conn_id="dex_default",
            outcomes_conn_id="outcomes",
            chunk_size=2,
            retries=1,
            **parameters,
        )


WAREHOUSES = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT i AS key, 'A' AS first_name FROM n WHERE i < 5 OR i > 100000000000",
    "postgres": "SELECT i AS key, 'A' AS first_name, CASE WHEN i > 3 THEN pg_sleep(25)::text END AS company "
    "FROM generate_series(1, 5) i",
    "mysql": "SELECT seq AS `key`, 'A' AS first_name, IF(seq > 3, CONCAT(SLEEP(25)), NULL) AS company FROM seq_1_to_5",
}


@pytest.fixture(params=WAREHOUSES)
def slow_world(world: World, request: pytest.FixtureRequest) -> tuple[World, str]:
    name = request.param
    if name == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        url: dict[str, Any] = {
            "conn_type": "postgres",
            "host": str(postgres.folder),
            "login": "postgres",
            "schema": "postgres",
        }
        world.connect("warehouse", **url)
    if name == "mysql":
        mariadb: MariaDB = request.getfixturevalue("mariadb")
        if "MySQLdb" not in MYSQL:
            pytest.skip("the driver of Airflow's hook that knows sockets is not installed")
        extra = {"unix_socket": str(mariadb.socket), "client": "mysqlclient"}
        world.connect("warehouse", **{**mariadb.connection(), "extra": extra})
    return world, WAREHOUSES[name]


@pytest.mark.parametrize("how", ["execution_timeout", "SIGTERM"])
def test_a_task_ends_in_seconds_while_its_query_runs(slow_world: tuple[World, str], how: str) -> None:
    world, sql = slow_world
    limited = how == "execution_timeout"
    op = slow_push(sql, **({"execution_timeout": timedelta(seconds=3)} if limited else {}))
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
    # What was read before has its outcome; MySQL sends no row before its buffer is full.
    assert "seq_1_to_5" in sql or world.summary(op)["num_planned"] >= 2
    assert world.runs()[0][2] == "aborted"


# A vendor that is slower than the session allows.


def test_a_session_of_mysql_waits_for_a_slow_vendor(mysql_hook: Hook) -> None:
    sql = "SELECT @@SESSION.net_write_timeout AS writing, @@SESSION.wait_timeout AS waiting"
    with rows_of_query(mysql_hook, sql, None, 10) as rows:
        found = next(rows)
    assert min(found.values()) >= 24 * 3600
    with closing(mysql_hook.get_conn()) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT @@SESSION.net_write_timeout")
        assert cursor.fetchone() == (60,), "of our own connection alone"


def test_rows_that_wait_longer_than_the_server_would_come_all_the_same(mysql_hook: Hook) -> None:
    with closing(mysql_hook.get_conn()) as connection:
        cursor = connection.cursor()
        cursor.execute("SET GLOBAL net_write_timeout = 1")
        try:
            sql = "SELECT seq AS id, REPEAT('x', 2000) AS value FROM seq_1_to_20000"
            with rows_of_query(mysql_hook, sql, None, 10) as rows:
                next(rows)
                time.sleep(3)
                assert sum(1 for _ in rows) == 19_999
        finally:
            cursor.execute("SET GLOBAL net_write_timeout = 60")


def test_a_transaction_of_postgresql_waits_for_a_slow_vendor(postgres: Postgres, postgres_hook: Hook) -> None:
    text = f"host={postgres.folder} user=postgres dbname=postgres"
    with closing(psycopg.connect(text, autocommit=True)) as admin:
        admin.execute("ALTER ROLE postgres SET idle_in_transaction_session_timeout = '300ms'")
        try:
            with rows_of_query(postgres_hook, "SELECT i FROM generate_series(1, 5) i", None, 1) as rows:
                next(rows)
                time.sleep(1)
                assert sum(1 for _ in rows) == 4
        finally:
            admin.execute("ALTER ROLE postgres RESET idle_in_transaction_session_timeout")


# What was read is sent.


@pytest.mark.parametrize("chunk_size", [1, 10, 5000])
@pytest.mark.parametrize("outcomes", ["outcomes", None])
def test_what_was_read_before_a_bad_row_is_sent(
    world: World, postgres: Postgres, chunk_size: int, outcomes: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    url = {"conn_type": "postgres", "host": str(postgres.folder), "login": "postgres", "schema": "postgres"}
    world.connect("warehouse", **url)
    sql = (
        "SELECT i AS key, 'A' AS first_name, "
        "CASE WHEN i = 198 THEN '0044-03-15 BC'::date ELSE '1990-01-02'::date END AS birthday "
        f"FROM generate_series(1, 200) i -- {CANARY}"
    )
    with DAG("d", schedule=None):
        op = SqlToContactsOperator(
            task_id="push", sql=sql, sql_conn_id="warehouse", sync_key="key", contacts_conn_id="dex_default",
            outcomes_conn_id=outcomes, chunk_size=chunk_size, retries=3,
        )  # fmt: skip
    result = world.run(op)
    assert (result.state, type(result.error).__name__) == ("up_for_retry", "SourceError")
    assert "row 198 (row_index 197) of the query of connection 'warehouse'" in str(result.error)
    summary = world.summary(op)
    assert (summary["num_planned"], summary["num_succeeded"]) == (197, 197)
    assert len(world.stored()) == 197
    assert CANARY not in "".join(capfd.readouterr())
