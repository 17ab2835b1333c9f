"""The tables as a ledger: what every execution must know before it sends, and what it learned."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.row_adapter import RowAdapter
from airflow_provider_contacts.ledgers.run_identity import Binding, RunIdentity
from airflow_provider_contacts.ledgers.sql.batch_numbers import draw_token, is_token, note_numbers, number_of
from airflow_provider_contacts.ledgers.sql.database import READING, careless, prepare
from airflow_provider_contacts.ledgers.sql.db_errors import DataRefusedError, transact
from airflow_provider_contacts.ledgers.sql.patience import AT_ONCE, Patience
from airflow_provider_contacts.ledgers.sql.reader import LedgerReader
from airflow_provider_contacts.ledgers.sql.record_writer import RecordWriter, Write, one_by_one
from airflow_provider_contacts.ledgers.sql.rows import Policy, answered, claimed, noted, under, without, without_text
from airflow_provider_contacts.ledgers.sql.runs import Execution
from airflow_provider_contacts.ledgers.sql.schema import ensure
from airflow_provider_contacts.ledgers.sql.statements import ANSWER, CLAIM, RECORD, Row
from airflow_provider_contacts.ledgers.sql.storage_checks import changes_rows, look_at_tables, open_store
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.records.record_state import Claim

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

RunStatus = Literal["running", "succeeded", "partial", "failed", "aborted"]

Answers = list[tuple[int, int | None]]
Begin = Callable[["Connection", Sequence[Row]], list[Row]]


class SqlLedger(LedgerReader, RowAdapter):
    """The ledger of one execution, on tables. Use it from one thread; :meth:`open` makes it.

    :param execution: registered, unless nothing is to be written.
    :param exists: see :class:`LedgerReader`.
    :param warnings: what the user should know about this ``sync_id``, for the caller to log.
    """

    durable = True

    def __init__(
        self,
        engine: Engine,
        tables: Tables,
        binding: Binding,
        execution: Execution,
        store: Policy,
        *,
        exists: bool = True,
    ) -> None:
        super().__init__(engine, tables, binding, exists=exists)
        self.warnings: tuple[str, ...] = ()
        self._may_be_changed = False
        self._execution = execution
        self._store = store
        self._writer = RecordWriter(tables, engine.dialect, store)
        self._notes = note_numbers(execution.token)
        # Batches of this execution whose answer has not been written.
        self._awaited: set[int] = set()

    @classmethod
    def open(
        cls,
        engine: Engine,
        *,
        table: str = "contact_outcomes",
        create_tables: bool = True,
        run: RunIdentity,
        sync_id: str,
        destination: str,
        destination_host: str,
        destination_object: str | None,
        store_payload: Policy = "undelivered",
        token: str | None = None,
        shared_source: bool = False,
        patience: Patience = AT_ONCE,
    ) -> SqlLedger:
        """Return the ledger of a new execution, which is the newest of its run from now on.

        :param engine: see :func:`airflow_provider_contacts.ledgers.sql.database.connect`; closed with the ledger.
        :param token: drawn at random if not given; it must be new for every execution.
        :param shared_source: whether the same SQLite file is read as the source meanwhile.
        :param patience: with a database that cannot be used for a moment.
        :raises ConfigError: for a database, name, table or destination that cannot be used, or forgets what it keeps.
        :raises LedgerError: if the database fails.
        """
        binding = Binding(
            sync_id=sync_id,
            destination=destination,
            destination_host=destination_host,
            destination_object=destination_object or None,
        )
        binding.check()
        if store_payload not in {"undelivered", "all", "never"}:
            raise ConfigError("store_payload must be 'undelivered', 'all' or 'never'")
        run.check()
        token = token or draw_token()
        if not is_token(token):
            raise ValueError("a token is a number of 39 bits in hexadecimal digits")
        prepare(engine)

        def begin() -> SqlLedger:
            tables = open_store(engine, table, shared_source=shared_source)
            ledger = cls(engine, tables, binding, Execution(tables, run, token, engine.dialect), store_payload)
            ledger._begin(create_tables=create_tables)
            return ledger

        return patience.run(begin)

    def _begin(self, *, create_tables: bool) -> None:
        """Look at the tables and at whose the ``sync_id`` is, and register; may be done again."""
        engine, tables = self._engine, self._tables
        outdated = ensure(engine, tables, create=create_tables)
        self.warnings = outdated + look_at_tables(engine, tables) + careless(engine, tables.flavour)
        self._may_be_changed = changes_rows(engine, tables)
        transact(engine, self._guard.look, options={READING: True})

        def register(connection: Connection) -> int:
            return self._execution.register(connection, self._binding)

        try:
            self._execution.run_no = transact(engine, register, repeatable=True)
        except DataRefusedError:
            # Another execution of this very try has just inserted the row.
            self._execution.run_no = transact(engine, register, repeatable=True)

    @property
    def token(self) -> str:
        """The random word that begins every ``batch_id`` of this execution."""
        return self._execution.token

    @property
    def sync_run_id(self) -> str:
        """The run that this execution belongs to."""
        return self._execution.run.sync_run_id

    def claim(self, marks: Sequence[Claim]) -> Collection[str]:
        """Write ``sending`` for each record that is still as it was read; return the identifiers written.

        :raises LedgerError: also if the commit's fate is not known; then nothing may be sent.
        :raises SupersededError: if a newer execution of the run has registered.
        :raises SyncTakenError: if the ``sync_id`` belongs to another destination; so do all methods that write.
        """
        if not marks:
            return frozenset()
        rows = self._claimed(marks)
        try:
            won = transact(self._engine, lambda found: self._claim(found, rows))
        except DataRefusedError:
            bare = [without(row, CLAIM, ("record_payload",)) for row in rows]
            won = transact(self._engine, lambda found: self._claim(found, bare))
        return self._won(rows, won)

    def advance(self, outcomes: Sequence[Outcome], marks: Sequence[Claim]) -> Collection[str]:
        """Settle outcomes and claim records, in one transaction where that is safe: the disk is waited for once.

        :raises LedgerError: see :meth:`claim` and :meth:`settle`.
        :raises SupersededError: see :meth:`claim`; the outcomes are not written then.
        """
        if self._tables.flavour in {"mysql", "mariadb"}:
            # They lock each row that a claim looks at, also one that is another's: two that hold their answers' rows
            # meanwhile would wait for each other.
            self.settle(outcomes)
            return self.claim(marks)
        batches, answers = self._answers(outcomes)
        rows = self._claimed(marks)
        try:
            won = transact(self._engine, lambda found: self._claim(found, rows, batches, answers))
        except DataRefusedError:
            # Each of them knows what to do without.
            self.settle(outcomes)
            return self.claim(marks)
        self._awaited.difference_update(number for number, _ in batches)
        return self._won(rows, won)

    def _claimed(self, marks: Sequence[Claim]) -> list[Row]:
        if len({mark.record_identifier for mark in marks}) != len(marks):
            raise ValueError("one claim names a record twice")
        return claimed(marks, self._store)

    def _claim(
        self,
        connection: Connection,
        rows: Sequence[Row],
        batches: Answers | None = None,
        answers: Sequence[Row] = (),
    ) -> Collection[str]:
        sync_no, run_no = self._hold(connection)
        claims = under(rows, sync_no)
        self._writer.batches(connection, run_no, claims, batches or [])
        inserted = self._writer.insert(connection, claims)
        self._writer.answer(connection, under(answers, sync_no))
        return self._writer.move(connection, claims, inserted)

    def _won(self, rows: Sequence[Row], won: Collection[str]) -> frozenset[str]:
        """Return those of the claims that stand as they were written, and await the answers of their batches."""
        written = frozenset(won)
        if written and self._may_be_changed:
            mine = [row for row in rows if row[1] in written]
            written = self.read(lambda found: self._writer.unchanged(found, under(mine, self.sync_no(found) or 0)))
        self._awaited.update(row[2] for row in rows if row[1] in written)
        return written

    def _hold(self, connection: Connection) -> tuple[int, int]:
        """Hold the run, and have the ``sync_id`` bound; return the numbers of both."""
        held = self._execution.hold(connection, self._binding.sync_id)
        run_no = self._execution.run_no
        if run_no is None:
            raise AssertionError("an execution that has not registered, as of a plan, writes nothing")
        return self._guard.bind(connection, held, run_no), run_no

    def settle(self, outcomes: Sequence[Outcome]) -> Collection[str]:
        """Write outcomes where the record still waits for the answer to the outcome's batch; return those written.

        A newer execution does not prevent it: an answer is knowledge, whoever received it. A record waits while it is
        ``sending`` or ``unknown``; ``succeeded`` is written over whatever else was concluded about the same batch, too.

        :raises LedgerError: if the database fails.
        """
        batches, answers = self._answers(outcomes)

        def begin(connection: Connection, rows: Sequence[Row]) -> list[Row]:
            sync_no = self.sync_no(connection)
            if sync_no is None:
                return []
            self._writer.batches(connection, 0, (), batches)
            return under(rows, sync_no)

        written = self._store_all(answers, ANSWER, begin, self._writer.answer)
        self._awaited.difference_update(number for number, _ in batches)
        return written

    def _answers(self, outcomes: Sequence[Outcome]) -> tuple[Answers, list[Row]]:
        """Return the batches that are answered with their HTTP status, and all outcomes as rows."""
        found: dict[int, int | None] = {}
        for outcome in outcomes:
            number = number_of(outcome.batch_id)
            if number is not None and number in self._awaited and found.get(number) is None:
                found[number] = outcome.http_status
        return list(found.items()), answered(outcomes, self._store, self._awaited)

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes of records that were not sent, over no row or one that is just as weak.

        :raises LedgerError: if the database fails.
        :raises SupersededError: if a newer execution has registered: it decides on these records itself.
        """

        def begin(connection: Connection, rows: Sequence[Row]) -> list[Row]:
            sync_no, run_no = self._hold(connection)
            # A new one each time: a commit of unknown fate may have written the last one.
            batch_no = next(self._notes)
            self._writer.begin_notes(connection, batch_no, run_no)
            return under(rows, sync_no, batch_no)

        self._store_all(noted(outcomes, self._store), RECORD, begin, self._writer.note)

    def _store_all(self, rows: Sequence[Row], fields: tuple[str, ...], begin: Begin, write: Write) -> Collection[str]:
        if not rows:
            return frozenset()

        def together(connection: Connection) -> frozenset[str]:
            return frozenset(write(connection, begin(connection, rows)))

        def each(connection: Connection) -> frozenset[str]:
            return one_by_one(connection, begin(connection, rows), write, partial(without_text, fields=fields))

        try:
            return transact(self._engine, together, repeatable=True)
        except DataRefusedError:
            return transact(self._engine, each, repeatable=True)

    def finish(self, summary: Mapping[str, Any], status: RunStatus | None, message: str | None = None) -> bool:
        """Write how this try ended; return whether it was written, which a newer execution prevents.

        :param summary: the counters by their names; what is not a counter is left out.
        :raises LedgerError: if the database fails.
        """

        def write(connection: Connection) -> bool:
            return self._execution.finish(connection, summary, status, message)

        return self._execution.run_no is not None and transact(self._engine, write, repeatable=True)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()
