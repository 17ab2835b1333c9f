"""What the database refuses: told with its place and what to do, and without the data that it refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.exc import (  # noqa: TID253  # this module is imported only by what uses a table
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    StatementError,
)

from airflow_provider_contacts.errors import LedgerError

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


@dataclass(frozen=True, slots=True)
class Cause:
    """What a person can do about a refusal, and whether another attempt within seconds may succeed."""

    advice: str
    momentary: bool = False


READ_ONLY = Cause(
    "the server takes no writes now (a replica, or a fail-over that is not over): let the connection name the primary",
    momentary=True,
)
LOCKED = Cause("another session held a lock for too long, or the server's time-out is too short", momentary=True)
BUSY = Cause(
    "another program keeps the file locked: end it, or give the outcome table a file of its own", momentary=True
)
CROWDED = Cause("the server has no connection left: raise its limit, or run fewer tasks at a time", momentary=True)
AWAY = Cause("is the server up, and can the worker reach it at the connection's host and port?", momentary=True)
NAMELESS = Cause("the connection's host is not known: correct it")
CREDENTIAL = Cause("the server refuses the connection's login and password: correct them")
NO_DATABASE = Cause("create the database, or correct the connection's schema field")
NO_SCHEMA = Cause("create the schema, or correct outcomes_table")
NO_RIGHT = Cause("grant the connection's login SELECT, INSERT and UPDATE on the tables; to create them, CREATE too")
FULL = Cause("no room is left on the database's disk: make room")
UNWRITABLE = Cause("the file or its folder cannot be written: grant the worker's user write access to both")
NO_FILE = Cause(
    "the folder must exist, and the worker's user must be able to write there: correct the connection's host"
)
NO_SQLITE = Cause("the file is damaged, or is no SQLite database: restore it, or correct the connection's host")

# SQLSTATE where the driver tells one, else the number of a MySQL error, or of an SQLite one after "sqlite".
CAUSES: Mapping[str, Cause] = {
    **dict.fromkeys(("25006", "1290", "1792", "1836"), READ_ONLY),
    **dict.fromkeys(("40001", "40P01", "55P03", "57014", "1205", "1213", "1317", "1969", "3024"), LOCKED),
    **dict.fromkeys(("sqlite 5", "sqlite 6"), BUSY),
    **dict.fromkeys(("53300", "1040", "1203", "1226", "08004"), CROWDED),
    **dict.fromkeys(("57P01", "57P02", "57P03", "08000", "08001", "08003", "08006", "08P01"), AWAY),
    **dict.fromkeys(("1047", "1053", "1927", "2002", "2003", "2006", "2013", "2055"), AWAY),
    "2005": NAMELESS,
    **dict.fromkeys(("28P01", "28000", "1045"), CREDENTIAL),
    **dict.fromkeys(("3D000", "1049"), NO_DATABASE),
    "3F000": NO_SCHEMA,
    **dict.fromkeys(("42501", "1044", "1142", "1143", "1227"), NO_RIGHT),
    **dict.fromkeys(("53100", "1021", "1114", "sqlite 13"), FULL),
    "sqlite 8": UNWRITABLE,
    "sqlite 14": NO_FILE,
    **dict.fromkeys(("sqlite 11", "sqlite 26"), NO_SQLITE),
}

# PostgreSQL's drivers tell no SQLSTATE of a connection that did not come about.
TEXTS: tuple[tuple[re.Pattern[str], Cause], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), cause)
    for pattern, cause in (
        (r"password|authentication|pg_hba|role .* does not exist", CREDENTIAL),
        (r"database .* does not exist", NO_DATABASE),
        (r"translate host name|name or service|resolve", NAMELESS),
        (r"too many|connection slots|no more connections", CROWDED),
        (r"starting up|shutting down|recovery|not yet accepting|terminat|refused|time(d )?out|unreachable", AWAY),
        (r"no such file|server closed|connection .*(lost|reset|closed|failed)|consuming input failed", AWAY),
    )
)


def sqlstate(error: BaseException) -> str | None:
    """Return the driver's SQLSTATE, where it has one."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def code_of(error: BaseException) -> int | None:
    """Return the error number of a MySQL driver."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, int) else None


def cause_of(error: BaseException) -> Cause | None:
    """Return of what kind a refusal is, ``None`` for one that is not known."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if cause is None:
        return None
    code, sqlite, state = code_of(cause), getattr(cause, "sqlite_errorcode", None), sqlstate(cause)
    if code is None and sqlite is None and state is None:
        return next((found for pattern, found in TEXTS if pattern.search(str(cause))), None)
    keys = (str(code), f"sqlite {(sqlite or 0) & 0xFF}", state or "")
    return next((CAUSES[key] for key in keys if key in CAUSES), None)


