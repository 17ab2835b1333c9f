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
UNPLACED = "contacts_outcomes_unplaced"


def remember(engine: Engine, *, conn_id: str | None = None, table: str | None = None) -> None:
    """Let later messages about an engine name its connection and table."""
    known = {name: value for name, value in ((CONNECTION, conn_id), (TABLE, table)) if value is not None}
    engine.update_execution_options(**known)


def place_of(engine: Engine) -> str:
    """Return the table and its database for a message; not where readers may not know a connection's address."""
    options = engine.get_execution_options()
    table, conn_id = options.get(TABLE), options.get(CONNECTION)
    named = [f"connection {conn_id!r}"] if conn_id else []
    if named and options.get(UNPLACED):
        return f"the outcome table{f' {table}' if table else ''} ({named[0]})"
    return f"the outcome table{f' {table}' if table else ''} ({', '.join([*named, database_of(engine.url)])})"


def database_of(url: URL) -> str:
    """Return a database for a message, without login, password and parameters."""
    port = f":{url.port}" if url.port else ""
    return f"{url.get_backend_name()}://{url.host or ''}{port}/{url.database or ''}"


@dataclass(frozen=True, slots=True)
class Cause:
    """What a person can do about a refusal, and whether another attempt within seconds may succeed."""

    advice: str
    momentary: bool = True


READ_ONLY = Cause(
    "the server takes no writes now (a replica, or a fail-over that is not over): let the connection name the primary"
)
LOCKED = Cause("another session or program held a lock for too long, or the server's time-out is too short")
CROWDED = Cause("the server has no connection left: raise its limit, or run fewer tasks at a time")
AWAY = Cause("is the server up, and can the worker reach it at the connection's host and port?")
NO_RIGHT = Cause(
    "grant the login SELECT, INSERT and UPDATE on the tables; to create them, CREATE too; to prune or forget, DELETE",
    momentary=False,
)
NO_FILE = Cause(
    "the folder must exist, the file must be an SQLite database, and the worker's user must be able to write to both",
    momentary=False,
)

# SQLSTATE where the driver tells one, else the number of a MySQL error, or of an SQLite one after "sqlite".
CAUSES: Mapping[str, Cause] = {
    **dict.fromkeys(("25006", "1290", "1792", "1836"), READ_ONLY),
    **dict.fromkeys(("40001", "40P01", "55P03", "57014", "1205", "1213", "1317", "1684", "1969", "3024"), LOCKED),
    **dict.fromkeys(("sqlite 5", "sqlite 6"), LOCKED),
    **dict.fromkeys(("53300", "1040", "1203", "1226", "08004"), CROWDED),
    **dict.fromkeys(("57P01", "57P02", "57P03", "08000", "08001", "08003", "08006", "08P01"), AWAY),
    **dict.fromkeys(("1047", "1053", "1927", "2002", "2003", "2006", "2013", "2055"), AWAY),
    **dict.fromkeys(("42501", "1044", "1142", "1143", "1227"), NO_RIGHT),
    **dict.fromkeys(("sqlite 8", "sqlite 11", "sqlite 14", "sqlite 26"), NO_FILE),
}

# PostgreSQL's drivers tell no SQLSTATE of a connection that did not come about. What will not pass by itself:
WRONG = re.compile(
    r"(?i)password|authentication|pg_hba|certificate|support ssl|does not exist|translate host|name or service|resolve"
)


def sqlstate(error: BaseException) -> str | None:
    """Return the driver's SQLSTATE, where it has one."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def code_of(error: BaseException) -> int | None:
    """Return the error number of a MySQL driver."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, int) else None


def cause_of(error: BaseException) -> Cause | None:
    """Return of what kind a refusal is, ``None`` for one that its own message explains."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return None
    cause = error.orig
    code, sqlite, state = code_of(cause), getattr(cause, "sqlite_errorcode", None), sqlstate(cause)
    if code is None and sqlite is None and state is None:
        return AWAY if isinstance(error, OperationalError) and not WRONG.search(str(cause)) else None
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

# MySQL messages that name hosts, users and tables but quote no row, besides those that have a cause.
QUOTABLE_CODES = frozenset({1021, 1045, 1049, 1114, 1130, 1146, 1273, 2005})


class DataRefusedError(LedgerError):
    """The database works, and refuses what was to be written."""


class MomentaryError(LedgerError):
    """The database cannot be used now, and perhaps can within seconds."""


def described(error: BaseException) -> str:
    """Return what went wrong and what to do about it, without any value of a row, which many messages quote."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return type(error).__name__
    cause, known = error.orig, cause_of(error)
    state, code = sqlstate(cause), code_of(cause)
    mark = f", SQLSTATE {state}" if state else f", error {code}" if code else ""
    text = ""
    if code is not None:
        if (known is not None or code in QUOTABLE_CODES) and len(cause.args) > 1:
            text = str(cause.args[1])
    elif isinstance(error, OperationalError | ProgrammingError | InterfaceError):
        text = str(getattr(getattr(cause, "diag", None), "message_primary", None) or cause)
    told = f": {text.splitlines()[0]}" if text else ""
    return f"{type(cause).__name__}{mark}{told}" + (f"; {known.advice}" if known else "")


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
