"""Connections that can only read, and that give up: who waits for the answer is a person before a page."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what uses a table
from sqlalchemy.exc import DBAPIError, SQLAlchemyError  # noqa: TID253  # likewise

from airflow_provider_contacts.errors import ConfigError, LedgerError, TooSlowError
from airflow_provider_contacts.ledgers.sql.database import KINDS, engine_of, in_unicode
from airflow_provider_contacts.ledgers.sql.db_errors import UNPLACED, code_of, failure_of, place_of, remember, sqlstate

Result = TypeVar("Result")

ERRORS = (SQLAlchemyError, UnicodeError, OverflowError)

SECONDS = "contacts_statement_seconds"
STEPS = 10_000  # of SQLite's virtual machine between two looks at the clock: about a millisecond

# Drivers' parameters, in whole seconds.
CONNECT_SECONDS: Mapping[str, str] = {
    "psycopg": "connect_timeout",
    "psycopg2": "connect_timeout",
    "mysqldb": "connect_timeout",
    "pymysql": "connect_timeout",
    "mysqlconnector": "connection_timeout",
    "pysqlite": "timeout",  # for a lock
}
# Where the other does not cover a server that accepts the connection and then says nothing.
SILENT_SECONDS: Mapping[str, str] = {"pymysql": "read_timeout"}
LONGEST_SILENCE = 120

# PostgreSQL: query_canceled; MySQL: max_execution_time; MariaDB: max_statement_time; SQLite: SQLITE_INTERRUPT.
TOO_SLOW_STATES, TOO_SLOW_CODES, INTERRUPTED = frozenset({"57014"}), frozenset({1969, 3024}), 9


def open_engine(hook: Any, connect_seconds: float, statement_seconds: float) -> sa.Engine:
    """Return an engine for a ``DbApiHook`` whose transactions write nothing and see one state of the database.

    :raises ConfigError: for a kind of database that cannot hold the table, or one without its driver.
    """
    engine = engine_of(hook, KINDS, pool_pre_ping=getattr(hook, "conn_type", None) != "sqlite")
    begins = {"sqlite": begin_sqlite, "postgresql": begin_postgresql, "mysql": begin_mysql, "mariadb": begin_mysql}
    begin = begins.get(engine.dialect.name)
    if begin is None:
        raise ConfigError(f"{KINDS}, not {engine.dialect.name}")

    def give_up(dialect: sa.Dialect, _: Any, given: list[Any], parameters: dict[str, Any]) -> None:
        if (name := CONNECT_SECONDS.get(dialect.driver)) is not None:
            parameters[name] = max(1, round(connect_seconds))
        if (name := SILENT_SECONDS.get(dialect.driver)) is not None:
            parameters.setdefault(name, max(LONGEST_SILENCE, round(2 * statement_seconds)))
        if dialect.name == "sqlite" and given:
            if not parameters.get("uri"):
                # Else a name that is wrong would make an empty file.
                given[0], parameters["uri"] = f"file:{quote(given[0])}?mode=ro", True
            refuse_to_lock_out(Path(unquote(urlsplit(given[0]).path)))

    sa.event.listen(engine, "do_connect", in_unicode)
    sa.event.listen(engine, "do_connect", give_up)
    sa.event.listen(engine, "begin", begin)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", set_up_sqlite)
    else:
        sa.event.listen(engine, "connect", set_up_server)
        engine.update_execution_options(isolation_level="REPEATABLE READ")
    engine.update_execution_options(**{SECONDS: statement_seconds, UNPLACED: True})
    named = getattr(hook, "get_conn_id", None)
    remember(engine, conn_id=named() if named is not None else None)
    return engine


def ask(engine: sa.Engine, work: Callable[[sa.Connection], Result]) -> Result:
    """Return what ``work`` finds in one transaction.

    :raises TooSlowError: if a statement took too long.
    :raises LedgerError: if the database cannot be used. Neither quotes a row.
    """
    try:
        with engine.connect() as connection, connection.begin():
            return work(connection)
    except ERRORS as error:
        failure = ledger_error(engine, error)
    # Raised outside of the handler: chained to nothing that holds a row.
    raise failure


def ledger_error(engine: sa.Engine, error: BaseException) -> LedgerError:
    """Return what is raised for one of ``ERRORS``."""
    if not is_too_slow(error):
        return failure_of(engine, error)
    seconds = engine.get_execution_options()[SECONDS]
    return TooSlowError(
        f"{place_of(engine)} did not answer within {seconds:g} s: ask for less (one DAG, one status, fewer days), or "
        "try again when the database is less busy"
    )


def is_too_slow(error: BaseException) -> bool:
    """Tell whether the database gave up for our time-out."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    if cause is None:
        return False
    interrupted = getattr(cause, "sqlite_errorcode", None) == INTERRUPTED
    return interrupted or sqlstate(cause) in TOO_SLOW_STATES or code_of(cause) in TOO_SLOW_CODES


