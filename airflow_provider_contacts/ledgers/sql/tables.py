"""The four tables of the ledger and the view over them, as SQLAlchemy knows them; ``ddl`` prints them.

``<t>`` is the name that ``outcomes_table`` gives, and the view's own::

    <t>_syncs    one row a sync_id: the one destination whose records it remembers
    <t>_runs     one row a try of a run: its counters, and the newest execution's token
    <t>_batches  one row a request, or a group of records that were never sent
    <t>_records  one row a record and sync_id: the batch that it belongs to, and what became of it

What is true of a whole batch is written once. A batch is ``sending``, ``succeeded`` or ``open``. A record's status is
its own, else its batch's; in an ``open`` batch every record has its own.

``SettleContactsOperator`` writes a person's verdict on a record in doubt. By hand, this shows what is in doubt::

    SELECT record_identifier, status, batch_started_at, error_code, record_payload
    FROM contact_outcomes WHERE sync_id = '...' AND status IN ('unknown', 'sending');

``sending`` is in doubt only when no task is running that could still be sending it. Look into the vendor's account.
Then run these statements in one transaction. On SQLite and PostgreSQL the first three give the records of a batch that
is ``sending`` the status and the payload that they have from it (on PostgreSQL with ``b.body::json -> r.place`` for the
call of ``json_extract``). On MySQL and MariaDB leave these three out::

    UPDATE contact_outcomes_batches SET status = 'open' WHERE status = 'sending' AND batch_no = (
        SELECT r.batch_no FROM contact_outcomes_records r JOIN contact_outcomes_syncs s ON s.sync_no = r.sync_no
        WHERE s.sync_id = '...' AND r.record_identifier = '...');
    UPDATE contact_outcomes_records AS r SET status = 'sending', record_payload = (
        SELECT json_extract(b.body, '$[' || r.place || ']') FROM contact_outcomes_batches b
        WHERE b.batch_no = r.batch_no)
    WHERE status IS NULL AND batch_no IN (SELECT batch_no FROM contact_outcomes_batches WHERE status = 'open');
    UPDATE contact_outcomes_batches SET body = NULL WHERE status = 'open' AND body IS NOT NULL;

If the record is there::

    UPDATE contact_outcomes_records
    SET status = 'succeeded', destination_record_id = '...', error_code = NULL, error_field = NULL,
        status_message = NULL, errors = NULL, record_payload = NULL, settled_by = '...', settled_at = CURRENT_TIMESTAMP
    WHERE sync_no = (SELECT sync_no FROM contact_outcomes_syncs WHERE sync_id = '...')
      AND record_identifier = '...' AND status IN ('unknown', 'sending');

If it is not, the last statement is this one, and the next run sends the record::

    UPDATE contact_outcomes_records
    SET status = 'failed', error_code = 'settled_by_hand', settled_by = '...', settled_at = CURRENT_TIMESTAMP
    WHERE sync_no = (SELECT sync_no FROM contact_outcomes_syncs WHERE sync_id = '...')
      AND record_identifier = '...' AND status IN ('unknown', 'sending');

Keys compare byte for byte: SQLite does by default, PostgreSQL with collation ``C``; on MySQL and MariaDB a binary
collation without padding does, which the two call by different names. All times are UTC; on MySQL and MariaDB write
``UTC_TIMESTAMP(6)`` for ``CURRENT_TIMESTAMP``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

# This module is imported only by what uses a table.
from sqlalchemy import (  # noqa: TID253  # see above
    BigInteger,
    Column,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql, postgresql  # noqa: TID253  # see above
from sqlalchemy.types import TypeEngine, UserDefinedType  # noqa: TID253  # see above

from airflow_provider_contacts.ledgers.run_identity import RUN_LENGTH, SYNC_LENGTH
from airflow_provider_contacts.ledgers.table_names import names
from airflow_provider_contacts.vendor_kit.sanitize import NAME_LENGTH

Flavour = Literal["sqlite", "postgresql", "mysql", "mariadb"]
FLAVOURS: tuple[Flavour, ...] = get_args(Flavour)

COUNTERS = (
    *("num_planned", "num_succeeded", "num_rejected", "num_invalid", "num_failed", "num_unknown", "num_skipped"),
    *("num_duplicate", "num_changed", "num_held", "num_undelivered", "num_delivered", "num_requests"),
)

# MySQL 8.0.17 and newer, MariaDB 10.2 and newer. ``utf8mb4_bin`` would pad: it takes "a" and "a " for one key.
COLLATIONS = {"mysql": "utf8mb4_0900_bin", "mariadb": "utf8mb4_nopad_bin"}


class NamedType(UserDefinedType[str]):
    """A text under the database's own name for its type."""

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

    def number(self) -> TypeEngine[int]:
        """Return the type of keys that are numbers; on SQLite the one that is the row's own number."""
        return Integer() if self.flavour == "sqlite" else BigInteger()

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
        """Return a JSON document; MySQL's own type would rewrite what was sent."""
        return NamedType({"sqlite": "TEXT", "postgresql": "JSON"}.get(self.flavour, "LONGTEXT"))

    def text(self) -> TypeEngine[str]:
        """Return a text of any length."""
        return NamedType("LONGTEXT" if self.flavour in COLLATIONS else "TEXT")

    def counted(self, name: str) -> Column[Any]:
        """Return a key that the database counts up."""
        identity = [Identity()] if self.flavour == "postgresql" else []
        return Column(name, self.number(), *identity, primary_key=True)


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one ledger.

    :param outcomes: name of the view, as a statement names it.
    """

    flavour: Flavour
    schema: str | None
    outcomes: str
    syncs: Table
    runs: Table
    batches: Table
    records: Table

    @property
    def every(self) -> tuple[Table, ...]:
        """The tables in the order in which they are made."""
        return self.syncs, self.runs, self.batches, self.records


def build(table: str, flavour: Flavour) -> Tables:
    """Return the tables behind a view's name, for one kind of database.

    :param table: ``name`` or ``schema.name`` of the view.
    :raises ConfigError: for another name.
    """
    schema, name = names(table)
    types = Types(flavour)
    metadata = MetaData(schema=schema)
    options: dict[str, Any] = {}
    if flavour in COLLATIONS:
        options = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": COLLATIONS[flavour]}
    batches = Table(f"{name}_batches", metadata, *batch_columns(types), **options)
    records = Table(f"{name}_records", metadata, *record_columns(types), **options)
    Index(f"{name}_batches_ix", batches.c.run_no)
    Index(f"{name}_records_ix", records.c.batch_no)
    return Tables(
        flavour=flavour,
        schema=schema,
        outcomes=name,
        syncs=Table(f"{name}_syncs", metadata, *sync_columns(types), **options),
        runs=Table(f"{name}_runs", metadata, *run_columns(types), **options),
        batches=batches,
        records=records,
    )


def sync_columns(types: Types) -> list[Any]:
    """Return the columns of the table of syncs."""
    return [
        types.counted("sync_no"),
        Column("sync_id", types.key(SYNC_LENGTH), nullable=False, unique=True),
        Column("destination", String(64), nullable=False),
        Column("destination_host", String(NAME_LENGTH), nullable=False),
        Column("destination_object", String(NAME_LENGTH)),
    ]


def run_columns(types: Types) -> list[Any]:
    """Return the columns of the table of runs; ``token`` tells the newest execution of a run."""
    return [
        types.counted("run_no"),
        Column("sync_id", types.key(SYNC_LENGTH), nullable=False),
        Column("sync_no", types.number()),
        Column("sync_run_id", types.key(RUN_LENGTH), nullable=False),
        Column("try_number", Integer, nullable=False),
        Column("token", String(16), nullable=False),
        *columns(String(NAME_LENGTH), "dag_id", "run_id", "task_id"),
        Column("map_index", Integer),
        Column("region", String(NAME_LENGTH)),
        Column("status", String(16)),
        Column("status_message", types.text()),
        *columns(BigInteger, *COUNTERS, "num_total"),
        *columns(types.moment(), "started_at", "updated_at", "completed_at"),
        UniqueConstraint("sync_run_id", "try_number"),
    ]


def batch_columns(types: Types) -> list[Any]:
    """Return the columns of the table of batches."""
    return [
        Column("batch_no", types.number(), primary_key=True, autoincrement=False),
        Column("run_no", types.number(), nullable=False),
        Column("status", String(16), nullable=False),
        Column("http_status", Integer),
        *columns(types.moment(), "batch_started_at", "batch_completed_at"),
        *columns(types.text(), "ids", "body"),
    ]


def record_columns(types: Types) -> list[Any]:
    """Return the columns of the table of records."""
    return [
        Column("sync_no", types.number(), primary_key=True, autoincrement=False),
        Column("record_identifier", types.key(NAME_LENGTH), primary_key=True),
        Column("batch_no", types.number(), nullable=False),
        Column("place", Integer),
        Column("row_index", BigInteger),
        Column("attempts", Integer, nullable=False),
        Column("payload_hash", String(NAME_LENGTH)),
        Column("status", String(16)),
        *columns(String(NAME_LENGTH), "destination_record_id", "error_code", "error_field"),
        Column("status_message", types.text()),
        *columns(types.json(), "errors", "record_payload"),
        Column("settled_by", String(NAME_LENGTH)),
        Column("settled_at", types.moment()),
    ]


def columns(kind: Any, *names: str) -> list[Column[Any]]:
    """Return nullable columns of one type."""
    return [Column(name, kind) for name in names]
