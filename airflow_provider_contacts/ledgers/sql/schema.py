"""Make sure that the tables and the view are there: looked for first, so that the right to create is needed once."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what uses a table
from sqlalchemy.exc import SQLAlchemyError  # noqa: TID253  # likewise

from airflow_provider_contacts.errors import ConfigError, ContactsError, LedgerError
from airflow_provider_contacts.ledgers.sql.db_errors import MomentaryError, described, momentary, place_of
from airflow_provider_contacts.ledgers.sql.ddl import create_table, create_view, view_columns, view_name
from airflow_provider_contacts.ledgers.sql.storage_checks import look_at_tables
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.ledgers.sql.transactions import reading

# Mapped tasks start together and create together; what another one has just created is not created again.
ROUNDS = 8


def ensure(engine: sa.Engine, tables: Tables, *, create: bool) -> tuple[str, ...]:
    """Look for the tables and the view; create what is missing if told so. Return warnings.

    :raises ConfigError: if something is missing and may not or cannot be created, with the DDL; or if a name is taken.
    :raises MomentaryError: if they cannot be created for now.
    """
    reason, statements = "create_tables is off", list[str]()
    kind: type[ContactsError] = ConfigError
    for _ in range(ROUNDS):
        absent, viewed = look(engine, tables)
        check_columns(engine, [table for table in tables.every if table not in absent])
        warnings = outdated(engine, tables) if viewed else ()
        statements = [one for table in absent for one in create_table(tables, table)]
        statements += [] if viewed else [create_view(tables)]
        if not statements:
            return warnings
        if not create:
            break
        error = run(engine, statements)
        reason = "they were run, and something is missing still" if error is None else described(error)
        kind = MomentaryError if error is not None and momentary(error) else ConfigError
    look_at_tables(engine, tables)  # what is there already may be why
    listing = "\n\n".join(f"{statement};" for statement in statements)
    msg = (
        f"{place_of(engine)}: the view {view_name(tables)} or tables behind it are missing ({reason}). "
        f"These statements make them:\n\n{listing}"
    )
    raise kind(msg)


def look(engine: sa.Engine, tables: Tables) -> tuple[list[sa.Table], bool]:
    """Return the tables that are absent, and whether the view is there.

    :raises ConfigError: where runs are known whose records are gone: everything would be sent again.
    """

    def find(connection: sa.Connection) -> tuple[list[sa.Table], bool]:
        found = sa.inspect(connection)
        absent = [one for one in tables.every if not found.has_table(one.name, schema=one.schema)]
        runs = None
        if absent and tables.runs not in absent:
            runs = connection.execute(sa.select(sa.literal(1)).select_from(tables.runs).limit(1)).first()
        return absent, runs is not None

    absent, is_known = reading(engine, find)
    if is_known:
        names = " and ".join(table.fullname for table in absent)
        msg = (
            f"{tables.runs.fullname} knows earlier runs, but {names}, needed to know what they delivered, is gone. "
            "Restore it; or, to send every record again, remove the other tables too"
        )
        raise ConfigError(msg)
    return absent, has_view(engine, tables)


def has_view(engine: sa.Engine, tables: Tables) -> bool:
    """Return whether there is a view of the name; refuse a table: people would read what no push writes."""

    def find(connection: sa.Connection) -> bool:
        found = sa.inspect(connection)
        if tables.outcomes in found.get_table_names(schema=tables.schema):
            msg = f"{view_name(tables)} is not ours: it is a table, and ours is a view; choose another outcomes_table"
            raise ConfigError(msg)
        return found.has_table(tables.outcomes, schema=tables.schema)

    try:
        return reading(engine, find)
    except MomentaryError:
        raise
    except LedgerError:
        return True  # MySQL and MariaDB describe no view that cannot be read; that one is told of later


def check_columns(engine: sa.Engine, there: Sequence[sa.Table]) -> None:
    """Check that tables can be read with all their columns."""

    def read(connection: sa.Connection) -> None:
        for table in there:
            connection.execute(sa.select(table).where(sa.false()))

    def lacking(connection: sa.Connection) -> dict[str, list[str]]:
        found = sa.inspect(connection)
        present = {one: {c["name"] for c in found.get_columns(one.name, schema=one.schema)} for one in there}
        absent = {one: [c.name for c in one.columns if c.name not in present[one]] for one in there}
        return {one.fullname: names for one, names in absent.items() if names}

    try:
        reading(engine, read)
    except MomentaryError:
        raise
    except LedgerError as error:
        for name, columns in reading(engine, lacking).items():
            msg = f"the table {name} is not ours: it lacks {', '.join(columns)}; choose another outcomes_table"
            raise ConfigError(msg) from None
        raise LedgerError(str(error)) from None


def outdated(engine: sa.Engine, tables: Tables) -> tuple[str, ...]:
    """Return a warning if the view is not what it should be: people read it, and no push does."""
    name = view_name(tables)

    def read(connection: sa.Connection) -> set[str]:
        return set(connection.exec_driver_sql(f"SELECT * FROM {name} WHERE 1 = 0").keys())  # noqa: S608  # a checked name

    try:
        present = reading(engine, read)
    except LedgerError as error:
        return (f"the view {name}, which people read, cannot be read by this connection: {error}",)
    lacking = [column for column in view_columns(tables) if column not in present]
    if "record_identifier" in lacking:
        raise ConfigError(f"{name} is not ours: it lacks {', '.join(lacking)}; choose another outcomes_table")
    if lacking:
        return (f"the view {name} lacks {', '.join(lacking)}; replace it:\n\n{create_view(tables)};",)
    return ()


def run(engine: sa.Engine, statements: Sequence[str]) -> SQLAlchemyError | None:
    """Run DDL; return why that failed, if it did."""
    try:
        with engine.connect() as connection, connection.begin():
            for statement in statements:
                connection.exec_driver_sql(statement)
    except SQLAlchemyError as error:
        return error
    return None
