"""The DDL of the outcome table, its tables and its view, as text that a person can run."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, cast

import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what uses a table
from sqlalchemy.dialects import mysql, postgresql, sqlite  # noqa: TID253  # likewise
from sqlalchemy.schema import CreateIndex, CreateTable  # noqa: TID253  # likewise

from airflow_provider_contacts.ledgers.sql.expressions import own, payload_of, record_id_of, status_of
from airflow_provider_contacts.ledgers.sql.tables import COLLATIONS, Flavour, Tables

# Batches and records are written twice. With room beside a row, PostgreSQL writes it there again, and no index.
ROOM = " WITH (fillfactor = 60)"


def dialect_of(flavour: Flavour) -> sa.Dialect:
    """Return a dialect that can print DDL without a connection."""
    dialects = {"sqlite": sqlite.dialect, "postgresql": postgresql.dialect}
    return cast("sa.Dialect", dialects.get(flavour, mysql.dialect)())


def ddl(tables: Tables) -> str:
    """Return the statements that create the tables and the view, each ended by a semicolon.

    :param tables: the outcome table under its name, for one of ``sqlite``, ``postgresql``, ``mysql`` and ``mariadb``.
    """
    statements = [one for table in tables.every for one in create_table(tables, table)]
    return "".join(f"{statement};\n\n" for statement in (*statements, create_view(tables)))


def create_table(tables: Tables, table: sa.Table) -> list[str]:
    """Return the statements that create one table and its index."""
    dialect = dialect_of(tables.flavour)
    text = str(CreateTable(table).compile(dialect=dialect)).strip()
    text = re.sub(r"\)\s*ENGINE", ") ENGINE", re.sub(r" +\n", "\n", text)).replace("\t", "    ")
    if tables.flavour == "postgresql" and table in {tables.batches, tables.records}:
        text += ROOM
    return [text, *(str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes)]


def create_view(tables: Tables) -> str:
    """Return the statement that creates the view; on MySQL and MariaDB it checks the rights of its reader."""
    dialect = dialect_of(tables.flavour)
    quoted = dialect.identifier_preparer
    security = " SQL SECURITY INVOKER" if tables.flavour in COLLATIONS else ""
    columns = ",\n".join(
        f"    {one.compile(dialect=dialect, compile_kwargs={'literal_binds': True})} AS {name}"
        for name, one in view_columns(tables).items()
    )

    def named(table: sa.Table) -> str:
        # SQLite's views see their own file alone, under whatever name it is attached.
        return quoted.quote(table.name) if tables.flavour == "sqlite" else quoted.format_table(table)

    return (
        f"CREATE{security} VIEW {view_name(tables)} AS\nSELECT\n{columns}\n"
        f"FROM {named(tables.records)} AS r\n"
        f"LEFT JOIN {named(tables.syncs)} AS s ON s.sync_no = r.sync_no\n"
        f"LEFT JOIN {named(tables.batches)} AS b ON b.batch_no = r.batch_no\n"
        f"LEFT JOIN {named(tables.runs)} AS u ON u.run_no = b.run_no"
    )


def view_name(tables: Tables) -> str:
    """Return the view's name as a statement writes it."""
    quoted = dialect_of(tables.flavour).identifier_preparer
    name = quoted.quote(tables.outcomes)
    return f"{quoted.quote_schema(tables.schema)}.{name}" if tables.schema else name


class Sides(NamedTuple):
    """The tables by the names that the view gives them: records, syncs, batches, runs."""

    r: sa.FromClause
    s: sa.FromClause
    b: sa.FromClause
    u: sa.FromClause

    @classmethod
    def of(cls, tables: Tables) -> Sides:
        """Name the tables."""
        sides = (tables.records.alias("r"), tables.syncs.alias("s"), tables.batches.alias("b"), tables.runs.alias("u"))
        return cls(*sides)


def view_columns(tables: Tables, sides: Sides | None = None) -> dict[str, sa.ColumnElement[Any]]:
    """Return the view's columns in their order; new ones come last.

    A record without a status of its own has its batch's, and no word of an earlier status.
    """
    r, s, b, u = (side.c for side in sides or Sides.of(tables))
    completed = sa.case((sa.or_(r.status.is_(None), r.settled_at.is_(None)), b.batch_completed_at), else_=r.settled_at)
    by_hand = sa.and_(r.status.is_not(None), r.settled_by.is_not(None))
    return {
        "sync_id": s.sync_id,
        "record_identifier": r.record_identifier,
        **{name: s[name] for name in ("destination", "destination_host", "destination_object")},
        "status": status_of(r, b),
        "destination_record_id": record_id_of(r, b, tables.flavour),
        **{name: own(r, name) for name in ("error_code", "error_field", "status_message", "errors")},
        "http_status": b.http_status,
        **{name: r[name] for name in ("attempts", "payload_hash")},
        "record_payload": payload_of(r, b, tables.flavour),
        "row_index": r.row_index,
        "batch_id": batch_id(r.batch_no, tables.flavour),
        **{name: u[name] for name in ("sync_run_id", "dag_id", "run_id", "task_id", "map_index", "try_number")},
        "batch_started_at": b.batch_started_at,
        "batch_completed_at": completed,
        "settled_by": own(r, "settled_by"),
        "settled_at": sa.case((by_hand, r.settled_at)),
    }


def batch_id(number: sa.ColumnElement[Any], flavour: Flavour) -> sa.ColumnElement[Any]:
    """Return a batch's number in hexadecimal digits."""
    match flavour:
        case "sqlite":
            return sa.func.printf("%016x", number)
        case "postgresql":
            return sa.func.to_hex(number)
        case "mysql" | "mariadb":
            return sa.func.lower(sa.func.hex(number))
