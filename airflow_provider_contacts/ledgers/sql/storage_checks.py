"""Whether what is written is still there for the next try, and whether every key can be written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, text  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.sql.database import READING, inspect_store
from airflow_provider_contacts.ledgers.sql.db_errors import transact
from airflow_provider_contacts.ledgers.sql.table_place import place_of, remember
from airflow_provider_contacts.ledgers.sql.tables import COLLATIONS, Tables, build

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

FORGETS = "the next try would know nothing and send every record again"

# PostgreSQL's letters for what is no table of its own.
KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}

# Columns of texts that come from users: one that the column cannot hold would end the push.
NAMED = ("sync_id", "record_identifier", "destination_object", "sync_run_id", "dag_id", "run_id", "task_id")
KEYS = ("sync_id", "record_identifier", "sync_run_id")


def open_store(engine: Engine, table: str, *, shared_source: bool = False) -> Tables:
    """Connect, and return the tables under a name, which need not exist yet.

    :param shared_source: see :func:`airflow_provider_contacts.ledgers.sql.database.inspect_store`.
    :raises ConfigError: for a name or database that cannot hold them, or that forgets what it holds.
    :raises LedgerError: if the database cannot be used.
    """
    remember(engine, table=table)
    tables = build(table, inspect_store(engine, shared_source=shared_source))
    look = {"sqlite": refuse_sqlite, "postgresql": refuse_postgresql}.get(tables.flavour)
    if look is not None:
        transact(engine, lambda found: look(found, tables), repeatable=True, options={READING: True})
    return tables


def look_at_tables(engine: Engine, tables: Tables) -> tuple[str, ...]:
    """Return what the user should know of the tables that exist.

    :raises ConfigError: for a kind of table that cannot keep outcomes, or cannot hold every key.
    :raises LedgerError: if the database cannot be used.
    """
    look = {"sqlite": look_at_sqlite, "postgresql": look_at_postgresql}.get(tables.flavour, look_at_mysql)

    def found(connection: Connection) -> list[str]:
        known = inspect(connection)
        there = [one for one in tables.every if known.has_table(one.name, schema=one.schema)]
        return [warning for one in there for warning in look(connection, one)]

    return tuple(transact(engine, found, repeatable=True, options={READING: True}))


def changes_rows(engine: Engine, tables: Tables) -> bool:
    """Return whether the tables of batches and records have triggers or rules, which may change what is written.

    :raises LedgerError: if the database cannot be used.
    """
    if tables.flavour in {"mysql", "mariadb"}:
        return False  # each claim reads its rows again, and no trigger there comes later than that

    def look(connection: Connection) -> bool:
        return any(has_triggers(connection, tables, one) for one in (tables.batches, tables.records))

    return transact(engine, look, repeatable=True, options={READING: True})


def has_triggers(connection: Connection, tables: Tables, table: Table) -> bool:
    """Tell whether a table has triggers or rules."""
    if tables.flavour == "sqlite":
        schema = tables.schema or "main"
        listed = f"SELECT count(*) FROM {schema}.sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = ?"  # noqa: S608  # a name of letters
        return bool(connection.exec_driver_sql(listed, (table.name.lower(),)).scalar())
    known = text("SELECT relhastriggers OR relhasrules FROM pg_class WHERE oid = to_regclass(:name)")
    name = connection.dialect.identifier_preparer.format_table(table)
    return bool(connection.execute(known, {"name": name}).scalar())


def refuse(connection: Connection, reason: str) -> ConfigError:
    """Return the error that says why a table cannot be used."""
    return ConfigError(f"{place_of(connection.engine)} cannot be used: {reason}")


def refuse_sqlite(connection: Connection, tables: Tables) -> None:
    """Refuse what SQLite keeps in memory, or in a file that it deletes."""
    schema = (tables.schema or "main").lower()
    files = {row[1]: row[2] for row in connection.exec_driver_sql("PRAGMA database_list")}
    journal = connection.exec_driver_sql(f"PRAGMA {schema}.journal_mode").scalar() if schema in files else None
    if schema == "temp" or files.get(schema) == "" or journal == "memory":
        reason = f"it is gone when its connection is closed, so that {FORGETS}. Name a file in the connection's host"
        if schema == "temp":
            reason += ", and a table without the schema temp in outcomes_table"
        raise refuse(connection, reason)


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


TEMPORARY = f"it is a temporary table, which is gone when its connection is closed, so that {FORGETS}"


def look_at_sqlite(connection: Connection, table: Table) -> Iterator[str]:
    """Refuse views."""
    schema = table.schema or "main"
    listed = f"SELECT type FROM {schema}.sqlite_master WHERE lower(name) = ?"  # noqa: S608  # a name of letters
    if connection.exec_driver_sql(listed, (table.name.lower(),)).scalar() == "view":
        raise refuse(connection, f"{table.fullname} is a view. Name a table in outcomes_table")
    return iter(())


def look_at_postgresql(connection: Connection, table: Table) -> Iterator[str]:
    """Refuse temporary tables, views and foreign tables; warn of unlogged tables."""
    # The rows of a partitioned table lie in its partitions.
    query = text(
        "SELECT CASE WHEN EXISTS (SELECT FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid "
        "WHERE i.inhparent = c.oid AND p.relpersistence = 'u') THEN 'u' ELSE c.relpersistence END, c.relkind "
        "FROM pg_class c WHERE c.oid = to_regclass(:name)"
    )
    name = connection.dialect.identifier_preparer.format_table(table)
    persistence, kind = connection.execute(query, {"name": name}).one()
    if persistence == "t":
        raise refuse(connection, f"{table.fullname}: {TEMPORARY}. Drop it, or take pg_temp out of the search_path")
    if kind in KINDS:
        raise refuse(connection, f"{table.fullname} is {KINDS[kind]}. Name a table of this database in outcomes_table")
    if persistence == "u":
        yield (
            f"the table {table.fullname} is UNLOGGED: it outlives a task, but a server that crashes empties it, and "
            f"then {FORGETS}. ALTER TABLE {table.fullname} SET LOGGED keeps its rows"
        )


def look_at_mysql(connection: Connection, table: Table) -> Iterator[str]:
    """Refuse temporary tables, views, engines without transactions, and columns that cannot hold every key."""
    name = connection.dialect.identifier_preparer.format_table(table)
    statement = str(connection.exec_driver_sql(f"SHOW CREATE TABLE {name}").one()[1])
    if re.match(r"CREATE\s+TEMPORARY", statement, re.IGNORECASE):
        raise refuse(connection, f"{table.fullname}: {TEMPORARY}. Drop it (see the server's init_connect)")
    if not re.match(r"CREATE\s+TABLE", statement, re.IGNORECASE):
        raise refuse(connection, f"{table.fullname} is a view. Name a table in outcomes_table")
    where = {"schema": table.schema, "name": table.name}
    query = text(
        "SELECT t.engine, e.transactions FROM information_schema.tables t LEFT JOIN information_schema.engines e "
        "ON e.engine = t.engine WHERE t.table_schema = coalesce(:schema, database()) AND t.table_name = :name"
    )
    engine, transactions = connection.execute(query, where).one()
    if transactions != "YES":
        kept = f"keeps rows in memory, so that {FORGETS}" if engine == "MEMORY" else "has no transactions"
        raise refuse(
            connection,
            f"{table.fullname} has ENGINE={engine}, which {kept}. ALTER TABLE {table.fullname} ENGINE=InnoDB",
        )
    check_mysql_columns(connection, table, where)
    return iter(())


def check_mysql_columns(connection: Connection, table: Table, where: dict[str, Any]) -> None:
    """Refuse columns whose character set cannot hold every key, and keys that do not compare byte for byte."""
    query = text(
        "SELECT column_name, character_set_name, collation_name FROM information_schema.columns "
        "WHERE table_schema = coalesce(:schema, database()) AND table_name = :name"
    )
    flavour = "mariadb" if getattr(connection.dialect, "is_mariadb", False) else "mysql"
    mend = f"ALTER TABLE {table.fullname} CONVERT TO CHARACTER SET utf8mb4 COLLATE {COLLATIONS[flavour]}"
    for column, charset, collation in connection.execute(query, where):
        if column in NAMED and charset != "utf8mb4":
            reason = f"has the character set {charset or 'binary'}, which does not hold every key"
        elif column in KEYS and folds(connection, collation):
            reason = f"has the collation {collation}, which takes different keys for one"
        else:
            continue
        raise refuse(connection, f"its column {table.fullname}.{column} {reason}. {mend}")


def folds(connection: Connection, collation: str) -> bool:
    """Tell whether a collation takes letters of another case, another accent or trailing spaces for the same."""
    pairs = (("a", "A"), ("a", "á"), ("a", "a "))
    same = " OR ".join(f"_utf8mb4'{one}' = _utf8mb4'{other}' COLLATE {collation}" for one, other in pairs)
    return bool(connection.exec_driver_sql(f"SELECT {same}").scalar())
