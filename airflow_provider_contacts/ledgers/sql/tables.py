"""The outcome table and the table of runs, as columns and as DDL.

``SettleContactsOperator`` writes a person's verdict on a record in doubt; the table is enough to do it by hand. What is
in doubt::

    SELECT record_identifier, status, batch_started_at, error_code, record_payload
    FROM contact_outcomes WHERE sync_id = '...' AND status IN ('unknown', 'sending');

``sending`` is in doubt only once no task is running that could still be sending it. After a look into the vendor's
account, for each record that is there::

    UPDATE contact_outcomes
    SET status = 'succeeded', destination_record_id = '...', error_code = NULL, error_field = NULL,
        status_message = NULL, errors = NULL, record_payload = NULL
    WHERE sync_id = '...' AND record_identifier = '...' AND status IN ('unknown', 'sending');

and for each that is not, so that the next run sends it::

    UPDATE contact_outcomes SET status = 'failed', error_code = 'settled_by_hand'
    WHERE sync_id = '...' AND record_identifier = '...' AND status IN ('unknown', 'sending');

Keys compare byte for byte: SQLite does by default, PostgreSQL with collation ``C``; on MySQL and MariaDB a binary
collation without padding does, which the two call by different names. All times are UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

# This module is imported only by what uses a table.
from sqlalchemy import (  # noqa: TID253  # see above
    BigInteger,
    Column,
    Dialect,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite  # noqa: TID253  # see above
from sqlalchemy.schema import CreateTable  # noqa: TID253  # see above
from sqlalchemy.types import TypeEngine, UserDefinedType  # noqa: TID253  # see above

from airflow_provider_contacts.ledgers.run_identity import RUN_LENGTH, SYNC_LENGTH
from airflow_provider_contacts.ledgers.table_names import RUNS, names
from airflow_provider_contacts.vendor_kit.sanitize import NAME_LENGTH

Flavour = Literal["sqlite", "postgresql", "mysql", "mariadb"]
FLAVOURS: tuple[Flavour, ...] = get_args(Flavour)

COUNTERS = (
    "num_planned",
    "num_succeeded",
    "num_rejected",
    "num_invalid",
    "num_failed",
    "num_unknown",
    "num_skipped",
    "num_duplicate",
    "num_changed",
    "num_held",
    "num_undelivered",
    "num_delivered",
    "num_requests",
)


# Every row is written twice. With room beside it, PostgreSQL writes the second one there, and no index again.
ROOM = " WITH (fillfactor = 60)"

# MySQL 8.0.17 and newer, MariaDB 10.2 and newer. ``utf8mb4_bin`` would pad: it takes "a" and "a " for one key.
COLLATIONS = {"mysql": "utf8mb4_0900_bin", "mariadb": "utf8mb4_nopad_bin"}


class JsonText(UserDefinedType[str]):
    """JSON that goes in as text which is valid already, under the database's own name for it."""

    cache_ok = True

    def __init__(self, spec: str) -> None:
        self.spec = spec

    def get_col_spec(self, **_: Any) -> str:
        """Return the type's name in DDL and casts."""
        return self.spec


@dataclass(frozen=True, slots=True)
class Types:
    """The column types of one kind of database."""

    flavour: Flavour

    def key(self, length: int) -> TypeEngine[str]:
        """Return a text that compares byte for byte."""
        return String(length, collation="C") if self.flavour == "postgresql" else String(length)

    def moment(self) -> TypeEngine[Any]:
        """Return a moment in UTC."""
        match self.flavour:
            case "sqlite":
                return Text()
            case "postgresql":
                return postgresql.TIMESTAMP(timezone=True)
            case "mysql" | "mariadb":
                return mysql.DATETIME(fsp=6)

    def json(self) -> TypeEngine[str]:
        """Return a JSON document."""
        match self.flavour:
            case "sqlite":
                return JsonText("TEXT")
            case "postgresql":
                return JsonText("JSONB")
            case "mysql" | "mariadb":
                return JsonText("JSON")