def momentary(error: BaseException) -> bool:
    """Tell whether another attempt within seconds may succeed."""
    cause = cause_of(error)
    return lost(error) or (cause is not None and cause.momentary)


# SQLSTATE: serialization failure, deadlock. MySQL: deadlock, lock wait timeout. All of them roll back for certain.
ROLLED_BACK_STATES = frozenset({"40001", "40P01"})
ROLLED_BACK_CODES = frozenset({1213, 1205})

# SQLSTATE classes of bad data, constraints, a program's limits, and errors that a trigger raises.
REFUSED_CLASSES = frozenset({"22", "23", "54", "P0"})
# MySQL and MariaDB file these under "operational": text that the column's encoding, JSON or a CHECK refuses.
REFUSED_CODES = frozenset({1264, 1265, 1292, 1366, 1406, 3140, 3141, 3819, 3988, 4025})

# MySQL messages that name hosts, users and tables but quote no row.
QUOTABLE_CODES = frozenset(
    (
        *(1021, 1040, 1044, 1045, 1049, 1114, 1130, 1142, 1143, 1146, 1205, 1213, 1273, 1290, 1836),
        *(2002, 2003, 2005, 2006, 2013),
    )
)


class DataRefusedError(LedgerError):
    """The database works, and refuses what was to be written."""


class MomentaryError(LedgerError):
    """The database cannot be used now, and perhaps can within seconds."""


def describe(error: BaseException) -> str:
    """Return what went wrong, without any value of a row: drivers quote them in many messages."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return type(error).__name__
    cause = error.orig
    state, code = sqlstate(cause), code_of(cause)
    mark = f", SQLSTATE {state}" if state else f", error {code}" if code else ""
    text = message_of(error, cause, code)
    return f"{type(cause).__name__}{mark}" + (f": {text}" if text else "")


def message_of(error: DBAPIError, cause: BaseException, code: int | None) -> str | None:
    """Return the driver's message if it is of a kind that quotes no row."""
    if code is not None:
        return str(cause.args[1]).partition("\n")[0] if code in QUOTABLE_CODES and len(cause.args) > 1 else None
    if not isinstance(error, OperationalError | ProgrammingError | InterfaceError):
        return None
    primary = getattr(getattr(cause, "diag", None), "message_primary", None)
    return str(primary or cause).partition("\n")[0]


def rolled_back(error: BaseException) -> bool:
    """Tell whether the database itself has undone the transaction, so that it may be repeated."""
    cause = getattr(error, "orig", None)
    return cause is not None and (sqlstate(cause) in ROLLED_BACK_STATES or code_of(cause) in ROLLED_BACK_CODES)


def refused(error: BaseException) -> bool:
    """Tell whether the data were refused by a database that works."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        if momentary(error):
            return False
        is_data = isinstance(error, DataError | IntegrityError | InternalError)
        classes = (sqlstate(error.orig) or "")[:2]
        return is_data or classes in REFUSED_CLASSES or code_of(error.orig) in REFUSED_CODES
    # What the driver could not even bind.
    cause = error.orig if isinstance(error, StatementError) else error
    return isinstance(cause, TypeError | ValueError | OverflowError)


def lost(error: BaseException) -> bool:
    """Tell whether the connection broke, so that the fate of the transaction is open."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def failure_of(engine: Engine, error: BaseException) -> LedgerError:
    """Return what is raised for a driver's error: it names table and database, the cause, and what to do."""
    kind = DataRefusedError if refused(error) else MomentaryError if momentary(error) else LedgerError
    return kind(f"{place_of(engine)} cannot be used: {described(error)}")


def described(error: BaseException) -> str:
    """Return what went wrong, and what a person can do about it."""
    cause = cause_of(error)
    return describe(error) + (f"; {cause.advice}" if cause is not None else "")
