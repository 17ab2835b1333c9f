"""Questions about what is in doubt: ``unknown``, and ``sending`` until its push or a later one settles it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.ledgers.reports.reading_rows import (
    cursor_of,
    in_scope,
    moment_of,
    numbers_of,
    record_columns,
    record_of,
)
from airflow_provider_contacts.ledgers.reports.shapes import DoubtGroup, Page, RecordRow, Scope
from airflow_provider_contacts.ledgers.sql.ddl import Sides
from airflow_provider_contacts.ledgers.sql.expressions import SECONDS_OF_A_DAY, seconds_since, status_of
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.outcome import Status

UNKNOWN, SENDING = Status.UNKNOWN.value, Status.SENDING.value
AGES = {"hour": 3600.0, "day": SECONDS_OF_A_DAY, "week": 7 * SECONDS_OF_A_DAY}
OLDER = "older"


class DoubtQueries:
    """Questions about the records of a scope that are in doubt."""

    def __init__(self, connection: sa.Connection, tables: Tables, scope: Scope) -> None:
        self._connection = connection
        self._tables = tables
        self._scope = scope
        self._sides = Sides.of(tables)

    def groups(self) -> list[DoubtGroup]:
        """Count them by ``sync_id``, most first."""
        r, s, b, u = (side.c for side in self._sides)
        status, age = status_of(r, b), seconds_since(b.batch_started_at, self._tables.flavour)
        bucket = sa.case(*((age <= most, name) for name, most in AGES.items()), else_=OLDER)
        keys = (s.sync_id, s.destination, s.destination_host, s.destination_object, u.dag_id, status, bucket)
        ends = sa.func.min(b.batch_started_at), sa.func.max(b.batch_started_at)
        query = self._doubts(sa.select(*keys, sa.func.count(), *ends)).group_by(*keys)
        parts: dict[str, list[sa.Row[Any]]] = {}
        for row in self._connection.execute(query):
            parts.setdefault(row[0], []).append(row)
        groups = map(group_of, parts.values())
        return sorted(groups, key=lambda group: (-group.num_unknown - group.num_sending, group.sync_id))

    def page(self, sync_id: str, after: str | None, limit: int) -> Page[RecordRow]:
        """Return those of one ``sync_id``, oldest first."""
        r, s, b, u = (side.c for side in self._sides)
        query = self._doubts(sa.select(*record_columns(self._tables, self._sides))).where(s.sync_id == sync_id)
        if (numbers := numbers_of(after, 3)) is not None:
            run_no, batch_no, place = numbers
            later = sa.or_(b.batch_no > batch_no, sa.and_(b.batch_no == batch_no, r.place > place))
            query = query.where(u.run_no >= run_no, sa.or_(u.run_no > run_no, later))
        rows = self._connection.execute(query.order_by(u.run_no, b.batch_no, r.place).limit(limit + 1)).mappings().all()
        last = rows[limit - 1] if len(rows) > limit else None
        rest = None if last is None else cursor_of(last["run_no"], last["batch_no"], last["place"])
        return Page(tuple(map(record_of, rows[:limit])), rest)

    def _doubts(self, query: sa.Select[Any]) -> sa.Select[Any]:
        r, s, b, u = self._sides
        joined = r.join(s, s.c.sync_no == r.c.sync_no).outerjoin(b, b.c.batch_no == r.c.batch_no)
        joined = joined.outerjoin(u, u.c.run_no == b.c.run_no)
        doubt = status_of(r.c, b.c).in_((UNKNOWN, SENDING))
        return query.select_from(joined).where(doubt, in_scope(self._scope, u.c.dag_id))


def group_of(rows: Iterable[sa.Row[Any]]) -> DoubtGroup:
    """Return what the rows of one ``sync_id`` count, each of a DAG, status and age."""
    counts = dict.fromkeys((UNKNOWN, SENDING), 0)
    ages = dict.fromkeys((*AGES, OLDER), 0)
    dag_ids, oldest, newest = set[str](), list[Any](), list[Any]()
    place: tuple[Any, ...] = ()
    for row in rows:
        place, rest = tuple(row)[:4], tuple(row)[4:]
        dag_id, status, age, count, first, last = rest
        counts[status] += count
        ages[age] += count
        dag_ids |= {dag_id} - {None}
        oldest += [first] * (first is not None)
        newest += [last] * (last is not None)
    return DoubtGroup(
        **dict(zip(("sync_id", "destination", "destination_host", "destination_object"), place, strict=True)),
        dag_ids=tuple(sorted(dag_ids)),
        num_unknown=counts[UNKNOWN],
        num_sending=counts[SENDING],
        by_age=ages,
        oldest=moment_of(min(oldest, default=None)),
        newest=moment_of(max(newest, default=None)),
    )
