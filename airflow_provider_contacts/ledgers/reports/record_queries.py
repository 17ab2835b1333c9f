"""Questions about records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.ledgers.reports.reading_rows import (
    cursor_of,
    in_scope,
    numbers_of,
    record_columns,
    record_of,
)
from airflow_provider_contacts.ledgers.reports.shapes import (
    CodeCount,
    Page,
    RecordRow,
    RowFilter,
    RowsOfRun,
    RunRow,
    Scope,
)
from airflow_provider_contacts.ledgers.sql.ddl import Sides
from airflow_provider_contacts.ledgers.sql.expressions import own, status_of
from airflow_provider_contacts.ledgers.sql.settlement import DIGEST
from airflow_provider_contacts.ledgers.sql.tables import Flavour, Tables

CHUNK = 1000  # rows that are fetched at once where all of them are read


class RecordQueries:
    """Questions about the records of a scope."""

    def __init__(self, connection: sa.Connection, tables: Tables, scope: Scope) -> None:
        self._connection = connection
        self._tables = tables
        self._scope = scope
        self._sides = Sides.of(tables)
        self._status = status_of(self._sides.r.c, self._sides.b.c)

    def page(self, sync_run_id: str, which: RowFilter, after: str | None, limit: int) -> Page[RecordRow]:
        """Return rows of a run, in the order in which their requests were made."""
        r, _, b, _ = (side.c for side in self._sides)
        query = self._of_run(sync_run_id, which)
        if (numbers := numbers_of(after, 2)) is not None:
            batch_no, place = numbers
            query = query.where(b.batch_no >= batch_no, sa.or_(b.batch_no > batch_no, r.place > place))
        return self._page(query.order_by(b.batch_no, r.place), limit)

    def each(self, sync_run_id: str, which: RowFilter) -> Iterator[RecordRow]:
        """Yield all rows of a run, some at a time."""
        r, _, b, _ = (side.c for side in self._sides)
        query = self._of_run(sync_run_id, which).order_by(b.batch_no, r.place)
        rows = self._connection.execute(query, execution_options={"stream_results": True, "yield_per": CHUNK})
        yield from map(record_of, rows.mappings())

    def facts(self, run: RunRow, newest: RunRow) -> RowsOfRun:
        """Count the rows of a run, and what it counts without one; ``newest`` is its newest try with counters."""
        r = self._sides.r.c
        words = [self._status, own(r, "error_code"), own(r, "error_field")]
        query = self._joined(sa.select(*words, sa.func.count()), run.sync_run_id).group_by(*words)
        codes = tuple(CodeCount(*row) for row in self._connection.execute(query.order_by(sa.func.count().desc())))
        num_rows = sum(one.count for one in codes)
        counted = newest.counters
        if not counted:
            return RowsOfRun(codes=codes, num_rows=num_rows, num_taken_over=0, num_without_row=0)
        kinds = ("num_delivered", "num_rejected", "num_invalid", "num_failed", "num_unknown")
        written = sum(counted.get(kind, 0) for kind in kinds) - counted.get("num_held", 0)
        without = max(0, counted.get("num_planned", 0) - written)
        missing = max(0, written - num_rows)
        if not self._followed(newest):
            return RowsOfRun(codes=codes, num_rows=num_rows, num_taken_over=0, num_without_row=without + missing)
        return RowsOfRun(codes=codes, num_rows=num_rows, num_taken_over=missing, num_without_row=without)

    def record(self, name: str, limit: int) -> list[RecordRow]:
        """Return the rows of a key, else those of a digest, newest first."""
        identifier = self._sides.r.c.record_identifier
        found = self._named(identifier == name, limit)
        if not found and DIGEST.fullmatch(name):
            found = self._named(digest(identifier, self._tables.flavour) == name.lower(), limit)
        return found

    def _named(self, condition: sa.ColumnElement[bool], limit: int) -> list[RecordRow]:
        r, _, b, _ = (side.c for side in self._sides)
        changed = sa.func.coalesce(r.settled_at, b.batch_completed_at, b.batch_started_at)
        query = self._rows().where(condition).order_by(changed.desc(), b.batch_no.desc()).limit(limit)
        return [record_of(row) for row in self._connection.execute(query).mappings()]

    def _followed(self, run: RunRow) -> bool:
        """Tell whether another run of the ``sync_id`` has gone on since, and so may have taken over rows."""
        runs = self._tables.runs.c
        started = sa.select(runs.started_at).where(runs.run_no == run.run_no).scalar_subquery()
        others = (runs.sync_id == run.sync_id, runs.sync_run_id != run.sync_run_id, runs.updated_at >= started)
        query = sa.select(sa.literal(1)).where(*others).limit(1)
        return self._connection.execute(query).first() is not None

    def _of_run(self, sync_run_id: str, which: RowFilter) -> sa.Select[Any]:
        query = self._joined(sa.select(*record_columns(self._tables, self._sides)), sync_run_id)
        if which.status is not None:
            query = query.where(self._status == which.status)
        if which.error_code is not None:
            query = query.where(own(self._sides.r.c, "error_code") == which.error_code)
        return query

    def _joined(self, query: sa.Select[Any], sync_run_id: str) -> sa.Select[Any]:
        r, s, b, u = self._sides
        joined = u.join(b, b.c.run_no == u.c.run_no).join(r, r.c.batch_no == b.c.batch_no)
        joined = joined.join(s, s.c.sync_no == r.c.sync_no)
        return query.select_from(joined).where(u.c.sync_run_id == sync_run_id, in_scope(self._scope, u.c.dag_id))

    def _rows(self) -> sa.Select[Any]:
        r, s, b, u = self._sides
        joined = s.join(r, r.c.sync_no == s.c.sync_no).outerjoin(b, b.c.batch_no == r.c.batch_no)
        query = sa.select(*record_columns(self._tables, self._sides))
        return query.select_from(joined.outerjoin(u, u.c.run_no == b.c.run_no)).where(in_scope(self._scope, u.c.dag_id))

    def _page(self, query: sa.Select[Any], limit: int) -> Page[RecordRow]:
        rows = self._connection.execute(query.limit(limit + 1)).mappings().all()
        last = rows[limit - 1] if len(rows) > limit else None
        rest = None if last is None else cursor_of(last["batch_no"], last["place"])
        return Page(tuple(map(record_of, rows[:limit])), rest)


def digest(identifier: sa.ColumnElement[str], flavour: Flavour) -> sa.ColumnElement[str]:
    """Return the twelve digits of an identifier, as ``outcome.digest_of`` makes them."""
    match flavour:
        case "sqlite":
            return sa.func.digest_of(identifier)
        case "postgresql":
            whole = sa.func.encode(sa.func.sha256(sa.func.convert_to(identifier, "UTF8")), "hex")
        case "mysql" | "mariadb":
            whole = sa.func.sha2(identifier, 256)
    return sa.func.substr(whole, 1, 12)
