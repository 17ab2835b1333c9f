"""Whether what is written is still there for the next try, and whether every key can be written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from sqlalchemy import Connection, Engine, Table, text  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.sql.database import flavour_of
from airflow_provider_contacts.ledgers.sql.db_errors import place_of, remember
from airflow_provider_contacts.ledgers.sql.tables import COLLATIONS, Tables, build
from airflow_provider_contacts.ledgers.sql.transactions import reading

FORGETS = "the next try would know nothing and send every record again"
TEMPORARY = f"it is temporary, and gone when its connection is closed, so that {FORGETS}"


def open_store(engine: Engine, table: str, source: Any = None) -> Tables:
    """Connect, and return the tables under a name, which need not exist yet.

    :param source: DB-API hook that is read meanwhile, if any.
    :raises ConfigError: for a name or database that cannot hold them, or that forgets what it holds.
    :raises LedgerError: if the database cannot be used.
    """
    remember(engine, table=table)

    def look(connection: Connection) -> Tables:
        tables = build(table, flavour_of(engine))  # known once it is connected to
        if tables.flavour == "sqlite":
            refuse_sqlite(connection, tables, source)
        elif tables.flavour == "postgresql":
            refuse_postgresql(connection, tables)
        return tables

    return reading(engine, look)


def refuse(connection: Connection, reason: str) -> ConfigError:
    """Return the error that says why a table cannot be used."""
    return ConfigError(f"{place_of(connection.engine)} cannot be used: {reason}")


def refuse_sqlite(connection: Connection, tables: Tables, source: Any) -> None:
    """Refuse what SQLite keeps in memory, or in a file that it deletes, or that readers and writers cannot share."""
    schema = (tables.schema or "main").lower()
    files = {row[1]: row[2] for row in connection.exec_driver_sql("PRAGMA database_list")}
    journal = connection.exec_driver_sql(f"PRAGMA {schema}.journal_mode").scalar() if schema in files else None
    if schema == "temp":
        raise refuse(connection, f"{TEMPORARY}. Name a table without the schema temp in outcomes_table")
    if files.get(schema) == "" or journal == "memory":
        raise refuse(connection, f"{TEMPORARY}. Name a file in the connection's host")
    if journal not in {"wal", None} and sqlite_file(source) == files[schema]:
        raise ConfigError(
            "the source and the outcome table share one SQLite file that refuses the WAL journal, so that reading "
            "and writing would block each other; keep the outcome table in another file, on a local disk"
        )


def sqlite_file(hook: Any) -> str | None:
    """Return the file behind a hook, if it is SQLite's and can be opened: who reads it tells why it cannot."""
    if getattr(hook, "conn_type", None) != "sqlite":
        return None
    # The database knows; a connection may name its file in host, as a URI, or with parameters.
    try:
        with closing(hook.get_conn()) as connection:
            return next((row[2] for row in connection.execute("PRAGMA database_list") if row[1] == "main"), None)
    except sqlite3.Error:
        return None


def refuse_postgresql(connection: Connection, tables: Tables) -> None:
    """Refuse temporary schemas, and databases whose encoding cannot hold every key."""
    if (tables.schema or "").lower().startswith("pg_temp"):
        raise refuse(connection, f"{TEMPORARY}. Name a table in another schema in outcomes_table")
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise refuse(
            connection,
            f"its database has the encoding {encoding}, which does not hold every key. Make one for it (CREATE "
            "DATABASE … ENCODING 'UTF8' TEMPLATE template0), and name it in the connection's schema field",
        )


def warnings_of(connection: Connection, tables: Tables, table: Table) -> list[str]:
    """Return what the user should know of a table that is there.

    :raises ConfigError: for one that cannot keep outcomes, or cannot hold every key.
    """
    if tables.flavour == "postgresql":
        return warnings_of_postgresql(connection, table)
    if tables.flavour in COLLATIONS:
        refuse_mysql(connection, table, COLLATIONS[tables.flavour])
    return []


def warnings_of_postgresql(connection: Connection, table: Table) -> list[str]:
    """Refuse temporary tables; warn of unlogged ones."""
    name = connection.dialect.identifier_preparer.format_table(table)
    query = text("SELECT relpersistence FROM pg_class WHERE oid = to_regclass(:name)")
    persistence = connection.execute(query, {"name": name}).scalar()
    if persistence == "t":
        raise refuse(connection, f"{table.fullname}: {TEMPORARY}. Drop it, or take pg_temp out of the search_path")
    if persistence != "u":
        return []
    warning = (
        f"the table {table.fullname} is UNLOGGED: it outlives a task, but a server that crashes empties it, and "
        f"then {FORGETS}. ALTER TABLE {table.fullname} SET LOGGED keeps its rows"
    )
    return [warning]


def refuse_mysql(connection: Connection, table: Table, collation: str) -> None:
    """Refuse temporary tables, other engines, and keys that do not compare byte for byte."""
    # Not asked of information_schema, which lists neither a temporary table nor one that another task is just creating.
    name = connection.dialect.identifier_preparer.format_table(table)
    if connection.exec_driver_sql(f"SHOW CREATE TABLE {name}").one()[1].startswith("CREATE TEMPORARY"):
        raise refuse(connection, f"{table.fullname}: {TEMPORARY}. Drop it (see the server's init_connect)")
    # Two questions: MariaDB answers a join of the two by reading every table of every database.
    where = "WHERE table_schema = coalesce(:schema, database()) AND table_name = :name"
    named = {"schema": table.schema, "name": table.name}
    engine = connection.execute(text(f"SELECT engine FROM information_schema.tables {where}"), named).scalar()  # noqa: S608  # no value is in it
    if engine not in {"InnoDB", None}:
        reason = f"has ENGINE={engine}, which may lose rows that were written, so that {FORGETS}"
        raise refuse(connection, f"{table.fullname} {reason}. ALTER TABLE {table.fullname} ENGINE=InnoDB")
    columns = text(
        f"SELECT column_name, collation_name FROM information_schema.columns {where} "  # noqa: S608  # no value is in it
        "AND column_name IN ('sync_id', 'record_identifier', 'sync_run_id')"
    )
    for column, found in connection.execute(columns, named):
        if found != collation:
            raise refuse(
                connection,
                f"its column {table.fullname}.{column} has the collation {found}, which may take different keys for "
                f"one. ALTER TABLE {table.fullname} CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}",
            )


def changes_rows(engine: Engine, tables: Tables) -> bool:
    """Return whether the tables of batches and records have triggers or rules, which may change what is written."""
    if tables.flavour in COLLATIONS:
        return False  # each claim reads its rows again, and no trigger there comes later than that
    watched = (tables.batches, tables.records)
    if tables.flavour == "sqlite":
        query = (
            f"SELECT 1 FROM {tables.schema or 'main'}.sqlite_master "  # noqa: S608  # a name of letters
            "WHERE type = 'trigger' AND lower(tbl_name) IN (?, ?)"
        )
        names = tuple(table.name.lower() for table in watched)
    else:
        query = (
            "SELECT 1 FROM pg_class WHERE oid IN (to_regclass(%s), to_regclass(%s)) AND (relhastriggers OR relhasrules)"
        )
        names = tuple(map(engine.dialect.identifier_preparer.format_table, watched))
    return reading(engine, lambda connection: connection.exec_driver_sql(query, names).first()) is not None
