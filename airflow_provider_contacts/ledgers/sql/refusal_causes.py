"""Why a database refuses: what a person can do about it, and whether it may pass within seconds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError  # noqa: TID253  # this module is imported only by what uses a table


@dataclass(frozen=True, slots=True)
class Cause:
    """One kind of refusal.

    :param advice: what to do, for the end of a message.
    :param momentary: whether another attempt within seconds may succeed.
    """

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


def state_of(error: BaseException) -> str | None:
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
    code, sqlite = code_of(cause), getattr(cause, "sqlite_errorcode", None)
    sqlite_key = None if sqlite is None else f"sqlite {sqlite & 0xFF}"
    keys = [key for key in (None if code is None else str(code), sqlite_key, state_of(cause)) if key is not None]
    if keys:
        return next((CAUSES[key] for key in keys if key in CAUSES), None)
    return next((found for pattern, found in TEXTS if pattern.search(str(cause))), None)


def momentary(error: BaseException) -> bool:
    """Tell whether another attempt within seconds may succeed."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    cause = cause_of(error)
    return cause is not None and cause.momentary
