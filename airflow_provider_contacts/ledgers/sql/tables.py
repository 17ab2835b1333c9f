"""The four tables of the ledger and the view over them, as SQLAlchemy knows them; ``ddl`` prints them.

``<t>`` is the name that ``outcomes_table`` gives, and the view's own::

    <t>_syncs    one row a sync_id: the one destination whose records it remembers
    <t>_runs     one row a try of a run: its counters, and the newest execution's token
    <t>_batches  one row a request, or a group of records that were never sent
    <t>_records  one row a record and sync_id: the batch that it belongs to, and what became of it

What is true of a whole batch is written once. A batch is ``sending``, ``succeeded`` or ``open``. A record's status is
its own, else its batch's; in an ``open`` batch every record has its own.

``SettleContactsOperator`` writes a person's verdict on a record in doubt; ``docs/outcomes.md`` shows the same in SQL.

Keys compare byte for byte: SQLite does by default, PostgreSQL with collation ``C``; on MySQL and MariaDB a binary
collation without padding does, which the two call by different names. All times are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

# This module is imported only by what uses a table.
import sqlalchemy as sa  # noqa: TID253  # see above
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


class PlainJson(UserDefinedType[str]):
    """PostgreSQL's JSON as the text that it is; JSONB would rewrite what was sent."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the type's name."""
        return "JSON"


# On SQLite a key of this type is the row's own number.
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(mysql.LONGTEXT(), *COLLATIONS)
DOCUMENT = TEXT.with_variant(PlainJson(), "postgresql")
MOMENT = (
    sa.Text()
    .with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
    .with_variant(mysql.DATETIME(fsp=6), *COLLATIONS)
)


def key(length: int) -> TypeEngine[str]:
    """Return a text that compares byte for byte."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def counted(name: str) -> sa.Column[Any]:
    """Return a key that the database counts up."""
    return sa.Column(name, NUMBER, sa.Identity(), primary_key=True)


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one ledger.

    :param outcomes: name of the view, as a statement names it.
    """

    flavour: Flavour
    schema: str | None
    outcomes: str
    syncs: sa.Table
    runs: sa.Table
    batches: sa.Table
    records: sa.Table

    @property
    def every(self) -> tuple[sa.Table, ...]:
        """The tables in the order in which they are made."""
        return self.syncs, self.runs, self.batches, self.records


def build(table: str, flavour: Flavour) -> Tables:
    """Return the tables behind a view's name, for one kind of database.

    :param table: ``name`` or ``schema.name`` of the view.
    :raises ConfigError: for another name.
    """
    schema, name = names(table)
    metadata = sa.MetaData(schema=schema)
    options: dict[str, Any] = {}
    if flavour in COLLATIONS:
        options = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": COLLATIONS[flavour]}
    found = Tables(
        flavour=flavour,
        schema=schema,
        outcomes=name,
        syncs=sa.Table(f"{name}_syncs", metadata, *sync_columns(), **options),
        runs=sa.Table(f"{name}_runs", metadata, *run_columns(), **options),
        batches=sa.Table(f"{name}_batches", metadata, *batch_columns(), **options),
        records=sa.Table(f"{name}_records", metadata, *record_columns(), **options),
    )
    sa.Index(f"{name}_batches_ix", found.batches.c.run_no)
    sa.Index(f"{name}_records_ix", found.records.c.batch_no)
    return found


def sync_columns() -> list[Any]:
    """Return the columns of the table of syncs; the last two are null until somebody is forgotten."""
    return [
        counted("sync_no"),
        sa.Column("sync_id", key(SYNC_LENGTH), nullable=False, unique=True),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("destination_host", sa.String(NAME_LENGTH), nullable=False),
        sa.Column("destination_object", sa.String(NAME_LENGTH)),
        sa.Column("forget_key", sa.String(32)),
        sa.Column("num_forgets", sa.Integer),
    ]


def run_columns() -> list[Any]:
    """Return the columns of the table of runs; ``token`` tells the newest execution of a run."""
    return [
        counted("run_no"),
        sa.Column("sync_id", key(SYNC_LENGTH), nullable=False),
        sa.Column("sync_no", NUMBER),
        sa.Column("sync_run_id", key(RUN_LENGTH), nullable=False),
        sa.Column("try_number", sa.Integer, nullable=False),
        sa.Column("token", sa.String(16), nullable=False),
        *columns(sa.String(NAME_LENGTH), "dag_id", "run_id", "task_id"),
        sa.Column("map_index", sa.Integer),
        sa.Column("region", sa.String(NAME_LENGTH)),
        sa.Column("status", sa.String(16)),
        sa.Column("status_message", TEXT),
        *columns(sa.BigInteger, *COUNTERS, "num_total"),
        *columns(MOMENT, "started_at", "updated_at", "completed_at"),
        sa.UniqueConstraint("sync_run_id", "try_number"),
    ]


def batch_columns() -> list[Any]:
    """Return the columns of the table of batches."""
    return [
        sa.Column("batch_no", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("run_no", NUMBER, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("http_status", sa.Integer),
        *columns(MOMENT, "batch_started_at", "batch_completed_at"),
        # By place; JSON but for PostgreSQL, which reads one of an array much faster.
        sa.Column("ids", TEXT.with_variant(postgresql.ARRAY(sa.Text()), "postgresql")),
        sa.Column("body", TEXT),
    ]


def record_columns() -> list[Any]:
    """Return the columns of the table of records."""
    return [
        sa.Column("sync_no", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("record_identifier", key(NAME_LENGTH), primary_key=True),
        sa.Column("batch_no", NUMBER, nullable=False),
        sa.Column("place", sa.Integer),
        sa.Column("row_index", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("payload_hash", sa.String(NAME_LENGTH)),
        sa.Column("status", sa.String(16)),
        *columns(sa.String(NAME_LENGTH), "destination_record_id", "error_code", "error_field"),
        sa.Column("status_message", TEXT),
        *columns(DOCUMENT, "errors", "record_payload"),
        sa.Column("settled_by", sa.String(NAME_LENGTH)),
        sa.Column("settled_at", MOMENT),
    ]


def columns(kind: Any, *names: str) -> list[sa.Column[Any]]:
    """Return nullable columns of one type."""
    return [sa.Column(name, kind) for name in names]
