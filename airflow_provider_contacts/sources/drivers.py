"""From a connection to the link that its driver needs."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from airflow_provider_contacts.sources.link import Link, Sqlite
from airflow_provider_contacts.sources.mysql import MySql, MySqlConnector, PyMySql
from airflow_provider_contacts.sources.postgres import Psycopg, Psycopg2

LINKS: dict[str, type[Link]] = {
    "MySQLdb": MySql,
    "mysql": MySqlConnector,
    "psycopg": Psycopg,
    "psycopg2": Psycopg2,
    "pymysql": PyMySql,
    "sqlite3": Sqlite,
}
"""By the top-level package of a driver."""


def link_of(hook: Any, origin: str) -> Link:
    """Connect, and return the connection with what its driver needs."""
    connection = hook.get_conn()
    try:
        if hook.supports_autocommit:
            hook.set_autocommit(connection, False)  # noqa: FBT003  # Airflow's signature
        packages = [kind.__module__.partition(".")[0] for kind in type(connection).__mro__]
        kind = next((LINKS[name] for name in packages if name in LINKS), Link)
        link = kind(connection, hook, origin)
        link.prepare()
    except BaseException:
        with suppress(Exception):
            connection.close()
        raise
    return link
