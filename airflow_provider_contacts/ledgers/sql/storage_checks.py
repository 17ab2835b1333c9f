"""Whether what is written is still there for the next try, and whether every key can be written."""

from __future__ import annotations

import re

from sqlalchemy import Connection, Engine, Table, inspect, text  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.sql.db_errors import place_of, remember
from airflow_provider_contacts.ledgers.sql.tables import COLLATIONS, Flavour, Tables, build
from airflow_provider_contacts.ledgers.sql.transactions import reading

FORGETS = "the next try would know nothing and send every record again"
TEMPORARY = f"it is a temporary table, which is gone when its connection is closed, so that {FORGETS}"

# PostgreSQL's letters for relations that are no tables of their own.
KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}

# Columns of texts that come from users: one that the column cannot hold would end the push.
NAMED = ("sync_id", "record_identifier", "destination_object", "sync_run_id", "dag_id", "run_id", "task_id")
KEYS = ("sync_id", "record_identifier", "sync_run_id")

# What of a server's own settings makes a commit durable, and the values that do.
SERVER_SETTINGS: dict[Flavour, tuple[str, tuple[str, ...]]] = {
    "postgresql": ("fsync", ("on",)),
    "mysql": ("innodb_flush_log_at_trx_commit", ("1",)),
    "mariadb": ("innodb_flush_log_at_trx_commit", ("1", "3")),
}


def open_store(engine: Engine, table: str, *, shared_source: bool = False) -> Tables:
    """Connect, and return the tables under a name, which need not exist yet.

    :param shared_source: whether the same SQLite file is read as the source meanwhile.
    :raises ConfigError: for a name or database that cannot hold them, or that forgets what it holds.
    :raises LedgerError: if the database cannot be used.
    """
    remember(engine, table=table)

    def look(connection: Connection) -> Tables:
        tables = build(table, flavour_of(engine))  # known once it is connected to
        if tables.flavour == "sqlite":
            refuse_sqlite(connection, tables, shared_source=shared_source)
        elif tables.flavour == "postgresql":
            refuse_postgresql(connection, tables)
        return tables

    return reading(engine, look)


def flavour_of(engine: Engine) -> Flavour:
    """Return the kind of a database that has been connected to."""
    match engine.dialect.name:
        case "sqlite":
            return "sqlite"
        case "postgresql":
            return "postgresql"
        case _:
            return "mariadb" if getattr(engine.dialect, "is_mariadb", False) else "mysql"


def durability_warnings(engine: Engine, flavour: Flavour) -> tuple[str, ...]:
    """Return a warning where the server forgets commits when it dies: a setting that no connection can change."""
    if flavour not in SERVER_SETTINGS:
        return ()
    name, durable = SERVER_SETTINGS[flavour]
    query = f"SHOW {name}" if flavour == "postgresql" else f"SELECT @@GLOBAL.{name}"
    value = str(reading(engine, lambda found: found.exec_driver_sql(query).scalar()))
    if value in durable:
        return ()
    warning = (
        f"the outcome table's server runs with {name}={value}: it may forget what it has committed when it or its "
        f"machine dies, and then contacts that were sent are sent again; {name}={durable[0]} keeps them"
    )
    return (warning,)


def look_at_tables(engine: Engine, tables: Tables) -> tuple[str, ...]:
    """Return what the user should know of the tables that exist.

    :raises ConfigError: for a kind of table that cannot keep outcomes, or cannot hold every key.
    """
    look = {"sqlite": look_at_sqlite, "postgresql": look_at_postgresql}.get(tables.flavour, look_at_mysql)

    def found(connection: Connection) -> list[str]:
        known = inspect(connection)
        there = [one for one in tables.every if known.has_table(one.name, schema=one.schema)]
        return [warning for one in there for warning in look(connection, one)]

    return tuple(reading(engine, found))


def changes_rows(engine: Engine, tables: Tables) -> bool:
    """Return whether the tables of batches and records have triggers or rules, which may change what is written."""
    if tables.flavour in COLLATIONS:
        return False  # each claim reads its rows again, and no trigger there comes later than that
    watched = (tables.batches, tables.records)
    return reading(engine, lambda found: any(has_triggers(found, tables.flavour, one) for one in watched))


def has_triggers(connection: Connection, flavour: Flavour, table: Table) -> bool:
    """Tell whether a table has triggers or rules."""
    if flavour == "sqlite":
        return "trigger" in kinds_of(connection, table, "tbl_name")
    known = text("SELECT relhastriggers OR relhasrules FROM pg_class WHERE oid = to_regclass(:name)")
    name = connection.dialect.identifier_preparer.format_table(table)
    return bool(connection.execute(known, {"name": name}).scalar())


def kinds_of(connection: Connection, table: Table, column: str) -> list[str]:
    """Return the kinds of objects of SQLite that name a table in a column of its schema table."""
    query = f"SELECT type FROM {table.schema or 'main'}.sqlite_master WHERE lower({column}) = ?"  # noqa: S608  # names of letters
    return list(connection.exec_driver_sql(query, (table.name.lower(),)).scalars())


def refuse(connection: Connection, reason: str) -> ConfigError:
    """Return the error that says why a table cannot be used."""
    return ConfigError(f"{place_of(connection.engine)} cannot be used: {reason}")


def refuse_sqlite(connection: Connection, tables: Tables, *, shared_source: bool) -> None:
    """Refuse what SQLite keeps in memory, or in a file that it deletes, or that readers and writers cannot share."""
    if shared_source and connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() != "wal":
        raise ConfigError(
            "the source and the outcome table share one SQLite file that refuses the WAL journal, so that reading "
            "and writing would block each other; keep the outcome table in another file, on a local disk"
        )
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


def look_at_sqlite(connection: Connection, table: Table) -> list[str]:
    """Refuse views."""
    if "view" in kinds_of(connection, table, "name"):
        raise refuse(connection, f"{table.fullname} is a view. Name a table in outcomes_table")
    return []


def look_at_postgresql(connection: Connection, table: Table) -> list[str]:
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
    if persistence != "u":
        return []
    warning = (
        f"the table {table.fullname} is UNLOGGED: it outlives a task, but a server that crashes empties it, and "
        f"then {FORGETS}. ALTER TABLE {table.fullname} SET LOGGED keeps its rows"
    )
    return [warning]


def look_at_mysql(connection: Connection, table: Table) -> list[str]:
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
        mend = f"ALTER TABLE {table.fullname} ENGINE=InnoDB"
        raise refuse(connection, f"{table.fullname} has ENGINE={engine}, which {kept}. {mend}")
    columns = text(
        "SELECT column_name, character_set_name, collation_name FROM information_schema.columns "
        "WHERE table_schema = coalesce(:schema, database()) AND table_name = :name"
    )
    wanted = COLLATIONS[flavour_of(connection.engine)]
    mend = f"ALTER TABLE {table.fullname} CONVERT TO CHARACTER SET utf8mb4 COLLATE {wanted}"
    for column, charset, collation in connection.execute(columns, where):
        if column in NAMED and charset != "utf8mb4":
            reason = f"has the character set {charset or 'binary'}, which does not hold every key"
        elif column in KEYS and collation != wanted:
            reason = f"has the collation {collation}, which may take different keys for one"
        else:
            continue
        raise refuse(connection, f"its column {table.fullname}.{column} {reason}. {mend}")
    return []
