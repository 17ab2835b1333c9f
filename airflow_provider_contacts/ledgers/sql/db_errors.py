"""What the database refuses, told without the data that it refused; and transactions that tell it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.exc import (  # noqa: TID253  # this module is imported only by what uses a table
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
    StatementError,
)

from airflow_provider_contacts.errors import LedgerError
from airflow_provider_contacts.ledgers.sql.refusal_causes import cause_of, code_of, momentary, state_of
from airflow_provider_contacts.ledgers.sql.table_place import place_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

Result = TypeVar("Result")

TRIES = 3

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
    state, code = state_of(cause), code_of(cause)
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
    return cause is not None and (state_of(cause) in ROLLED_BACK_STATES or code_of(cause) in ROLLED_BACK_CODES)


def refused(error: BaseException) -> bool:
    """Tell whether the data were refused by a database that works."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        if momentary(error):
            return False
        state, code = state_of(error.orig), code_of(error.orig)
        return (
            isinstance(error, DataError | IntegrityError | InternalError)
            or (state or "")[:2] in REFUSED_CLASSES
            or code in REFUSED_CODES
        )
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


def transact(
    engine: Engine,
    work: Callable[[Connection], Result],
    *,
    repeatable: bool = False,
    options: dict[str, Any] | None = None,
) -> Result:
    """Run ``work`` in one transaction that is durable when this returns; see :func:`repeated`."""

    def once() -> Result:
        with engine.connect().execution_options(**(options or {})) as connection, connection.begin():
            return work(connection)

    return repeated(engine, once, repeatable=repeatable)


def repeated(engine: Engine, once: Callable[[], Result], *, repeatable: bool) -> Result:
    """Run one transaction, again where the database has rolled it back.

    :param repeatable: whether it may run again after a commit whose fate is not known.
    :raises LedgerError: with a text that quotes no row, and without the driver's exception, which does.
    """
    failure = LedgerError()
    for left in reversed(range(TRIES)):
        try:
            return once()
        except (SQLAlchemyError, UnicodeError, OverflowError) as error:
            failure = failure_of(engine, error)
            if not left or not (rolled_back(error) or (repeatable and lost(error))):
                break
    # Raised outside of the handler: chained to nothing that holds a row.
    raise failure
