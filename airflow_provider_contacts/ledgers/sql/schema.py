"""Make sure that the tables are there: looked for first, so that the right to create is needed only to create."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine, Table, inspect, select, text  # noqa: TID253  # imported only by what uses a table
from sqlalchemy.exc import DBAPIError, SQLAlchemyError  # noqa: TID253  # likewise

from airflow_provider_contacts.errors import ConfigError, ContactsError, LedgerError
from airflow_provider_contacts.ledgers.sql.database import READING
from airflow_provider_contacts.ledgers.sql.db_errors import MomentaryError, described, failure_of
from airflow_provider_contacts.ledgers.sql.refusal_causes import momentary
from airflow_provider_contacts.ledgers.sql.table_place import place_of
from airflow_provider_contacts.ledgers.sql.tables import Tables, added_column, create_table

# Mapped tasks start together and create together; what another one has just created is not created again.
ROUNDS = 3


def ensure(engine: Engine, tables: Tables, *, create: bool) -> None:
    """Look for the tables and their columns; create what is missing if told so.

    Columns are only ever added, nullable.

    :raises ConfigError: if something is missing and may not or cannot be created; prints the DDL.
    :raises LedgerError: if the tables cannot be read; a MomentaryError if they cannot be created for now.
    """
    reason = "create_tables is off"
    kind: type[ContactsError] = ConfigError
    for _ in range(ROUNDS):
        statements = [one for table in (tables.outcomes, tables.runs) for one in needed(engine, tables, table)]
        if not statements:
            return
        check_not_lost(engine, tables)
        if not create:
            break
        error = run(engine, statements)
        reason = "they were run, and the table still lacks them" if error is None else described(error)
        kind = MomentaryError if error is not None and momentary(error) else ConfigError
    listing = "\n\n".join(f"{statement};" for statement in statements)
    msg = (
        f"{place_of(engine)}: {tables.outcomes.fullname} and {tables.runs.name} are missing or lack columns "
        f"({reason}). These statements make them complete:\n\n{listing}"
    )
    raise kind(msg)


def check_not_lost(engine: Engine, tables: Tables) -> None:
    """Refuse to begin anew where runs are known whose outcomes are gone: everything would be sent again.

    :raises ConfigError: saying what to do.
    """
    try:
        with engine.connect().execution_options(**{READING: True}) as connection:
            found = inspect(connection)
            if found.has_table(tables.outcomes.name, schema=tables.outcomes.schema):
                return
            if not found.has_table(tables.runs.name, schema=tables.runs.schema):
                return
            known = connection.execute(select(tables.runs.c.sync_run_id).limit(1)).first()
    except SQLAlchemyError:
        return  # what cannot be looked at is told by those who need it
    if known is not None:
        msg = (
            f"{tables.runs.fullname} knows earlier runs, but {tables.outcomes.fullname}, which holds what they "
            "delivered, is gone. Restore it; or, to send every record again, remove the other table too"
        )
        raise ConfigError(msg)


def needed(engine: Engine, tables: Tables, table: Table) -> list[str]:
    """Return the statements that make a table complete: none, its creation, or its missing columns."""
    trouble = unreadable(engine, table)
    if trouble is None:
        return []
    try:
        with engine.connect().execution_options(**{READING: True}) as connection:
            found = inspect(connection)
            if not found.has_table(table.name, schema=table.schema):
                return [create_table(table, tables.flavour)]
            present = {column["name"] for column in found.get_columns(table.name, schema=table.schema)}
    except SQLAlchemyError as error:
        trouble, present = described(error), {column.name for column in table.columns}
    absent = [column for column in table.columns if column.name not in present]
    if any(column.primary_key for column in absent):
        msg = f"the table {table.fullname} is not ours: it lacks our key; choose another outcomes_table"
        raise ConfigError(msg)
    if not absent:
        # Another task may have created it since the first look.
        trouble = unreadable(engine, table)
        if trouble is None:
            return []
        msg = f"{place_of(engine)}: {table.fullname} cannot be read: {trouble}"
        raise LedgerError(msg)
    return [added_column(table, column.name, tables.flavour) for column in absent]


def unreadable(engine: Engine, table: Table) -> str | None:
    """Return why a table cannot be read with all its columns, ``None`` if it can."""
    try:
        with engine.connect().execution_options(**{READING: True}) as connection:
            connection.execute(select(table).where(text("1 = 0")))
    except DBAPIError as error:
        if momentary(error):
            raise failure_of(engine, error) from None
        return described(error)
    return None


def run(engine: Engine, statements: Sequence[str]) -> SQLAlchemyError | None:
    """Run DDL; return why that failed, if it did."""
    try:
        with engine.connect() as connection, connection.begin():
            for statement in statements:
                connection.exec_driver_sql(statement)
    except SQLAlchemyError as error:
        return error
    return None
