"""The parts that all queries share: the scope, cursors, moments, and rows as values."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.ledgers.reports.shapes import RecordRow, RunRow, Scope
from airflow_provider_contacts.ledgers.sql.ddl import Sides, view_columns
from airflow_provider_contacts.ledgers.sql.lookups import parsed
from airflow_provider_contacts.ledgers.sql.selection import reasons_of
from airflow_provider_contacts.ledgers.sql.tables import COUNTERS, Tables
from airflow_provider_contacts.outcome import RecordError, digest_of

NUMBERS = (*COUNTERS, "num_total")
MOMENTS = ("started_at", "updated_at", "completed_at", "batch_started_at", "batch_completed_at", "settled_at")
PLACE = ("destination", "destination_host", "destination_object")

CURSOR = re.compile(r"[0-9]{1,19}(?:-[0-9]{1,19}){0,2}")


def in_scope(scope: Scope, dag_id: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Return whether the rows of a DAG may be seen."""
    return sa.true() if scope.dag_ids is None else dag_id.in_(sorted(scope.dag_ids))


def cursor_of(*numbers: int) -> str:
    """Return a cursor: numbers of rows alone, for it becomes part of a URL."""
    return "-".join(map(str, numbers))


def numbers_of(cursor: str | None, size: int) -> tuple[int, ...] | None:
    """Return the numbers of a cursor; ``None`` for none, and for one that is not ours: then reading begins anew."""
    if cursor is None or not CURSOR.fullmatch(cursor):
        return None
    numbers = tuple(map(int, cursor.split("-")))
    return numbers if len(numbers) == size and max(numbers) < 2**63 else None


def moment_of(value: datetime | str | None) -> datetime | None:
    """Return a stored moment, which is in UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if value is None or value.tzinfo is not None:
        return value and value.astimezone(UTC)
    return value.replace(tzinfo=UTC)


def values_of(row: sa.Row[Any]) -> dict[str, Any]:
    """Return the values of a row by their columns, moments as such."""
    return {name: moment_of(value) if name in MOMENTS else value for name, value in row._asdict().items()}


def run_columns(tables: Tables) -> list[sa.ColumnElement[Any]]:
    """Return the columns of :func:`run_of`."""
    unwanted = {"sync_no", "token"}
    own = [column for column in tables.runs.c if column.name not in unwanted]
    return [*own, *(tables.syncs.c[name] for name in PLACE)]


def runs_with_place(tables: Tables) -> sa.FromClause:
    """Return runs, each with its destination where it is known.

    By ``sync_id``: the number is written by the first of the runs that begin together.
    """
    return tables.runs.outerjoin(tables.syncs, tables.syncs.c.sync_id == tables.runs.c.sync_id)


def run_of(row: sa.Row[Any]) -> RunRow:
    """Return a row of :func:`run_columns` as a value."""
    values = values_of(row)
    counters = {name: int(number) for name in NUMBERS if (number := values.pop(name)) is not None}
    return RunRow(**values, counters=counters)


def record_columns(tables: Tables, sides: Sides) -> list[sa.ColumnElement[Any]]:
    """Return the columns of :func:`record_of`: the view's, and the numbers by which rows are ordered."""
    columns = view_columns(tables, sides)
    if tables.flavour == "postgresql":  # as text: drivers read JSON each in its own way
        columns |= {name: sa.cast(columns[name], sa.Text) for name in ("errors", "record_payload")}
    labelled = [one.label(name) for name, one in columns.items()]
    return [*labelled, sides.u.c.run_no, sides.b.c.batch_no, sides.r.c.place]


def record_tables(sides: Sides) -> sa.FromClause:
    """Return records, each with its batch, and its run and ``sync_id`` where they are there."""
    r, s, b, u = sides
    with_batch = r.join(b, b.c.batch_no == r.c.batch_no)
    return with_batch.outerjoin(u, u.c.run_no == b.c.run_no).outerjoin(s, s.c.sync_no == r.c.sync_no)


def record_of(row: sa.Row[Any]) -> RecordRow:
    """Return a row of :func:`record_columns` as a value."""
    values = values_of(row)
    del values["batch_no"], values["place"]
    values["errors"] = errors_of(values["errors"])
    return RecordRow(**values, digest=digest_of(values["record_identifier"]))


def errors_of(stored: str | None) -> tuple[RecordError, ...]:
    """Return the reasons that a row names."""
    return tuple(RecordError(code, text(field), text(message)) for code, field, message in reasons_of(parsed(stored)))


def text(value: Any) -> str | None:
    """Return what a person may have written by hand as a text."""
    return None if value is None else str(value)
