"""Questions about runs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.ledgers.reports.reading_rows import (
    cursor_of,
    in_scope,
    numbers_of,
    run_columns,
    run_of,
    runs_with_place,
)
from airflow_provider_contacts.ledgers.reports.shapes import DayCounts, Page, RunFilter, RunRow, Scope
from airflow_provider_contacts.ledgers.sql.selection import moment
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.outcome import Status

COUNTED = tuple(status.value for status in Status if status is not Status.SENDING)


class RunQueries:
    """Questions about the runs of a scope."""

    def __init__(self, connection: sa.Connection, tables: Tables, scope: Scope) -> None:
        self._connection = connection
        self._tables = tables
        self._runs = tables.runs.c
        self._query = (
            sa.select(*run_columns(tables))
            .select_from(runs_with_place(tables))
            .where(in_scope(scope, tables.runs.c.dag_id))
        )

    def page(self, which: RunFilter, after: str | None, limit: int) -> Page[RunRow]:
        """Return runs, newest first."""
        query = self._filtered(self._query, which)
        if (numbers := numbers_of(after, 1)) is not None:
            query = query.where(self._runs.run_no < numbers[0])
        found = self._found(query.order_by(self._runs.run_no.desc()).limit(limit + 1))
        rest = cursor_of(found[limit - 1].run_no) if len(found) > limit else None
        return Page(tuple(found[:limit]), rest)

    def one(self, run_no: int) -> RunRow | None:
        """Return the try of a number."""
        return next(iter(self._found(self._query.where(self._runs.run_no == run_no))), None)

    def tries(self, sync_run_id: str) -> list[RunRow]:
        """Return the tries of a run, newest first."""
        return self._found(self._newest_try_first(self._query.where(self._runs.sync_run_id == sync_run_id)))

    def of_task(self, identity: dict[str, Any], sync_run_id: str, region: str | None) -> RunRow | None:
        """Return the newest try of a task instance; without a region, of any iteration of its loop."""
        runs = self._runs
        query = self._query.where(*(runs[name] == value for name, value in identity.items()))
        if region is None:
            looped = sa.and_(runs.sync_run_id > f"{sync_run_id}/", runs.sync_run_id < f"{sync_run_id}0")
            query = query.where(sa.or_(runs.sync_run_id == sync_run_id, looped)).order_by(runs.run_no.desc())
        else:
            query = query.where(runs.sync_run_id == sync_run_id)
        return next(iter(self._found(self._newest_try_first(query).limit(1))), None)

    def choices(self) -> dict[str, list[str]]:
        """Return the values that filters can have."""
        names = {"dag_id": self._runs.dag_id, "destination": self._tables.syncs.c.destination}
        query = self._query.with_only_columns(*names.values()).distinct()
        rows = self._connection.execute(query).all()
        return {name: sorted({row[place] for row in rows} - {None}) for place, name in enumerate(names)}

    def days(self, which: RunFilter, days: int) -> list[DayCounts]:
        """Return what the runs of each day counted, oldest first."""
        # A clock that was set back leaves runs of a day to come.
        last = which.until or max(datetime.now(UTC).date(), which.since or date.min)
        first = max(last - timedelta(days - 1), which.since or date.min)
        every = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        found = {day: counts for day, *counts in self._connection.execute(self._by_day(which, first, last))}
        nothing = [0] * len(COUNTED)
        return [
            DayCounts(day, {status: int(number or 0) for status, number in zip(COUNTED, counts, strict=True)})
            for day in every
            for counts in (found.get(day.isoformat(), nothing),)
        ]

    def _by_day(self, which: RunFilter, first: date, last: date) -> sa.Select[Any]:
        """Return the sums of each day: of a run, what its newest try that has counters says of the whole run."""
        runs = self._runs
        delivered = sa.func.max(runs.num_delivered).over(partition_by=runs.sync_run_id)
        before = runs.num_delivered - runs.num_succeeded
        counts = {
            **{status: runs[f"num_{status}"] for status in COUNTED},
            "succeeded": delivered,
            "unknown": runs.num_unknown - runs.num_held,
            "skipped": runs.num_skipped - before,
        }
        query = self._filtered(self._query, RunFilter(destination=which.destination, dag_id=which.dag_id))
        query = query.where(runs.num_planned.is_not(None), *self._within(first, last))
        columns = [one.label(status) for status, one in counts.items()]
        place = sa.func.row_number().over(partition_by=runs.sync_run_id, order_by=runs.try_number.desc())
        inner = query.with_only_columns(self._day().label("day"), *columns, runs.status.label("run"), place.label("n"))
        each = inner.subquery()
        sums = [sa.cast(sa.func.sum(each.c[status]), sa.BigInteger) for status in COUNTED]
        outer = sa.select(each.c.day, *sums).where(each.c.n == 1).group_by(each.c.day)
        return outer if which.status is None else outer.where(each.c.run == which.status)

    def _day(self) -> sa.ColumnElement[Any]:
        started = self._runs.started_at
        match self._tables.flavour:
            case "postgresql":
                return sa.func.to_char(sa.func.timezone("UTC", started), "YYYY-MM-DD")
            case "sqlite" | "mysql" | "mariadb":
                return sa.func.substr(sa.cast(started, sa.String), 1, 10)

    def _within(self, first: date | None, last: date | None) -> list[sa.ColumnElement[bool]]:
        started, flavour = self._runs.started_at, self._tables.flavour
        conditions = []
        if first is not None:
            conditions.append(started >= moment(midnight(first), flavour))
        if last is not None and last < date.max:
            conditions.append(started < moment(midnight(last + timedelta(days=1)), flavour))
        return conditions

    def _filtered(self, query: sa.Select[Any], which: RunFilter) -> sa.Select[Any]:
        columns = {"dag_id": self._runs.dag_id, "status": self._runs.status}
        columns["destination"] = self._tables.syncs.c.destination
        wanted = [column == value for name, column in columns.items() if (value := getattr(which, name)) is not None]
        return query.where(*wanted, *self._within(which.since, which.until))

    def _newest_try_first(self, query: sa.Select[Any]) -> sa.Select[Any]:
        return query.order_by(self._runs.try_number.desc(), self._runs.run_no.desc())

    def _found(self, query: sa.Select[Any]) -> list[RunRow]:
        return [run_of(row) for row in self._connection.execute(query)]


def midnight(day: date) -> datetime:
    """Return the first moment of a day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