@dataclass(frozen=True, slots=True)
class Tables:
    """The two tables of one ledger."""

    flavour: Flavour
    outcomes: Table
    runs: Table


def build(table: str, flavour: Flavour) -> Tables:
    """Return the tables under a name, for one kind of database.

    :param table: ``name`` or ``schema.name`` of the outcome table; the runs' is that and ``_runs``.
    :raises ConfigError: for another name.
    """
    schema, name = names(table)
    types = Types(flavour)
    metadata = MetaData(schema=schema)
    options: dict[str, Any] = {}
    if flavour in COLLATIONS:
        options = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": COLLATIONS[flavour]}
    return Tables(
        flavour=flavour,
        outcomes=Table(name, metadata, *outcome_columns(types), **options),
        runs=Table(name + RUNS, metadata, *run_columns(types), **options),
    )


def outcome_columns(types: Types) -> list[Column[Any]]:
    """Return the columns of the outcome table, in their order."""
    short = String(NAME_LENGTH)
    return [
        Column("sync_id", types.key(SYNC_LENGTH), primary_key=True),
        Column("record_identifier", types.key(NAME_LENGTH), primary_key=True),
        Column("destination", String(64), nullable=False),
        Column("destination_host", short, nullable=False),
        Column("destination_object", short),
        Column("status", String(16), nullable=False),
        Column("destination_record_id", short),
        Column("error_code", short),
        Column("error_field", short),
        Column("status_message", Text),
        Column("errors", types.json()),
        Column("http_status", Integer),
        Column("attempts", Integer, nullable=False),
        Column("payload_hash", short),
        Column("record_payload", types.json()),
        Column("row_index", BigInteger),
        Column("batch_id", short),
        Column("sync_run_id", String(RUN_LENGTH)),
        Column("dag_id", short),
        Column("run_id", short),
        Column("task_id", short),
        Column("map_index", Integer),
        Column("try_number", Integer),
        Column("batch_started_at", types.moment()),
        Column("batch_completed_at", types.moment()),
        Column("settled_by", short),
        Column("settled_at", types.moment()),
    ]


def run_columns(types: Types) -> list[Column[Any]]:
    """Return the columns of the table of runs; ``execution_token`` tells the newest execution of a run."""
    return [
        Column("sync_run_id", types.key(RUN_LENGTH), primary_key=True),
        Column("try_number", Integer, primary_key=True, autoincrement=False),
        Column("sync_id", String(SYNC_LENGTH)),
        *(Column(counter, BigInteger) for counter in COUNTERS),
        Column("status", String(16)),
        Column("started_at", types.moment()),
        Column("completed_at", types.moment()),
        Column("status_message", Text),
        Column("execution_token", String(NAME_LENGTH)),
    ]


def dialect_of(flavour: Flavour) -> Dialect:
    """Return a dialect that can print DDL without a connection."""
    dialects = {"sqlite": sqlite.dialect, "postgresql": postgresql.dialect}
    dialect: Dialect = dialects.get(flavour, mysql.dialect)()
    return dialect


def create_table(table: Table, flavour: Flavour) -> str:
    """Return the statement that creates one table."""
    statement = str(CreateTable(table).compile(dialect=dialect_of(flavour)))
    text = re.sub(r" +\n", "\n", statement.strip()).replace("\t", "    ").replace(")ENGINE", ") ENGINE")
    return f"{text}{ROOM}" if flavour == "postgresql" and not table.name.endswith(RUNS) else text


def ddl(tables: Tables) -> str:
    """Return the statements that create both tables."""
    return "".join(f"{create_table(table, tables.flavour)};\n\n" for table in (tables.outcomes, tables.runs))


def added_column(table: Table, name: str, flavour: Flavour) -> str:
    """Return the statement that adds one missing column, nullable."""
    dialect = dialect_of(flavour)
    quoted = dialect.identifier_preparer
    kind = dialect.type_compiler_instance.process(table.c[name].type)
    return f"ALTER TABLE {quoted.format_table(table)} ADD COLUMN {quoted.quote(name)} {kind}"
