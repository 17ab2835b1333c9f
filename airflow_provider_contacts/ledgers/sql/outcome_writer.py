"""What has been learned, written into the tables: answers, later findings, and outcomes of what was never sent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from sqlalchemy import Connection, Engine, select  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.ledgers.sql.batch_numbers import name_of, note_numbers, number_of
from airflow_provider_contacts.ledgers.sql.db_errors import DataRefusedError
from airflow_provider_contacts.ledgers.sql.executions import Execution, Sync
from airflow_provider_contacts.ledgers.sql.lookups import Lookup, chunks
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
from airflow_provider_contacts.ledgers.sql.statements import (
    RECORD,
    ManyRows,
    Row,
    Statements,
    all_written,
    open_batches,
)
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.ledgers.sql.transactions import (
    Call,
    Statement,
    Written,
    in_one_exchange,
    in_steps,
    row_by_row,
    transact,
)
from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.records.batch import BatchResult

Calls = Callable[[int], list[Call]]
"""Writes by the number of the ``sync_id``."""


class OutcomeWriter(LedgerReader):
    """Writes outcomes of one execution.

    Writes go in one order, in which everybody locks: the run, batches by number, insertions of records by key, updates
    of records by key.
    """

    def __init__(
        self, engine: Engine, tables: Tables, execution: Execution, store: Policy, *, exists: bool = True
    ) -> None:
        super().__init__(engine, tables, execution.binding, exists=exists)
        self._execution = execution
        self._store = store
        self._statements = Statements(tables, engine.dialect, store)
        self._notes = note_numbers(execution.token)
        self._named = partial(name_of, token=execution.token)
        self._present = Lookup(tables, (tables.records.c.record_identifier,))
        # Batches of this execution whose records have their status from them, as far as this execution knows.
        self._sending: set[int] = set()
        # Whether somebody was forgotten since this execution began: then the fence of one exchange fails for good.
        self._is_behind = False

    def record_results(self, results: Sequence[BatchResult]) -> None:
        """Write answers to this execution's own requests, where the records still belong to them.

        A newer execution does not prevent it: an answer is knowledge, whoever received it. A record takes an answer
        while it is ``sending`` or ``unknown``; ``succeeded`` stands over any other conclusion about the same batch.
        """
        if not results:
            return
        each = partial(self._answer_calls, results, together=False)
        self._settled(results, self._record(partial(self._answer_calls, results), each, fenced=False))

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

    def _settled(self, results: Sequence[BatchResult], counts: Written) -> None:
        """Write the answers to batches that somebody has opened before, record by record."""
        numbers = {number_of(result.batch_id): result for result in results}
        mine = [number for number in numbers if number in self._sending and number is not None]
        self._sending.difference_update(mine)
        if len(mine) > counts[self._statements.settle_batches]:
            batches = self._tables.batches.c
            query = select(batches.batch_no).where(batches.batch_no.in_(mine), batches.status == "open")
            opened = self.read(lambda connection: connection.execute(query).scalars().all())
            self.record_results([numbers[number] for number in opened])

    def record_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Write what was concluded later than by an answer, by the same rule."""
        numbered = [(number_of(outcome.batch_id), outcome) for outcome in outcomes]
        rows = [answer(number, outcome, self._store, late=True) for number, outcome in numbered if number is not None]
        if not rows:
            return
        numbers, statement = {row[2] for row in rows}, self._statements.answer_records
        self._record(lambda sync_no: [(statement, under(rows, sync_no))], fenced=False, unopened=numbers)
        self._sending.difference_update(numbers)

    def record_unsent(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes of records that were not sent, over no row or one that is just as weak.

        :raises SupersededError: if a newer execution has registered: it decides on these records itself.
        """
        statements = self._statements

        def calls(sync_no: int) -> list[Call]:
            # A new batch each time: a commit of unknown fate may have written the last one.
            number = next(self._notes)
            rows = unsent(outcomes, sync_no, number, self._store)
            begun = [(number, self._execution.run_no, "open", None)]
            notes = statements.insert_note_batch, begun
            return [notes, (statements.insert_records, rows), (statements.weaken_records, rows)]

        if outcomes:
            self._record(calls, fenced=True)

    def _record(
        self, calls: Calls, each: Calls | None = None, *, fenced: bool, unopened: Collection[int] = ()
    ) -> Written:
        """Write outcomes in one transaction, which may be repeated; return how many rows each statement has written.

        :param each: the writes to do row by row, if the database refuses one; ``calls`` by default.
        :param fenced: whether it must be the newest execution that writes.
        :param unopened: batches to open before.
        """

        def write(connection: Connection, *, is_refused: bool = False) -> Written:
            sync = self._execution.hold(connection) if fenced else None
            sync_no = sync.sync_no if sync else self.sync_no(connection) or 0
            open_batches(connection, self._tables, unopened)
            made = (each or calls)(sync_no) if is_refused else calls(sync_no)
            if sync is not None:
                made = self._remembered(connection, sync, made)
            return row_by_row(connection, made) if is_refused else in_steps(connection, made)

        try:
            counts = None if unopened else self._exchanged(calls, fenced=fenced)
            return transact(self._engine, write, repeatable=True) if counts is None else counts
        except DataRefusedError:
            return transact(self._engine, partial(write, is_refused=True), repeatable=True)

    def _remembered(self, connection: Connection, sync: Sync, calls: list[Call]) -> list[Call]:
        """Return writes without the records that were forgotten since before this execution looked anything up.

        Their rows in clear are gone, so that nothing else would keep them from being inserted anew. The transaction
        holds the ``sync_id``: nobody else is forgotten until it ends.
        """
        if self._execution.is_current(sync) or sync.forget_key is None:
            return calls
        self._forget_key, self._is_behind = sync.forget_key, True
        names = self._names([row[1] for statement, rows in calls if statement.fields == RECORD for row in rows])
        found = (row for some in chunks(names) for row in self._present.run(connection, sync.sync_no, some))
        gone = {names[name] for (name,) in found if names[name] != name}
        return [
            (statement, [row for row in rows if row[1] not in gone] if statement.fields == RECORD else rows)
            for statement, rows in calls
        ]

    def _exchanged(
        self, calls: Calls, *, fenced: bool, whole: Collection[ManyRows] = (), repeatable: bool = True
    ) -> Written | None:
        """Write in one exchange, where the driver can; ``None`` if nothing is written.

        :param whole: statements that must write every row.
        """
        known = self._known
        if not self._pipelines or known is None or (fenced and self._is_behind):
            return None
        before = [self._execution.fence(known)] if fenced else []
        made: list[Call] = []

        def statements() -> list[Statement]:
            made[:] = [call for call in calls(known) if call[1]]
            bound = [statement.bound(rows) for statement, rows in made]
            for place, (statement, rows) in enumerate(made):
                if statement in whole:
                    text, values = bound[place]
                    bound[place] = all_written(text, len(rows)), values
            return [*before, *bound]

        done = in_one_exchange(self._engine, statements, repeatable=repeatable)
        if done is None:
            return None
        counts = [cursor.rowcount for cursor in done[len(before) :]]
        return Written({statement: count for (statement, _), count in zip(made, counts, strict=True)})
