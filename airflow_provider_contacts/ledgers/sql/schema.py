"""Make sure that the tables and the view are there: looked for first, so that the right to create is needed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what uses a table
from sqlalchemy.exc import SQLAlchemyError  # noqa: TID253  # likewise

from airflow_provider_contacts.errors import ConfigError, LedgerError
from airflow_provider_contacts.ledgers.sql.database import connect
from airflow_provider_contacts.ledgers.sql.db_errors import MomentaryError, described, momentary, place_of
from airflow_provider_contacts.ledgers.sql.ddl import create_table, create_view, dialect_of, view_columns, view_name
from airflow_provider_contacts.ledgers.sql.storage_checks import open_store, warnings_of
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.ledgers.sql.transactions import Patience, reading

# Mapped tasks start together and create together; what another one has just created is not created again.
ROUNDS = 8

Warnings = tuple[str, ...]


def ensure(engine: sa.Engine, tables: Tables, *, create: bool) -> Warnings:
    """Look for the tables and the view; create what is missing if told so. Return warnings.

    :raises ConfigError: if something is missing and may not or cannot be created, with the DDL; or if a name is taken.
    :raises MomentaryError: if they cannot be created for now.
    """
    error: SQLAlchemyError | None = None
    statements = list[str]()
    for _ in range(ROUNDS):
        absent, warnings = look(engine, tables)
        of_view = look_at_view(engine, tables)
        statements = [one for table in absent for one in create_table(tables, table)]
        if of_view is None:
            statements.append(create_view(tables))
        elif not statements:
            return warnings + of_view
        if not create:
            break
        error = run(engine, statements)
    reason = "create_tables is off" if error is None else described(error)
    listing = "\n\n".join(f"{statement};" for statement in statements)
    msg = (
        f"{place_of(engine)}: the view {view_name(tables)} or tables behind it are missing ({reason}). "
        f"These statements make them:\n\n{listing}"
    )
    raise MomentaryError(msg) if error is not None and momentary(error) else ConfigError(msg)


@contextmanager
def open_existing(hook: Any, table: str) -> Iterator[tuple[sa.Engine, Tables]]:
    """Open tables, which must exist, through a ``DbApiHook``; close the connections at the end."""
    engine = connect(hook)
    try:
        yield engine, Patience().run(lambda: existing(engine, table))
    finally:
        engine.dispose()


def existing(engine: sa.Engine, table: str) -> Tables:
    """Return the tables under a name, which must exist; the view may be absent."""
    tables = open_store(engine, table)
    absent, _ = look(engine, tables)
    if absent:
        which = "" if len(absent) == len(tables.every) else f": {absent[0].fullname}"
        raise ConfigError(f"{place_of(engine)}{which} does not exist: correct outcomes_table or outcomes_conn_id")
    return tables


def look(engine: sa.Engine, tables: Tables) -> tuple[list[sa.Table], Warnings]:
    """Return the tables that are absent, and what the user should know of the others.

    :raises ConfigError: where runs are known whose records are gone: everything would be sent again; and for tables
        that are not ours, or cannot keep what is written.
    """

    def find(connection: sa.Connection) -> tuple[list[sa.Table], Warnings]:
        found = sa.inspect(connection)
        absent = [one for one in tables.every if not found.has_table(one.name, schema=one.schema)]
        there = [one for one in tables.every if one not in absent]
        if absent and tables.runs in there:
            refuse_lost(connection, tables, absent)
        warnings = [warning for table in there for warning in warnings_of(connection, tables, table)]
        for table in there:
            name = dialect_of(tables.flavour).identifier_preparer.format_table(table)
            present = columns_of(connection, name)
            if lacking := [column.name for column in table.columns if column.name not in present]:
                raise not_ours(table.fullname, f"lacks {', '.join(lacking)}")
        return absent, tuple(warnings)

    return reading(engine, find)


def refuse_lost(connection: sa.Connection, tables: Tables, absent: Sequence[sa.Table]) -> None:
    """Refuse to make tables anew whose rows earlier runs have written."""
    if connection.execute(sa.select(sa.literal(1)).select_from(tables.runs).limit(1)).first() is not None:
        names = " and ".join(table.fullname for table in absent)
        raise ConfigError(
            f"{tables.runs.fullname} knows earlier runs, but {names}, needed to know what they delivered, is gone. "
            "Restore it; or, to send every record again, remove the other tables too"
        )


def look_at_view(engine: sa.Engine, tables: Tables) -> Warnings | None:
    """Return a warning if the view is not what it should be, since people read it; ``None`` if it is absent.

    :raises ConfigError: for a table in its place: people would read what no push writes.
    """
    name = view_name(tables)

    def find(connection: sa.Connection) -> set[str] | None:
        found = sa.inspect(connection)
        if tables.outcomes in found.get_table_names(schema=tables.schema):
            raise not_ours(name, "is a table, not a view")
        there = found.has_table(tables.outcomes, schema=tables.schema)
        return columns_of(connection, name) if there else None

    try:
        present = reading(engine, find)
    except MomentaryError:
        raise
    except LedgerError as error:
        return (f"the view {name}, which people read, cannot be read by this connection: {error}",)
    if present is None:
        return None
    lacking = [column for column in view_columns(tables) if column not in present]
    if "record_identifier" in lacking:
        raise not_ours(name, f"lacks {', '.join(lacking)}")
    return (f"the view {name} lacks {', '.join(lacking)}; replace it:\n\n{create_view(tables)};",) if lacking else ()


def columns_of(connection: sa.Connection, name: str) -> set[str]:
    """Return the columns of a table or view, which must be readable."""
    return set(connection.exec_driver_sql(f"SELECT * FROM {name} WHERE 1 = 0").keys())  # noqa: S608  # a checked name


def not_ours(name: str, why: str) -> ConfigError:
    """Return the error for a name that something else has taken."""
    return ConfigError(f"{name} is no outcome table of this package: it {why}; choose another outcomes_table")


def run(engine: sa.Engine, statements: Sequence[str]) -> SQLAlchemyError | None:
    """Run DDL; return why that failed, if it did."""
    try:
        with engine.connect() as connection, connection.begin():
            for statement in statements:
                connection.exec_driver_sql(statement)
    except SQLAlchemyError as error:
        return error
    return None