def refuse_to_lock_out(file: Path) -> None:
    """Refuse a file of another user, beside which reading would leave a journal that its pushes cannot write.

    :raises ConfigError: for such a file.
    """
    try:
        found = file.stat()
    except OSError:
        return  # opening it tells why
    if os.geteuid() not in {0, found.st_uid} and not found.st_mode & stat.S_IWGRP:
        raise ConfigError(
            "the outcome table's SQLite file belongs to another user, who could not write the journal that reading "
            "makes beside it, so that pushes would fail: read as that user, or let the file's group write (chmod g+w) "
            "if both are in it"
        )


def set_up_sqlite(connection: Any, _: Any) -> None:
    """Refuse writes also where the file's name is a URI of its own, and leave transactions to :func:`begin_sqlite`."""
    connection.isolation_level = None
    connection.execute("PRAGMA query_only = ON").close()
    connection.create_function("has_digest", 2, has_digest, deterministic=True)


def set_up_server(connection: Any, _: Any) -> None:
    """Let psycopg prepare nothing on the server, which poolers do not take."""
    if hasattr(connection, "prepare_threshold"):
        connection.prepare_threshold = None


def has_digest(identifier: str, digest: bytes) -> bool:
    """Tell whether an identifier has a digest; SQLite asks that of every key, so that each step counts."""
    return hashlib.sha256(identifier.encode()).digest()[:6] == digest


def readers_block(connection: sa.Connection) -> bool:
    """Tell whether who writes must wait for who reads: SQLite's file has refused the WAL journal."""
    is_file = connection.dialect.name == "sqlite"
    return is_file and connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() != "wal"


def seconds_of(connection: sa.Connection) -> float | None:
    """Return how long a statement may take; ``None`` for no limit."""
    seconds: float | None = connection.get_execution_options().get(SECONDS)
    return seconds


def begin_sqlite(connection: sa.Connection) -> None:
    """Begin, and look at the clock now and then."""
    seconds, raw = seconds_of(connection), connection.connection.dbapi_connection
    until = None if seconds is None else time.monotonic() + seconds
    raw.set_progress_handler(None if until is None else lambda: time.monotonic() > until, STEPS)  # type: ignore[union-attr]
    connection.exec_driver_sql("BEGIN")


def begin_postgresql(connection: sa.Connection) -> None:
    """Set what holds for one transaction: behind a pooler the session is somebody else's next."""
    milliseconds = round((seconds_of(connection) or 0) * 1000)
    connection.exec_driver_sql(
        "SELECT set_config('transaction_read_only', 'on', true), set_config('jit', 'off', true), "
        f"set_config('statement_timeout', '{milliseconds}', true), "
        # Who downloads rows and stops would keep the server from cleaning up behind pushes.
        f"set_config('idle_in_transaction_session_timeout', '60s', true)"
    )


def begin_mysql(connection: sa.Connection) -> None:
    """Begin, with the time-out that each of the two servers calls by a name of its own."""
    seconds = seconds_of(connection) or 0
    is_mariadb = getattr(connection.dialect, "is_mariadb", False)
    limit = f"max_statement_time = {seconds}" if is_mariadb else f"max_execution_time = {round(seconds * 1000)}"
    connection.exec_driver_sql(f"SET SESSION {limit}")
    connection.exec_driver_sql("START TRANSACTION READ ONLY")
