"""Which driver a connection is of, and what reads it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from airflow_provider_contacts.sources.driver_connection import Link
from airflow_provider_contacts.sources.mysql import MySql, MySqlConnector, PyMySql
from airflow_provider_contacts.sources.postgres import Psycopg, Psycopg2
from airflow_provider_contacts.sources.sqlite import Sqlite

LINKS: Mapping[str, type[Link]] = {
    "MySQLdb": MySql,
    "mysql": MySqlConnector,
    "psycopg": Psycopg,
    "psycopg2": Psycopg2,
    "pymysql": PyMySql,
    "sqlite3": Sqlite,
}


def link_of(hook: Any, origin: str) -> Link:
    """Connect, and return the connection as its driver wants to be treated."""
    connection = hook.get_conn()
    try:
        if hook.supports_autocommit:
            hook.set_autocommit(connection, False)  # noqa: FBT003  # Airflow's signature
        link = LINKS.get(driver_of(connection), Link)(connection, hook, origin)
        link.prepare()
    except BaseException:
        with suppress(Exception):
            connection.close()
        raise
    return link


def driver_of(connection: Any) -> str:
    """Return the top-level package of the driver whose connection this is, or derives from."""
    packages = (kind.__module__.partition(".")[0] for kind in type(connection).__mro__)
    return next((name for name in packages if name in LINKS), "")
