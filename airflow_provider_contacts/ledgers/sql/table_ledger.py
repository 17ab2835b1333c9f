"""The outcome table as a ledger: what every execution must know before it sends, and what it learned."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sqlalchemy import Text, cast, func, select  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.run_identity import Binding, RunIdentity
from airflow_provider_contacts.ledgers.sql.clock import seconds_since
from airflow_provider_contacts.ledgers.sql.database import READING, careless, prepare
from airflow_provider_contacts.ledgers.sql.db_errors import DataRefusedError, transact
from airflow_provider_contacts.ledgers.sql.destination_guard import BindingCheck
from airflow_provider_contacts.ledgers.sql.other_sync_ids import known_elsewhere
from airflow_provider_contacts.ledgers.sql.patience import AT_ONCE, Patience
from airflow_provider_contacts.ledgers.sql.reconcile_queries import holders, payloads
from airflow_provider_contacts.ledgers.sql.rows import Policy, Row, answered, marked, noted, without_text
from airflow_provider_contacts.ledgers.sql.runs import Execution
from airflow_provider_contacts.ledgers.sql.schema import ensure
from airflow_provider_contacts.ledgers.sql.state_rows import STANDING_COLUMNS, standing_of
from airflow_provider_contacts.ledgers.sql.statements import Statements
from airflow_provider_contacts.ledgers.sql.storage_checks import changes_rows, look_at_tables, open_store
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.ledgers.sql.writer import Current, Write, one_by_one, writer_for
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.records.record_state import Claim, Holder, RecordState
from airflow_provider_contacts.records.sync_ids import Known
from airflow_provider_contacts.vendor_kit.vendor import Payload

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

RunStatus = Literal["running", "succeeded", "partial", "failed", "aborted"]

log = logging.getLogger(__name__)

CHUNK = 1000
Item = TypeVar("Item")


class SqlLedger:
    """The ledger of one execution, on an outcome table. Use it from one thread; :meth:`open` makes it.

    :param warnings: what the user should know about this ``sync_id``, for the caller to log.
    """

    durable = True

    def __init__(self, engine: Engine, tables: Tables, binding: Binding, execution: Execution, store: Policy) -> None:
        self.warnings: tuple[str, ...] = ()
        self._may_be_changed = False
        self._engine = engine
        self._tables = tables
        self._binding = binding
        self._execution = execution
        self._store = store
        self._binding_check = BindingCheck(tables, binding)
        self._statements = Statements(tables, binding, execution.run, store)
        self._writer = writer_for(self._statements, engine.dialect)
        columns = tables.outcomes.c
        age = seconds_since(columns.batch_started_at, tables.flavour).label("age")
        ended = seconds_since(columns.batch_completed_at, tables.flavour).label("ended")
        errors = cast(columns.errors, Text).label("errors")
        self._standing = self._statements.rows_of(*(columns[name] for name in STANDING_COLUMNS), age, ended, errors)

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
            msg = "store_payload must be 'undelivered', 'all' or 'never'"
            raise ConfigError(msg)
        run.check()
        prepare(engine)
        token = token or secrets.token_hex(8)

        def begin() -> SqlLedger:
            tables = open_store(engine, table, shared_source=shared_source)
            ensure(engine, tables, create=create_tables)
            return cls._begin(engine, tables, binding, Execution(tables, run, token), store_payload)

        return patience.run(begin)

    @classmethod
    def _begin(
        cls, engine: Engine, tables: Tables, binding: Binding, execution: Execution, store_payload: Policy
    ) -> SqlLedger:
        """Look at the tables, and register; may be done again."""
        kinds = look_at_tables(engine, tables)
        transact(engine, BindingCheck(tables, binding).is_new, options={READING: True})
        ledger = cls(engine, tables, binding, execution, store_payload)
        ledger.warnings = kinds + careless(engine, tables.flavour)
        ledger._may_be_changed = changes_rows(engine, tables)
        ledger._register()
        return ledger

    def _register(self) -> None:
        def register(connection: Connection) -> None:
            self._execution.register(connection, self._binding.sync_id)

        try:
            transact(self._engine, register, repeatable=True)
        except DataRefusedError:
            # Another execution of this very try has just inserted the row.
            transact(self._engine, register, repeatable=True)

    @property
    def token(self) -> str:
        """The random word that begins every ``batch_id`` of this execution."""
        return self._execution.token

    @property
    def sync_run_id(self) -> str:
        """The run that this execution belongs to."""
        return self._execution.run.sync_run_id

    def standing(self, identifiers: Collection[str]) -> Mapping[str, RecordState]:
        """Return what is known of these records; those without a row are left out.

        :raises LedgerError: also for a row whose status is none of ours.
        :raises SyncTakenError: if another execution has meanwhile bound the ``sync_id`` to another destination.
        """

        def read(connection: Connection) -> dict[str, RecordState]:
            found = {
                row["record_identifier"]: standing_of(row)
                for chunk in chunks(identifiers)
                for row in connection.execute(self._standing, self._statements.keys(chunk)).mappings()
            }
            if found:
                self._binding_check.is_new(connection)
            return found

        return transact(self._engine, read, repeatable=True, options={READING: True})

    def claim(self, marks: Sequence[Claim]) -> Collection[str]:
        """Write ``sending`` for each record whose row is still as it was read; return the identifiers written.

        :raises LedgerError: also if the commit's fate is not known; then nothing may be sent.
        :raises SupersededError: if a newer execution of the run has registered.
        :raises SyncTakenError: see :meth:`standing`; so do all methods that write.
        """
        if not marks:
            return frozenset()
        rows = self._marked(marks)
        try:
            claimed = transact(self._engine, lambda connection: self._claim(connection, rows))
        except DataRefusedError:
            bare = [{**row, "record_payload": None} for row in rows]
            claimed = transact(self._engine, lambda connection: self._claim(connection, bare))
        return self._as_marked(claimed, rows)

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
        answers = in_order([answered(outcome, self._store) for outcome in outcomes if outcome.batch_id])
        rows = self._marked(marks)

        def both(connection: Connection) -> frozenset[str]:
            self._binding_check.is_new(connection)
            for chunk in chunks(answers):
                self._writer.settle(connection, chunk)
            return self._claim(connection, rows)

        try:
            claimed = transact(self._engine, both)
        except DataRefusedError:
            # Each of them knows what to do without.
            self.settle(outcomes)
            return self.claim(marks)
        return self._as_marked(claimed, rows)

    def _marked(self, marks: Sequence[Claim]) -> list[Row]:
        if len({mark.record_identifier for mark in marks}) != len(marks):
            msg = "one claim names a record twice"
            raise ValueError(msg)
        return in_order([marked(mark, self._store) for mark in marks])

    def _claim(self, connection: Connection, rows: Sequence[Row]) -> frozenset[str]:
        self._execution.check(connection)
        self._binding_check.hold(connection)
        return frozenset(one for chunk in chunks(rows) for one in self._writer.claim(connection, chunk))

    def _as_marked(self, claimed: frozenset[str], rows: Sequence[Row]) -> frozenset[str]:
        """Return those of the claims whose marks stand as they were written, also after the commit."""
        if not claimed or not self._may_be_changed:
            return claimed
        mine = [row for row in rows if row["record_identifier"] in claimed]
        current = Current(self._statements)

        def read(connection: Connection) -> frozenset[str]:
            return frozenset(one for some in chunks(mine) for one in current.marked(connection, some))

        standing = transact(self._engine, read, repeatable=True, options={READING: True})
        if len(standing) < len(claimed):
            log.warning(
                "%s records are not sent: a trigger or rule of %s changes their marks",
                len(claimed) - len(standing),
                self._tables.outcomes.fullname,
            )
        return standing

    def settle(self, outcomes: Sequence[Outcome]) -> Collection[str]:
        """Write outcomes where the row still waits for the answer to the outcome's batch; return those written.

        A newer execution does not prevent it: an answer is knowledge, whoever received it. A row waits while it is
        ``sending`` or ``unknown``; ``succeeded`` is written over whatever else was concluded about the same batch, too.

        :raises LedgerError: if the database fails.
        """

        def write(connection: Connection, rows: Sequence[Row]) -> Collection[str]:
            self._binding_check.is_new(connection)
            return self._writer.settle(connection, rows)

        return self._store_all([answered(outcome, self._store) for outcome in outcomes if outcome.batch_id], write)

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes of records that were not sent, over no row or one that is just as weak.

        :raises LedgerError: if the database fails.
        :raises SupersededError: if a newer execution has registered: it decides on these records itself.
        """

        def write(connection: Connection, rows: Sequence[Row]) -> Collection[str]:
            self._execution.check(connection)
            self._binding_check.hold(connection)
            return self._writer.note(connection, rows)

        self._store_all([noted(outcome, self._store) for outcome in outcomes], write)

    def _store_all(self, rows: Sequence[Row], write: Write) -> frozenset[str]:
        if not rows:
            return frozenset()
        rows = in_order(rows)

        def together(connection: Connection) -> frozenset[str]:
            return frozenset(one for chunk in chunks(rows) for one in write(connection, chunk))

        try:
            return transact(self._engine, together, repeatable=True)
        except DataRefusedError:
            return transact(
                self._engine,
                lambda connection: one_by_one(connection, rows, write, without_text),
                repeatable=True,
            )

    def sent(self, identifiers: Collection[str]) -> Mapping[str, Payload]:
        """Return the payloads that were sent last, of those records for which one is stored.

        :raises LedgerError: if the database fails.
        """

        def read(connection: Connection) -> dict[str, Payload]:
            return dict(one for some in chunks(identifiers) for one in payloads(connection, self._statements, some))

        return transact(self._engine, read, repeatable=True, options={READING: True})

    def holders(self, record_ids: Collection[str]) -> Collection[Holder]:
        """Return the rows of this destination, of any ``sync_id``, that name one of these contacts.

        :raises LedgerError: if the database fails.
        """

        def read(connection: Connection) -> list[Holder]:
            found = (holders(connection, self._tables, self._binding, some) for some in chunks(record_ids))
            return [holder for some in found for holder in some]

        return transact(self._engine, read, repeatable=True, options={READING: True})

    def known_elsewhere(self, hashes: Mapping[str, str]) -> Known | None:
        """Return the ``sync_id`` under which these records seem to be remembered, where this one has no rows yet.

        :param hashes: identifier to the digest of the payload.
        :raises LedgerError: if the database fails.
        """
        return transact(
            self._engine,
            lambda connection: known_elsewhere(connection, self._tables, self._binding, hashes),
            repeatable=True,
            options={READING: True},
        )

    def delivered(self) -> int:
        """Return how many records this run has delivered, over all its tries."""
        columns = self._tables.outcomes.c
        query = select(func.count()).where(
            columns.sync_id == self._binding.sync_id,
            columns.sync_run_id == self.sync_run_id,
            columns.status == Status.SUCCEEDED.value,
        )
        return transact(
            self._engine, lambda connection: connection.scalars(query).one(), repeatable=True, options={READING: True}
        )

    def finish(self, summary: Mapping[str, Any], status: RunStatus | None, message: str | None = None) -> bool:
        """Write how this try ended; return whether it was written, which a newer execution prevents.

        :param summary: the counters by their names; what is not a counter is left out.
        :raises LedgerError: if the database fails.
        """
        return transact(
            self._engine,
            lambda connection: self._execution.finish(connection, summary, status, message),
            repeatable=True,
        )

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Return rows in the order in which everybody writes them, so that two wait for each other rather than block."""
    return sorted(rows, key=itemgetter("record_identifier"))


def chunks(items: Collection[Item]) -> Iterator[list[Item]]:
    """Yield ``items`` in lists of at most ``CHUNK``: databases limit the parameters of one statement."""
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
