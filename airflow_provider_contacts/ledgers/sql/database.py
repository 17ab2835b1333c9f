"""Connections that keep what they commit, on each kind of database."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from sqlalchemy import Connection, Dialect, Engine, event  # noqa: TID253  # this module is imported only by what uses a table
from sqlalchemy.exc import SQLAlchemyError  # noqa: TID253  # likewise

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.sql.db_errors import remember
from airflow_provider_contacts.ledgers.sql.tables import Flavour

BUSY_SECONDS = 30

SQLITE_SETTINGS = (
    f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
)
# For one transaction each, since behind a pooler the session is somebody else's next. A cluster that waits for its
# replicas (remote_apply) is not made weaker. All that is asked here is asked by key: a table that grows faster than it
# is analysed looks small to the planner, which would then read the whole of it for every thousand keys, a push whose
# cost grows with its square.
POSTGRESQL_SETTINGS = """
SELECT set_config(name, setting, true) FROM (VALUES
    ('enable_seqscan', 'off'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'), ('jit', 'off'),
    ('synchronous_commit',
     CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END)
) AS settings (name, setting)
"""
# The drivers' numbers of the isolation level; each then begins every transaction with it.
READ_COMMITTED = {"psycopg": 2, "psycopg2": 1}
MYSQL_SETTINGS = (
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    # Without it a text that is too long would be cut in silence, a key included.
    "SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',STRICT_ALL_TABLES')",
)

READING = "ledger_reading"
KINDS = "the outcome table needs SQLite, PostgreSQL, MySQL or MariaDB"


def connect(hook: Any) -> Engine:
    """Return an engine for a ``DbApiHook``, set up by :func:`prepare`.

    :raises ConfigError: for a kind of database that cannot hold the table, or one without its driver.
    """
    # A file does not hang up; asking whether it does costs 2 % of a push.
    pings = getattr(hook, "conn_type", None) != "sqlite"
    engine = engine_of(hook, KINDS, pool_pre_ping=pings)
    prepare(engine)
    named = getattr(hook, "get_conn_id", None)
    remember(engine, conn_id=named() if named is not None else None)
    return engine


@contextmanager
def kept_open(engine: Engine) -> Iterator[Engine]:
    """Close the connections of an engine if what is done with it fails; else they stay open."""
    try:
        yield engine
    except BaseException:
        engine.dispose()
        raise


def engine_of(hook: Any, needs: str, **settings: Any) -> Engine:
    """Return the SQLAlchemy engine of a ``DbApiHook``; ``needs`` says what it is for, where there is none."""
    if getattr(hook, "conn_type", None) == "postgres":
        # The hook's engine leaves the connection's own extras (``sslmode`` and such) out.
        ignored: Collection[str] = getattr(hook, "ignored_extra_options", frozenset())
        extras = hook.connection.extra_dejson.items()
        settings["connect_args"] = {name: value for name, value in extras if name not in ignored}
    try:
        engine: Engine = hook.get_sqlalchemy_engine(engine_kwargs={"hide_parameters": True, "pool_size": 1, **settings})
    except (SQLAlchemyError, ImportError, NotImplementedError) as error:
        # SQLAlchemy's own text may quote the URL.
        raise ConfigError(f"{needs}; its connection has no SQLAlchemy engine ({type(error).__name__})") from None
    return engine


def prepare(engine: Engine) -> None:
    """Make every new connection of an engine keep what it commits.

    :raises ConfigError: for another kind of database.
    """
    setups = {"sqlite": set_up_sqlite, "postgresql": set_up_postgresql, "mysql": set_up_mysql, "mariadb": set_up_mysql}
    set_up = setups.get(engine.dialect.name)
    if set_up is None:
        raise ConfigError(f"{KINDS}, not {engine.dialect.name}")
    event.listen(engine, "do_connect", in_unicode)
    event.listen(engine, "connect", set_up)
    begin = {"sqlite": begin_sqlite, "postgresql": begin_postgresql}.get(engine.dialect.name)
    if begin is not None:
        event.listen(engine, "begin", begin)


def flavour_of(engine: Engine) -> Flavour:
    """Return the kind of a database that has been connected to."""
    is_mariadb = getattr(engine.dialect, "is_mariadb", False)
    return "mariadb" if is_mariadb else cast("Flavour", engine.dialect.name)


# What makes a driver speak UTF-8, whatever the connection or the server says: the names of people are in all scripts.
UNICODE: Mapping[str, Mapping[str, str]] = {
    "psycopg": {"client_encoding": "utf8"},
    "psycopg2": {"client_encoding": "utf8"},
    "mysqldb": {"charset": "utf8mb4"},
    "pymysql": {"charset": "utf8mb4"},
    "mysqlconnector": {"charset": "utf8mb4"},
}


def in_unicode(dialect: Dialect, _: Any, __: Any, parameters: dict[str, Any]) -> None:
    """Have a new connection take every text."""
    parameters.update(UNICODE.get(dialect.driver, {}))


def set_up_sqlite(connection: Any, _: Any) -> None:
    """Leave transactions to :func:`begin_sqlite`, and write through to the disk."""
    connection.isolation_level = None
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return run_all(connection, SQLITE_SETTINGS)
        except sqlite3.OperationalError as error:
            # Changing the journal of a new file does not wait for the busy time-out: two that find a deadlock are told
            # at once. Mapped tasks start together, so one of them comes back.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.02)


def set_up_postgresql(connection: Any, _: Any) -> None:
    """See what others have committed, in every transaction."""
    if hasattr(connection, "prepare_threshold"):
        # A plan made while the table was empty would be kept when it is not; and poolers take no prepared statements.
        connection.prepare_threshold = None
    connection.isolation_level = READ_COMMITTED[type(connection).__module__.partition(".")[0]]


def set_up_mysql(connection: Any, _: Any) -> None:
    """See what others have committed, and refuse rather than cut."""
    run_all(connection, MYSQL_SETTINGS)
    connection.commit()


def run_all(connection: Any, statements: tuple[str, ...]) -> None:
    """Run statements on a driver's own connection."""
    cursor = connection.cursor()
    try:
        for statement in statements:
            cursor.execute(statement)
    finally:
        cursor.close()


def begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once: a transaction that reads first could not get it later."""
    reading = connection.get_execution_options().get(READING, False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def begin_postgresql(connection: Connection) -> None:
    """Wait for the disk at the commit, and have keys looked up by index."""
    connection.exec_driver_sql(POSTGRESQL_SETTINGS)
