"""Reading from a MariaDB by whatever drivers are installed: PyMySQL, and those that Airflow's hook uses."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_contacts.sources import rows_of_query

if TYPE_CHECKING:
    from tests.support.servers import MariaDB

DRIVERS = [name for name in ("pymysql", "MySQLdb", "mysql") if importlib.util.find_spec(name) is not None]
MODULES = {"mysql": "mysql.connector"}

SOME = "SELECT seq AS id, CONCAT(seq, '@example.com') AS email, REPEAT('x', 200) AS notes FROM seq_1_to_{count}"


class DriverHook:
    """A hook whose connections are of one driver."""

    supports_autocommit = False

    def __init__(self, module: str, server: MariaDB) -> None:
        self.module, self.server, self.connections = module, server, list[Any]()

    def get_conn(self) -> Any:
        driver = import_module(self.module)
        self.connections.append(driver.connect(unix_socket=str(self.server.socket), user="root", database="mysql"))
        return self.connections[-1]

    def set_autocommit(self, conn: Any, autocommit: bool) -> None:
        raise NotImplementedError


@pytest.fixture(params=DRIVERS or ["pymysql"])
def hook(request: pytest.FixtureRequest, mariadb: MariaDB) -> DriverHook:
    return DriverHook(MODULES.get(request.param, request.param), mariadb)


@pytest.fixture(autouse=True)
def no_connection_is_left(mariadb: MariaDB) -> Iterator[None]:
    """Check that each test's sources have closed what they opened."""
    yield
    with closing(DriverHook("pymysql", mariadb).get_conn()) as connection, closing(connection.cursor()) as cursor:
        for _ in range(200):
            cursor.execute(
                "SELECT id FROM information_schema.processlist WHERE info LIKE '%seq_1_to_%' AND id <> CONNECTION_ID()"
            )
            left = cursor.fetchall()
            if not left:
                break
            time.sleep(0.05)
    assert not left


@pytest.mark.parametrize("chunk_size", [1, 3, 5000])
def test_every_row_comes_once_and_in_order(hook: DriverHook, chunk_size: int) -> None:
    with rows_of_query(hook, SOME.format(count=10), None, chunk_size) as rows:
        assert rows.columns == ("id", "email", "notes")
        assert [(row["id"], row["email"]) for row in rows] == [(n, f"{n}@example.com") for n in range(1, 11)]


def test_columns_are_known_of_a_query_without_rows(hook: DriverHook) -> None:
    with rows_of_query(hook, "SELECT seq AS id FROM seq_1_to_3 WHERE seq > %s", [7], 10) as rows:
        assert rows.columns == ("id",)
        assert list(rows) == []


def test_a_reading_that_ends_early_does_not_read_on(hook: DriverHook) -> None:
    # The rest would take half a minute.
    rows = rows_of_query(hook, SOME.format(count=20_000_000), None, 10)
    assert next(rows)["id"] == 1
    began = time.monotonic()
    rows.close()
    assert time.monotonic() - began < 5


MEASURE = """
    import sys, psutil, {module}
    from airflow_provider_contacts.sources import rows_of_query

    class Hook:
        supports_autocommit = False

        def get_conn(self):
            return {module}.connect(unix_socket=sys.argv[1], user="root", database="mysql")

    for _ in rows_of_query(Hook(), {sql!r}.format(count=10_000), None, 5000):  # imports and the allocator's own growth
        pass
    sizes = [psutil.Process().memory_info().rss]
    with rows_of_query(Hook(), {sql!r}.format(count=200_000), None, 5000) as rows:
        for count, row in enumerate(rows, 1):
            if count % 20_000 == 1:
                sizes.append(psutil.Process().memory_info().rss)
    print(count, row["id"], max(sizes) - sizes[0])
"""


def test_two_hundred_thousand_rows_take_the_memory_of_one_chunk(hook: DriverHook) -> None:
    script = textwrap.dedent(MEASURE).format(module=hook.module, sql=SOME)
    command = [sys.executable, "-c", script, str(hook.server.socket)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    count, last, growth = map(int, done.stdout.split())
    assert (count, last) == (200_000, 200_000)
    assert growth < 15_000_000  # all at once would be 100 MB
