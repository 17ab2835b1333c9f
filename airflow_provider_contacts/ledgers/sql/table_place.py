"""Which table of which database a message speaks of: connection id, database and table, and never a password."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

CONNECTION = "contacts_conn_id_of_outcomes"
TABLE = "contacts_outcomes_table"

TITLES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MySQL or MariaDB", "mariadb": "MariaDB"}


def remember(engine: Engine, *, conn_id: str | None = None, table: str | None = None) -> None:
    """Let later messages about an engine name its connection and table."""
    known = {name: value for name, value in ((CONNECTION, conn_id), (TABLE, table)) if value is not None}
    engine.update_execution_options(**known)


def place_of(engine: Engine) -> str:
    """Return the table and its database for a message."""
    options = engine.get_execution_options()
    table, conn_id = options.get(TABLE), options.get(CONNECTION)
    named = [f"connection {conn_id!r}"] if conn_id else []
    return f"the outcome table{f' {table}' if table else ''} ({', '.join([*named, database_of(engine.url)])})"


def database_of(url: URL) -> str:
    """Return a database for a message, without login and password."""
    title = TITLES.get(url.get_backend_name(), url.get_backend_name())
    if url.get_backend_name() == "sqlite":
        return f"{title} file {url.database}" if url.database else f"{title} without a file"
    host = url.host or url.query.get("host") or "the driver's default host"
    where = f"{host}{f':{url.port}' if url.port else ''}"
    return f"{title} database {url.database or '(none named)'} at {where}"
