"""What has been learned, written into the tables: answers, later findings, and outcomes of what was never sent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from sqlalchemy import Connection, Engine, select  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.sql.batch_numbers import name_of, note_numbers, number_of
from airflow_provider_contacts.ledgers.sql.db_errors import DataRefusedError
from airflow_provider_contacts.ledgers.sql.executions import Execution
from airflow_provider_contacts.ledgers.sql.lookups import Lookup
from airflow_provider_contacts.ledgers.sql.reader import LedgerReader
from airflow_provider_contacts.ledgers.sql.rows import (
    SUCCEEDED,
    Policy,
    answer,
    confirmed,
    excepted,
    ids_text,
    under,
    unsent,
)
from airflow_provider_contacts.ledgers.sql.statements import Row, Statements, open_batches
from airflow_provider_contacts.ledgers.sql.tables import COLLATIONS, Tables
from airflow_provider_contacts.ledgers.sql.transactions import (
    Call,
    in_one_exchange,
    in_steps,
    one_by_one,
    transact,
)
from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.records.batch import BatchResult


class OutcomeWriter(LedgerReader):
    """Writes outcomes of one execution, which is registered, unless nothing is to be written.

    Writes go in one order, in which everybody locks: the run, batches by number, insertions of records by key, updates
    of records by key.
    """

    def __init__(
        self, engine: Engine, tables: Tables, binding: Binding, execution: Execution, store: Policy, *, exists: bool
    ) -> None:
        super().__init__(engine, tables, binding, exists=exists)
        self._execution = execution
        self._store = store
        self._statements = Statements(tables, engine.dialect, store)
        records = tables.records.c
        self._current = Lookup(tables, (records.record_identifier, records.batch_no, records.status))
        self._notes = note_numbers(execution.token)
        self._named = partial(name_of, token=execution.token)
        # PostgreSQL and SQLite count what they write. The drivers of MySQL and MariaDB count a lost insertion as one.
        self._counts = tables.flavour not in COLLATIONS
        # Batches of this execution whose records have their status from them, as far as this execution knows.
        self._sending: set[int] = set()

    def record_results(self, results: Sequence[BatchResult]) -> None:
        """Write answers to this execution's own requests, where the records still belong to them.

        A newer execution does not prevent it: an answer is knowledge, whoever received it. A record takes an answer
        while it is ``sending`` or ``unknown``; ``succeeded`` stands over any other conclusion about the same batch.
        """
        if not results:
            return
        try:
            counts = self._write(lambda sync_no, _: self._answer_calls(results, sync_no), fenced=False, repeatable=True)
        except DataRefusedError:
            transact(self._engine, partial(self._answer_each, results=results), repeatable=True)
            counts = [len(results)]
        self._settled(results, counts[0])

    def _answer_calls(self, results: Sequence[BatchResult], sync_no: int, *, together: bool = True) -> list[Call]:
        """Return the writes of answers: to batches that hold their records' status, to others, and to records.

        :param together: whether an answer by which most are confirmed may settle its batch as one.
        """
        settled, answered, rows = list[Row](), list[Row](), list[Row]()
        for result in results:
            number = number_of(result.batch_id)
            if number is None:
                continue
            is_sending = number in self._sending
            ids = ids_text(result, as_array=self._tables.flavour == "postgresql") if together and is_sending else None
            word = "open" if ids is None else SUCCEEDED
            (settled if is_sending else answered).append((number, result.http_status, word, ids))
            rows.extend(excepted(number, result, self._store))
            if ids is None:
                rows.extend(confirmed(number, result))
        statements = self._statements
        return [
            (statements.settle_batches, sorted(settled)),
            (statements.answer_batches, sorted(answered)),
            (statements.answer_records, under(rows, sync_no)),
        ]

    def _answer_each(self, connection: Connection, results: Sequence[BatchResult]) -> None:
        calls = self._answer_calls(results, self.sync_no(connection) or 0, together=False)
        settled, answered, (statement, rows) = calls
        in_steps(connection, [settled, answered])
        one_by_one(connection, rows, statement)

    def _settled(self, results: Sequence[BatchResult], count: int) -> None:
        """Write the answers to batches that somebody has opened before, record by record."""
        numbers = {number_of(result.batch_id): result for result in results}
        mine = [number for number in numbers if number in self._sending and number is not None]
        self._sending.difference_update(mine)
        if len(mine) > count:
            batches = self._tables.batches.c
            query = select(batches.batch_no).where(batches.batch_no.in_(mine), batches.status == "open")
            opened = self.read(lambda connection: connection.execute(query).scalars().all())
            self.record_results([numbers[number] for number in opened])

    def record_outcomes(self, outcomes: Sequence[Outcome]) -> Collection[str]:
        """Write what was concluded later than by an answer, by the same rule; return the identifiers written."""
        numbered = [(number_of(outcome.batch_id), outcome) for outcome in outcomes]
        rows = [answer(number, outcome, self._store, late=True) for number, outcome in numbered if number is not None]
        numbers = {row[2] for row in rows}
        statement = self._statements.answer_records

        def write(connection: Connection, *, together: bool) -> int:
            open_batches(connection, self._tables, numbers)
            given = under(rows, self.sync_no(connection) or 0)
            if together:
                return statement.run(connection, given)
            one_by_one(connection, given, statement)
            return 0

        if not rows:
            return frozenset()
        try:
            count = transact(self._engine, partial(write, together=True), repeatable=True)
        except DataRefusedError:
            count = transact(self._engine, partial(write, together=False), repeatable=True)
        self._sending.difference_update(numbers)
        wanted = {row[1]: (row[2], row[3]) for row in rows}
        if self._counts and count == len(rows):
            return frozenset(wanted)
        # A record that waits takes the outcome, and one that does not keeps another: its row tells which.
        current = self._read(list(wanted))
        return frozenset(name for name, one in wanted.items() if current.get(name) == one)

    def record_unsent(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes of records that were not sent, over no row or one that is just as weak.

        :raises SupersededError: if a newer execution has registered: it decides on these records itself.
        """
        statements = self._statements

        def calls(sync_no: int, run_no: int) -> list[Call]:
            # A new batch each time: a commit of unknown fate may have written the last one.
            number = next(self._notes)
            rows = unsent(outcomes, sync_no, number, self._store)
            begun = (statements.insert_note_batch, [(number, run_no, "open", None)])
            return [begun, (statements.insert_records, rows), (statements.weaken_records, rows)]

        def each(connection: Connection) -> None:
            begun, (_, rows), _ = calls(*self._hold(connection))
            in_steps(connection, [begun])
            one_by_one(connection, rows, statements.insert_records, statements.weaken_records)

        if not outcomes:
            return
        try:
            self._write(calls, fenced=True, repeatable=True)
        except DataRefusedError:
            transact(self._engine, each, repeatable=True)

    def _write(
        self,
        calls: Callable[[int, int], list[Call]],
        *,
        fenced: bool,
        repeatable: bool = False,
        unopened: Collection[int] = (),
    ) -> list[int]:
        """Run writes in one transaction; return how many rows each has written.

        :param calls: the writes, by the numbers of the ``sync_id`` and of the run.
        :param fenced: whether it must be the newest execution that writes.
        :param unopened: batches to open before.
        """
        known, run_no = self._known, self._execution.run_no or 0
        if self._pipelines and known is not None and not unopened:
            fence = self._execution.fence(known, self._binding) if fenced else None
            counts = in_one_exchange(self._engine, fence, lambda: calls(known, run_no), repeatable=repeatable)
            if counts is not None:
                return counts

        def work(connection: Connection) -> list[int]:
            sync_no, run_no = self._hold(connection) if fenced else (self.sync_no(connection) or 0, 0)
            open_batches(connection, self._tables, unopened)
            return in_steps(connection, calls(sync_no, run_no))

        return transact(self._engine, work, repeatable=repeatable)

    def _hold(self, connection: Connection) -> tuple[int, int]:
        """Hold the run, and have the ``sync_id`` bound; return the numbers of both."""
        held = self._execution.hold(connection, self._binding.sync_id)
        run_no = self._execution.run_no
        if run_no is None:
            raise AssertionError("an execution that has not registered, as of a plan, writes nothing")
        return self._guard.bind(connection, held, run_no), run_no

    def _read(self, names: Sequence[str]) -> dict[str, tuple[int, str | None]]:
        """Return batch and own status of records as they stand now."""
        found = self.read(lambda connection: self._found(connection, self._current, names))
        return {name: (number, status) for name, number, status in found}
