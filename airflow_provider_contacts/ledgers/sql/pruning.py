"""Old payloads and texts, old batches, and whole syncs that are named, removed while pushes run.

Each write is one short transaction that changes rows only as they were read: a push that moves a record meanwhile wins.
What is in doubt keeps all that it has: reconciling and replaying need it. So a prune that is killed simply runs again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.sql.executions import RUNNING
from airflow_provider_contacts.ledgers.sql.expressions import SECONDS_OF_A_DAY, is_forgotten, seconds_since, status_of
from airflow_provider_contacts.ledgers.sql.lookups import chunks, read_page
from airflow_provider_contacts.ledgers.sql.statements import ManyRows, Statements
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.ledgers.sql.transactions import reading, transact
from airflow_provider_contacts.outcome import IN_DOUBT, Status
from airflow_provider_contacts.records.record_state import RESPECT

PAGE = 2000  # rows that one transaction changes

IDLE = 2 * SECONDS_OF_A_DAY
"""Seconds for which a run that is ``running`` may show no sign: it waits a day for its vendor at most."""

CERTAIN = (Status.SUCCEEDED, Status.REJECTED, Status.INVALID, Status.FAILED)

COUNTS = ("num_payloads", "num_texts", "num_batches", "num_records", "num_runs", "num_syncs")


@dataclass(frozen=True, slots=True)
class Pruner:
    """Removes what is older than so many seconds, by the database's clock.

    A row of which no moment is left counts as old.
    """

    engine: sa.Engine
    tables: Tables
    seconds: float

    def count(self, sync_ids: Sequence[str] = ()) -> dict[str, int]:
        """Return how many of each kind would be removed now."""

        def look(connection: sa.Connection) -> list[Any]:
            numbers = list(self._fit(connection, sync_ids))
            records, runs, syncs = self.tables.records.c, self.tables.runs.c, self.tables.syncs.c
            clearable = self._clearable(records.sync_no.not_in(numbers))
            sums = [sa.func.sum(flag.element) for flag in self._flags()]
            counted = [
                (self.tables.batches, self._nameless(numbers)),
                (self.tables.records, sa.and_(records.sync_no.in_(numbers), self._is_known())),
                (self.tables.runs, runs.sync_id.in_(sync_ids)),
                (self.tables.syncs, sa.and_(syncs.sync_no.in_(numbers), ~self._keeps(~self._is_known()))),
            ]
            queries = [sa.select(sa.func.count()).select_from(table).where(which) for table, which in counted]
            of_records: list[Any] = list(connection.execute(clearable.with_only_columns(*sums)).one())
            return of_records + [connection.execute(query).scalar() for query in queries]

        return {name: int(found or 0) for name, found in zip(COUNTS, reading(self.engine, look), strict=True)}

    def prune(self, sync_ids: Sequence[str] = ()) -> dict[str, int]:
        """Remove it; return how many of each kind there were.

        :raises ConfigError: if a named ``sync_id`` must stay; then nothing is removed of any.
        """
        statements = Statements(self.tables, self.engine.dialect, "undelivered")
        counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        named = reading(self.engine, lambda connection: self._fit(connection, sync_ids))
        for number in reading(self.engine, self._numbers):
            if number not in named:
                for rows in self._pages(self._clearable(), number):
                    self._write(statements.clear_records, number, rows)
                    counts["num_payloads"] += sum(row.has_payload for row in rows)
                    counts["num_texts"] += sum(row.has_text for row in rows)
        for number in named:
            for rows in self._pages(self._removable(), number):
                counts["num_records"] += self._write(statements.delete_records, number, rows)
        if named:
            counts.update(transact(self.engine, lambda connection: self._remove(connection, named)))
        for some in self._nameless_batches():
            gone = sa.delete(self.tables.batches).where(self.tables.batches.c.batch_no.in_(some))
            counts["num_batches"] += self._transact(lambda connection: connection.execute(gone).rowcount)  # noqa: B023  # run at once
        return dict(counts)

    # Records

    def _age(self) -> sa.ColumnElement[Any]:
        """Return how long ago a record's outcome was written."""
        records, batches = self.tables.records.c, self.tables.batches.c
        written = sa.func.coalesce(records.settled_at, batches.batch_completed_at, batches.batch_started_at)
        return seconds_since(written, self.tables.flavour)

    def _old(self, age: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        return sa.func.coalesce(age, sa.literal(self.seconds)) >= sa.literal(self.seconds)

    def _flags(self) -> tuple[sa.Label[int], sa.Label[int]]:
        """Return whether a record has a payload, and whether it has a text; codes alone are none."""
        records = self.tables.records.c
        texts = sa.or_(
            records.status_message.is_not(None),
            sa.cast(records.errors, sa.Text).contains('"message": "', autoescape=True),
        )
        has_payload = sa.case((records.record_payload.is_not(None), 1), else_=0)
        return has_payload.label("has_payload"), sa.case((texts, 1), else_=0).label("has_text")

    def _is_known(self) -> sa.ColumnElement[bool]:
        """Return whether a record is none of a forgotten person: those stay, so that pushes go on leaving them out."""
        return sa.not_(is_forgotten(self.tables.records.c.record_identifier))

    def _records(self, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        """Return the query for records as they are read, each with its batch."""
        records, batches = self.tables.records, self.tables.batches
        known = (records.c.record_identifier, records.c.batch_no, status_of(records.c, batches.c).label("status"))
        joined = records.outerjoin(batches, batches.c.batch_no == records.c.batch_no)
        return sa.select(*known, *columns).select_from(joined)

    def _clearable(self, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
        """Return the query for old records with a payload or text that nothing needs; only an own status has any."""
        flags = self._flags()
        is_certain = self.tables.records.c.status.in_(CERTAIN)
        has_any = sa.or_(*(flag.element == 1 for flag in flags))
        return self._records(*flags).where(is_certain, has_any, self._old(self._age()), *conditions)

    def _removable(self) -> sa.Select[Any]:
        """Return the query for old records that are not in doubt."""
        is_certain = status_of(self.tables.records.c, self.tables.batches.c).in_(CERTAIN)
        return self._records().where(is_certain, self._old(self._age()), self._is_known())

    def _pages(self, query: sa.Select[Any], sync_no: int) -> Iterator[Sequence[Any]]:
        """Yield the records of one ``sync_id`` that a query selects, in order of their identifiers."""
        columns, after = self.tables.records.c, ""
        # Both, so that the primary key is read in its order rather than sorted.
        ordered = query.where(columns.sync_no == sync_no).order_by(columns.sync_no, columns.record_identifier)
        while True:
            page = ordered.where(columns.record_identifier > after).limit(PAGE)
            rows = read_page(self.engine, self.tables, page)
            if not rows:
                return
            yield rows
            after = rows[-1].record_identifier

    def _write(self, statement: ManyRows, sync_no: int, rows: Sequence[Any]) -> int:
        """Run a statement for rows that still are as they were read; return for how many."""
        read = [(sync_no, row.record_identifier, row.batch_no, row.status) for row in rows]
        return self._transact(lambda connection: statement.run(connection, read))

    def _transact(self, work: Callable[[sa.Connection], int]) -> int:
        """Run one transaction, which may be repeated; SQLite then overwrites what is freed."""

        def write(connection: sa.Connection) -> int:
            if self.tables.flavour == "sqlite":
                connection.exec_driver_sql("PRAGMA secure_delete = ON").close()
            return work(connection)

        return transact(self.engine, write, repeatable=True)

    # Batches

    def _nameless(self, but_for: Sequence[int] = ()) -> sa.ColumnElement[bool]:
        """Return whether a batch is old, is not being sent, and no record belongs to it.

        None ever will: a batch and its records are inserted in one commit, and each attempt is a new batch.

        :param but_for: syncs whose records do not count.
        """
        batches, records = self.tables.batches.c, self.tables.records.c
        counts = sa.or_(records.sync_no.not_in(but_for), ~self._is_known()) if but_for else sa.true()
        named = sa.exists().where(records.batch_no == batches.batch_no, counts)
        begun = seconds_since(batches.batch_started_at, self.tables.flavour)
        ended = sa.func.coalesce(batches.batch_completed_at, batches.batch_started_at)
        is_over = sa.or_(batches.status != Status.SENDING.value, begun >= RESPECT)
        return sa.and_(is_over, self._old(seconds_since(ended, self.tables.flavour)), ~named)

    def _nameless_batches(self) -> Iterator[Sequence[int]]:
        number, after = self.tables.batches.c.batch_no, 0
        query = sa.select(number).where(self._nameless()).order_by(number).limit(PAGE)
        while True:
            page = query.where(number > after)
            some = [batch_no for (batch_no,) in read_page(self.engine, self.tables, page)]
            if not some:
                return
            yield some
            after = some[-1]

    # Whole syncs

    def _numbers(self, connection: sa.Connection) -> Sequence[int]:
        number = self.tables.syncs.c.sync_no
        return connection.execute(sa.select(number).order_by(number)).scalars().all()

    def _fit(self, connection: sa.Connection, sync_ids: Sequence[str]) -> dict[int, str]:
        """Return the numbers of named syncs, all of which may go.

        :raises ConfigError: naming those that may not, and why.
        """
        syncs = self.tables.syncs.c
        found = {name: number for number, name in connection.execute(sa.select(syncs.sync_no, syncs.sync_id))}
        reasons = {
            name: self._reasons(connection, name, found[name]) if name in found else ["not in the table"]
            for name in sync_ids
        }
        told = [f"{name!r}: {', '.join(some)}" for name, some in reasons.items() if some]
        if told:
            raise ConfigError(f"sync_ids: no sync is removed, since some must stay. {'; '.join(told)}")
        return {found[name]: name for name in sync_ids}

    def _reasons(self, connection: sa.Connection, sync_id: str, sync_no: int) -> list[str]:
        """Return why a sync must stay."""
        age = self._age()
        counted = sa.func.count(), sa.func.sum(sa.case((age < self.seconds, 1), else_=0))
        of_sync = self._records().where(self.tables.records.c.sync_no == sync_no, self._is_known())
        status = status_of(self.tables.records.c, self.tables.batches.c)
        rows = connection.execute(of_sync.with_only_columns(status, *counted).group_by(status)).all()
        in_doubt = [f"{count} records are {word}, settle them first" for word, count, _ in rows if word in IN_DOUBT]
        runs = sa.select(sa.func.count()).where(self.tables.runs.c.sync_id == sync_id, ~self._is_over())
        young = sum(int(count or 0) for *_, count in rows), connection.execute(runs).scalar_one()
        named = zip(young, ("records are younger than older_than", "runs are younger, or are running"), strict=True)
        return [*in_doubt, *(f"{count} {what}" for count, what in named if count)]

    def _is_over(self) -> sa.ColumnElement[bool]:
        """Return whether a run is old and has ended, if only by the death of its worker."""
        runs = self.tables.runs.c
        age = seconds_since(sa.func.coalesce(runs.completed_at, runs.updated_at), self.tables.flavour)
        has_ended = sa.or_(sa.func.coalesce(runs.status, "") != RUNNING, age >= IDLE)
        return sa.and_(self._old(age), has_ended)

    def _keeps(self, which: sa.ColumnElement[bool]) -> sa.Exists:
        """Return whether a sync has such records."""
        return sa.exists().where(self.tables.records.c.sync_no == self.tables.syncs.c.sync_no, which)

    def _remove(self, connection: sa.Connection, named: Mapping[int, str]) -> dict[str, int]:
        """Remove the runs of syncs whose records are gone, and their own rows; return how many.

        An execution that lives on without its run can claim nothing. One that registers holds the row of its sync: here
        its run is seen, or it sees no sync.
        """
        runs, syncs, records = self.tables.runs, self.tables.syncs, self.tables.records.c
        of_syncs = runs.c.sync_id.in_(list(named.values()))
        over = sa.select(runs.c.run_no).where(of_syncs, self._is_over()).order_by(runs.c.run_no)
        some_runs = chunks(connection.execute(over).scalars().all())
        removed = sum(connection.execute(sa.delete(runs).where(runs.c.run_no.in_(some))).rowcount for some in some_runs)
        held = sa.select(syncs.c.sync_no).where(syncs.c.sync_no.in_(list(named))).order_by(syncs.c.sync_no)
        connection.execute(held.with_for_update()).all()
        of_records = sa.and_(records.sync_no.in_(list(named)), self._is_known())
        left = [sa.select(sa.literal(1)).where(one).limit(1) for one in (of_syncs, of_records)]
        if any(connection.execute(query).first() for query in left):
            raise ConfigError(
                f"a push of {' or '.join(map(repr, named.values()))} has begun while its records were removed: what "
                "is left of them stays, and the push sends again what is gone. Stop it, and prune again later"
            )
        gone = connection.execute(
            sa.delete(syncs).where(syncs.c.sync_no.in_(list(named)), ~self._keeps(sa.true()))
        ).rowcount
        return {"num_runs": removed, "num_syncs": gone}
