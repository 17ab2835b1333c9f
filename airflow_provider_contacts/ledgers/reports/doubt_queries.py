"""Questions about what is in doubt: ``unknown``, and ``sending`` until its push or a later one settles it.

A batch that is ``sending`` or holds an ``unknown`` record is found first, and its records by it: that is one look at
the records' own statuses, and no join of those that are not in doubt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.ledgers.reports.reading_rows import (
    PLACE,
    cursor_of,
    in_scope,
    moment_of,
    numbers_of,
    record_columns,
    record_of,
    record_tables,
)
from airflow_provider_contacts.ledgers.reports.shapes import DoubtGroup, Page, RecordRow, Scope
from airflow_provider_contacts.ledgers.sql.ddl import Sides
from airflow_provider_contacts.ledgers.sql.expressions import SECONDS_OF_A_DAY, seconds_since, status_of
from airflow_provider_contacts.ledgers.sql.selection import moment
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.outcome import Status

UNKNOWN, SENDING = Status.UNKNOWN.value, Status.SENDING.value
AGES = {"hour": 3600.0, "day": SECONDS_OF_A_DAY, "week": 7 * SECONDS_OF_A_DAY}
OLDER = "older"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DoubtQueries:
    """Questions about the records of a scope that are in doubt."""

    def __init__(self, connection: sa.Connection, tables: Tables, scope: Scope) -> None:
        self._connection = connection
        self._tables = tables
        self._scope = scope
        self._sides = Sides.of(tables)

    def groups(self) -> list[DoubtGroup]:
        """Count them by ``sync_id``, most first."""
        _, s, b, u = self._sides
        some = self._by_batch()
        age, started = seconds_since(b.c.batch_started_at, self._tables.flavour), b.c.batch_started_at
        bucket = sa.case(*((age <= most, name) for name, most in AGES.items()), else_=OLDER)
        keys = (some.c.sync_no, u.c.dag_id, some.c.status, bucket)
        query = (
            sa.select(*keys, sa.func.sum(some.c.number), sa.func.min(started), sa.func.max(started))
            .select_from(some.join(b, b.c.batch_no == some.c.batch_no).outerjoin(u, u.c.run_no == b.c.run_no))
            .where(in_scope(self._scope, u.c.dag_id))
            .group_by(*keys)
        )
        parts: dict[int, list[Sequence[Any]]] = {}
        for sync_no, *rest in self._connection.execute(query):
            parts.setdefault(sync_no, []).append(rest)
        syncs = sa.select(s.c.sync_no, s.c.sync_id, *(s.c[name] for name in PLACE)).where(s.c.sync_no.in_(list(parts)))
        groups = [group_of(row, parts[row[0]]) for row in self._connection.execute(syncs)]
        return sorted(groups, key=lambda group: (-group.num_unknown - group.num_sending, group.sync_id))

    def page(self, sync_id: str, after: str | None, limit: int) -> Page[RecordRow]:
        """Return those of one ``sync_id``, those whose request is oldest first."""
        r, _, b, _ = (side.c for side in self._sides)
        numbers = numbers_of(after, 3)
        # Each has a row at least, but for the one that the last page may have ended with.
        batches = self._connection.execute(self._oldest(sync_id, numbers).limit(limit + 2)).scalars().all()
        query = (
            sa.select(*record_columns(self._tables, self._sides))
            .select_from(record_tables(self._sides))
            .where(b.batch_no.in_(batches), status_of(r, b).in_((UNKNOWN, SENDING)))
        )
        if numbers is not None:
            query = query.where(sa.or_(b.batch_no != numbers[1], r.place > numbers[2]))
        query = query.order_by(b.batch_started_at, b.batch_no, r.place).limit(limit + 1)
        rows = self._connection.execute(query).all() if batches else []
        items = tuple(map(record_of, rows[:limit]))
        if len(rows) <= limit:
            return Page(items, None)
        begun = (items[-1].batch_started_at or EPOCH) - EPOCH
        return Page(
            items, cursor_of(begun // timedelta(microseconds=1), rows[limit - 1].batch_no, rows[limit - 1].place)
        )

    def _oldest(self, sync_id: str, after: tuple[int, ...] | None) -> sa.Select[Any]:
        """Return the batches of a ``sync_id`` with records in doubt, the oldest first; ``after`` is a cursor."""
        r, s, b, u = (side.c for side in self._sides)
        of_sync = sa.select(s.sync_no).where(s.sync_id == sync_id).scalar_subquery()
        own = sa.select(r.batch_no).where(unindexed(r.sync_no) == of_sync, r.status.in_((UNKNOWN, SENDING)))
        # What was settled or sent again since leaves its batch as it was.
        left = sa.exists().where(r.batch_no == b.batch_no, r.status.is_(None))
        query = (
            sa.select(b.batch_no)
            .select_from(self._sides.b.join(self._sides.u, u.run_no == b.run_no))
            .where(u.sync_id == sync_id, in_scope(self._scope, u.dag_id))
            .where(sa.or_(sa.and_(b.status == SENDING, left), b.batch_no.in_(own)))
            .order_by(b.batch_started_at, b.batch_no)
        )
        if after is None:
            return query
        begun = moment(EPOCH + timedelta(microseconds=after[0]), self._tables.flavour)
        same = sa.and_(b.batch_started_at == begun, b.batch_no >= after[1])
        return query.where(sa.or_(b.batch_started_at > begun, same))

    def _by_batch(self) -> sa.Subquery:
        """Return how many records of each batch are in doubt, by their own status and by their batch's."""
        r, _, b, _ = (side.c for side in self._sides)
        sync_no, number = sa.func.min(r.sync_no).label("sync_no"), sa.func.count().label("number")
        own = sa.select(sync_no, unindexed(r.batch_no).label("batch_no"), r.status, number)
        own = own.where(r.status.in_((UNKNOWN, SENDING))).group_by(unindexed(r.batch_no), r.status)
        sending = sa.select(b.batch_no).where(b.status == SENDING)
        batch = sa.select(sync_no, r.batch_no, sa.literal(SENDING), number)
        batch = batch.where(r.batch_no.in_(sending), r.status.is_(None)).group_by(r.batch_no)
        return own.union_all(batch).subquery("some")


def unindexed(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """Return a column for which no index is taken: reading all rows in their order is faster than a third by index."""
    return column + sa.literal_column("0")


def group_of(sync: sa.Row[Any], parts: Iterable[Sequence[Any]]) -> DoubtGroup:
    """Return what the parts of one ``sync_id`` count, each of a DAG, status and age."""
    counts = dict.fromkeys((UNKNOWN, SENDING), 0)
    ages = dict.fromkeys((*AGES, OLDER), 0)
    dag_ids, moments = set[str](), list[datetime]()
    for dag_id, status, age, number, *ends in parts:
        counts[status] += int(number)
        ages[age] += int(number)
        dag_ids |= {dag_id} - {None}
        moments += [one for end in ends if (one := moment_of(end)) is not None]
    return DoubtGroup(
        sync_id=sync.sync_id,
        dag_ids=tuple(sorted(dag_ids)),
        **{name: getattr(sync, name) for name in PLACE},
        num_unknown=counts[UNKNOWN],
        num_sending=counts[SENDING],
        by_age=ages,
        oldest=min(moments, default=None),
        newest=max(moments, default=None),
    )
