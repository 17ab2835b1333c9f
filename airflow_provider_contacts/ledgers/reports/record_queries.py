"""Questions about records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.ledgers.reports.reading_rows import (
    cursor_of,
    in_scope,
    numbers_of,
    record_columns,
    record_of,
    record_tables,
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
from airflow_provider_contacts.ledgers.sql.settlement import DIGEST
from airflow_provider_contacts.ledgers.sql.tables import COLLATIONS, Flavour, Tables
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.forgotten import forgotten_as
from airflow_provider_contacts.records.keys import stored

SUCCEEDED, SENDING = OF_BATCHES = Status.SUCCEEDED.value, Status.SENDING.value  # what a record can have from its batch
MANY = 30_000
# For the transaction. A run that is being pushed has grown since its table was analysed: PostgreSQL then takes it for
# small, and joins and sorts all of its rows for the first fifty.
BY_INDEX = sa.text(
    "SELECT set_config(name, 'off', true) FROM (VALUES ('enable_seqscan'), ('enable_bitmapscan'), ('enable_hashjoin'), "
    "('enable_mergejoin')) "
    "AS settings (name)"
)
MOST_ROWS = 200  # of one record
CHUNK = 1000  # rows that are fetched at once where all of them are read


class RecordQueries:
    """Questions about the records of a scope."""

    def __init__(self, connection: sa.Connection, tables: Tables, scope: Scope) -> None:
        self._connection = connection
        self._tables = tables
        self._scope = scope
        self._sides = r, _, b, _ = Sides.of(tables)
        self._with_batch = b.join(r, r.c.batch_no == b.c.batch_no)

    def page(self, sync_run_id: str, which: RowFilter, after: str | None, limit: int) -> Page[RecordRow]:
        """Return rows of a run, in the order in which their requests were made."""
        numbers = numbers_of(after, 3) or (0, 0, 0)
        rows = list[sa.Row[Any]]()
        for run in self._runs_of(sync_run_id):
            if run.run_no >= numbers[0] and len(rows) <= limit:
                behind = numbers[1:] if run.run_no == numbers[0] else None
                rows += self._first_rows(run, which, behind, limit + 1 - len(rows))
        last = rows[limit - 1] if len(rows) > limit else None
        rest = None if last is None else cursor_of(last.run_no, last.batch_no, last.place)
        return Page(tuple(record_of(row) for row in rows[:limit]), rest)

    def _first_rows(
        self, run: Any, which: RowFilter, behind: tuple[int, ...] | None, limit: int
    ) -> Sequence[sa.Row[Any]]:
        """Return the first rows of a try, or those behind a batch and place.

        Where the last of them is, is asked first: no database then sorts more than a few batches.
        """
        r, _, b, _ = (side.c for side in self._sides)
        wanted = wanted_rows(self._sides, which)
        if behind is not None:
            wanted += [b.batch_no >= behind[0], sa.or_(b.batch_no > behind[0], r.place > behind[1])]
        query = sa.select(b.batch_no)
        if which == RowFilter() or which.status in OF_BATCHES or not self._reads_all(run.num_planned):
            query = self._in_order(query.select_from(self._with_batch))
            if self._tables.flavour == "postgresql":
                self._connection.execute(BY_INDEX)
        else:
            query = self._without_index(query).order_by(b.batch_no)
        query = query.where(b.run_no == run.run_no, *wanted).limit(limit)
        found = self._connection.execute(query).scalars().all()
        if not found:
            return []
        few = (b.batch_no.between(found[0], found[-1]), r.batch_no.between(found[0], found[-1]))
        query = sa.select(*record_columns(self._tables, self._sides)).select_from(record_tables(self._sides))
        query = query.where(b.run_no == run.run_no, *few, *wanted).order_by(b.batch_no, r.place).limit(limit)
        return self._connection.execute(query).all()

    def each(self, sync_run_id: str, which: RowFilter) -> Iterator[RecordRow]:
        """Yield all rows of a run in that order, some at a time."""
        _, s, b, u = self._sides
        whole = self._with_batch.join(u, u.c.run_no == b.c.run_no).join(s, s.c.sync_no == self._sides.r.c.sync_no)
        options = {"stream_results": True, "yield_per": CHUNK}
        for run in self._runs_of(sync_run_id):
            query = self._in_order(sa.select(*record_columns(self._tables, self._sides)).select_from(whole))
            query = query.where(b.c.run_no == run.run_no, *wanted_rows(self._sides, which))
            if self._tables.flavour in COLLATIONS:  # else small tables are joined by a buffer, which loses the order
                query = query.with_hint(u, "FORCE INDEX (PRIMARY)").with_hint(s, "FORCE INDEX (PRIMARY)")
            with self._connection.execute(query, execution_options=options) as rows:
                for _, of_batch in groupby(rows, attrgetter("batch_no")):
                    yield from map(record_of, sorted(of_batch, key=attrgetter("place")))

    def _runs_of(self, sync_run_id: str) -> Sequence[Any]:
        """Return number and size of the tries of a run, in their order."""
        runs = self._tables.runs.c
        query = sa.select(runs.run_no, runs.num_planned).where(runs.sync_run_id == sync_run_id)
        return self._connection.execute(query.where(in_scope(self._scope, runs.dag_id)).order_by(runs.run_no)).all()

    def _in_order(self, query: sa.Select[Any]) -> sa.Select[Any]:
        """Return a query about the records of a try by batch, for which an index has the order."""
        if self._tables.flavour in COLLATIONS:  # which would begin with the records, or without the index, and sort
            index = f"FORCE INDEX ({self._tables.outcomes}_batches_ix)"
            query = query.prefix_with("STRAIGHT_JOIN").with_hint(self._sides.b, index)
        return query.order_by(self._sides.b.c.batch_no)

    def _reads_all(self, num_planned: int | None) -> bool:
        """Tell whether a look at each record of a run is faster over the whole table (InnoDB)."""
        return self._tables.flavour in COLLATIONS and (num_planned or 0) > MANY

    def _without_index(self, query: sa.Select[Any]) -> sa.Select[Any]:
        _, _, b, _ = self._sides
        r = self._sides.r
        joined = r.join(b, b.c.batch_no == r.c.batch_no)
        return query.select_from(joined).with_hint(r, f"IGNORE INDEX ({self._tables.outcomes}_records_ix)")

    def facts(self, run: RunRow, newest: RunRow) -> RowsOfRun:
        """Count the rows of a run, and what it counts without one; ``newest`` is its newest try with counters."""
        counted = newest.counters
        codes = self._codes(run.sync_run_id, counted.get("num_planned"))
        num_rows = sum(one.count for one in codes)
        kinds = ("num_delivered", "num_rejected", "num_invalid", "num_failed", "num_unknown")
        written = sum(counted.get(kind, 0) for kind in kinds) - counted.get("num_held", 0)
        without = max(0, counted.get("num_planned", 0) - written)
        missing = max(0, written - num_rows)
        taken = missing if missing and self._followed(newest) else 0
        return RowsOfRun(
            codes=codes, num_rows=num_rows, num_taken_over=taken, num_without_row=without + missing - taken
        )

    def _codes(self, sync_run_id: str, num_planned: int | None) -> tuple[CodeCount, ...]:
        """Count rows by status and code.

        PostgreSQL reads all of them at once. Elsewhere they are counted by the index, and only those that did not
        simply succeed are looked at.
        """
        r, _, b, _ = (side.c for side in self._sides)
        number, of_runs = sa.func.count(), b.run_no.in_([run.run_no for run in self._runs_of(sync_run_id)])
        every = sa.select(number).select_from(self._with_batch).where(of_runs)
        words = (b.status, r.status, r.error_code, r.error_field)
        query = sa.select(*words, number).where(of_runs).group_by(*words)
        query = self._without_index(query) if self._reads_all(num_planned) else query.select_from(self._with_batch)
        at_once = self._tables.flavour == "postgresql"
        found = Counter[tuple[str, str | None, str | None]]()
        rows = self._connection.execute(query if at_once else query.where(r.status != SUCCEEDED))
        for of_batch, status, code, field, count in rows:
            found[(of_batch, None, None) if status is None else (status, code, field)] += count
        if not at_once:
            sending = every.where(b.status == SENDING, r.status.is_(None))
            found[SENDING, None, None] += self._connection.execute(sending).scalar_one()
            found[SUCCEEDED, None, None] += self._connection.execute(every).scalar_one() - found.total()
        return tuple(CodeCount(*words, count) for words, count in found.most_common() if count)

    def record(self, name: str) -> list[RecordRow]:
        """Return the rows of a key, else those of a digest: what is not delivered, then the rest, newest first.

        Those of a forgotten person are found by the key, and by the digest no more.
        """
        syncs, key = self._tables.syncs.c, stored(name)
        query = sa.select(syncs.forget_key).where(syncs.forget_key.is_not(None))
        kept = [forgotten_as(secret, key) for secret in self._connection.execute(query).scalars()]
        found = self._of_keys([key, *kept])
        if not found and DIGEST.fullmatch(name):
            found = self._of_keys(self._keys(name.lower()))
        return sorted(found, key=lambda row: row.status == SUCCEEDED)

    def _of_keys(self, keys: Sequence[str]) -> list[RecordRow]:
        r, _, b, u = (side.c for side in self._sides)
        query = (
            sa.select(*record_columns(self._tables, self._sides))
            .select_from(record_tables(self._sides))
            # By number, so that SQLite finds each in the primary key too.
            .where(r.sync_no.in_(sa.select(self._tables.syncs.c.sync_no)), r.record_identifier.in_(keys))
            .where(in_scope(self._scope, u.dag_id))
            .order_by(
                sa.func.coalesce(r.settled_at, b.batch_completed_at, b.batch_started_at).desc(), b.batch_no.desc()
            )
            .limit(MOST_ROWS)
        )
        return [record_of(row) for row in self._connection.execute(query)] if keys else []

    def _keys(self, digits: str) -> Sequence[str]:
        """Return the keys with a digest: all keys of the ``sync_id``s under which the scope has pushed are tried."""
        r, runs, syncs = self._tables.records.c, self._tables.runs.c, self._tables.syncs.c
        query = sa.select(r.record_identifier).where(has_digest(r.record_identifier, digits, self._tables.flavour))
        if self._scope.dag_ids is not None:
            pushed = sa.select(runs.sync_id).where(in_scope(self._scope, runs.dag_id))
            numbers = sa.select(syncs.sync_no).where(syncs.sync_id.in_(pushed))
            # As numbers, by which a planner sees how many rows it will be.
            query = query.where(r.sync_no.in_(self._connection.execute(numbers).scalars().all()))
        return sorted(set(self._connection.execute(query.limit(MOST_ROWS)).scalars()))

    def _followed(self, run: RunRow) -> bool:
        """Tell whether another run of the ``sync_id`` has gone on since, and so may have taken over rows."""
        runs = self._tables.runs.c
        started = sa.select(runs.started_at).where(runs.run_no == run.run_no).scalar_subquery()
        others = (runs.sync_id == run.sync_id, runs.sync_run_id != run.sync_run_id, runs.updated_at >= started)
        query = sa.select(sa.literal(1)).where(*others).limit(1)
        return self._connection.execute(query).first() is not None


def wanted_rows(sides: Sides, which: RowFilter) -> list[sa.ColumnElement[bool]]:
    """Return the conditions of a filter."""
    r, b = sides.r.c, sides.b.c
    wanted = list[sa.ColumnElement[bool]]()
    if which.status in OF_BATCHES:
        wanted.append(sa.or_(r.status == which.status, sa.and_(r.status.is_(None), b.status == which.status)))
    elif which.status is not None:
        wanted.append(r.status == which.status)
    if which.error_code is not None:
        wanted += [r.status.is_not(None), r.error_code == which.error_code]
    return wanted


def has_digest(identifier: sa.ColumnElement[str], digits: str, flavour: Flavour) -> sa.ColumnElement[bool]:
    """Return whether an identifier has a digest, as ``outcome.digest_of`` makes it."""
    match flavour:
        case "sqlite":
            return sa.func.has_digest(identifier, bytes.fromhex(digits))
        case "postgresql":
            whole = sa.func.sha256(sa.func.convert_to(identifier, "UTF8"))
            return sa.func.substring(whole, 1, len(digits) // 2) == bytes.fromhex(digits)
        case "mysql" | "mariadb":
            return sa.func.left(sa.func.sha2(identifier, 256), len(digits)) == digits
