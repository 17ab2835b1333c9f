"""The servers of the tests leave each other alone."""

from __future__ import annotations

from contextlib import closing

from tests.support.ledger_conformance import Database
from tests.support.servers import MariaDB, running_mariadb


def test_a_mariadb_that_starts_removes_nothing_of_another_one(mariadb: MariaDB) -> None:
    with closing(Database(mariadb.url())) as database, database.engine().begin() as connection:
        connection.exec_driver_sql("CREATE TEMPORARY TABLE kept (one INTEGER) ENGINE=Aria")
        connection.exec_driver_sql("INSERT INTO kept VALUES (1)")
        with running_mariadb():
            pass
        connection.exec_driver_sql("FLUSH TABLES")
        assert connection.exec_driver_sql("SELECT one FROM kept").all() == [(1,)]
        connection.exec_driver_sql("DROP TEMPORARY TABLE kept")  # error 6 where its file is gone
