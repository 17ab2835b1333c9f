"""The tables as a ledger: what an execution must know before it sends, and what it learned."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_contacts.ledgers.sql.batch_numbers import number_of
from airflow_provider_contacts.ledgers.sql.db_errors import DataRefusedError
from airflow_provider_contacts.ledgers.sql.executions import Execution
from airflow_provider_contacts.ledgers.sql.lookups import Lookup, chunks
from airflow_provider_contacts.ledgers.sql.outcome_writer import OutcomeWriter
from airflow_provider_contacts.ledgers.sql.rows import IDENTIFIER, ClaimedBatch, Policy
from airflow_provider_contacts.ledgers.sql.statements import open_batches
from airflow_provider_contacts.ledgers.sql.tables import COLLATIONS, Tables
from airflow_provider_contacts.ledgers.sql.transactions import Call, Written, in_steps, transact
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.batch import Batch, BatchResult

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

log = logging.getLogger(__name__)

RunStatus = Literal["running", "succeeded", "partial", "failed", "aborted"]


class SqlLedger(OutcomeWriter):
    """The ledger of one execution, on tables. Use it from one thread; ``open_table`` makes it.

    :param triggers: whether triggers or rules may change what is written.

    ``warnings`` is what the user should know about the table.
    """

    durable = True

    def __init__(
        self,
        engine: Engine,
        tables: Tables,
        execution: Execution,
        store: Policy,
        *,
        exists: bool = True,
        triggers: bool = False,
    ) -> None:
        super().__init__(engine, tables, execution, store, exists=exists)
        self.warnings: tuple[str, ...] = ()
        self._triggers = triggers
        records = tables.records.c
        self._current = Lookup(tables, (records.record_identifier, records.batch_no, records.status))
        # Whether each record has a status of its own from the start. The body of a batch does not outlive its request.
        self._alone = tables.flavour in COLLATIONS or store == "all"

    @property
    def token(self) -> str:
        """The random word that begins every ``batch_id`` of this execution."""
        return self._execution.token

    @property
    def sync_run_id(self) -> str:
        """The run that this execution belongs to."""
        return self._execution.run.sync_run_id

    def record_and_claim(
        self, results: Sequence[BatchResult], batches: Mapping[str, Batch]
    ) -> Mapping[str, Collection[int]]:
        """Write results, and claim the records of other batches; return the places whose claim was lost.

        All in one transaction where that is safe, so that the disk is waited for once.

        :param batches: by ``batch_id``, which is new for each attempt; no two records share an identifier.
        :raises LedgerError: if the database fails, or the commit's fate is not known; then nothing may be sent.
        :raises SupersededError: if a newer execution of the run has registered; the results are not written then.
        :raises SyncTakenError: if the ``sync_id`` belongs to another destination; so do all methods that write.
        """
        if not batches:
            self.record_results(results)
            return {}
        claims = self._claimed(batches)
        # MySQL and MariaDB lock each row that a claim looks at, even another's: two that hold the rows of their answers
        # meanwhile would wait for each other.
        if results and (self._tables.flavour in COLLATIONS or any(claim.read_as_sending() for claim in claims)):
            self.record_results(results)
            results = ()
        try:
            lost = self._claim(claims, results)
        except DataRefusedError:
            # Each of them knows what to do without.
            self.record_results(results)
            claims = [ClaimedBatch(claim.number, claim.batch, "never", alone=True) for claim in claims]
            lost = self._claim(claims)
        self._sending.update(claim.number for claim in claims if not claim.alone and claim.number not in lost)
        return {name: lost[claim.number] for name, claim in zip(batches, claims, strict=True) if claim.number in lost}

    def _claimed(self, batches: Mapping[str, Batch]) -> list[ClaimedBatch]:
        names = [identifier for batch in batches.values() for identifier in batch.identifiers]
        if len(set(names)) != len(names):
            raise ValueError("one claim names a record twice")
        claims = []
        for batch_id, batch in batches.items():
            number = number_of(batch_id)
            if number is None:
                raise ValueError("a batch is not named after this execution")
            claims.append(ClaimedBatch(number, batch, self._store, alone=self._alone))
        return claims

    def _claim(self, claims: Sequence[ClaimedBatch], results: Sequence[BatchResult] = ()) -> dict[int, list[int]]:
        """Write claims and results; return the places that were lost, by the numbers of their batches."""
        statements = self._statements
        insert = statements.insert_records if any(one.alone for one in claims) else statements.insert_sent
        unopened = {number for claim in claims for number in claim.read_as_sending()}

        def calls(sync_no: int) -> list[Call]:
            rows = [claim.records(sync_no) for claim in claims]
            new = sorted([row for some, _ in rows for row in some], key=IDENTIFIER)
            moved = sorted([row for _, some in rows for row in some], key=IDENTIFIER)
            settled, answered, answers = self._answer_calls(results, sync_no)
            begun = sorted(one.row(self._execution.run_no) for one in claims)
            inserted, renewed = (insert, new), (statements.move_records, moved)
            return [settled, answered, (statements.insert_batches, begun), inserted, answers, renewed]

        def write(connection: Connection) -> tuple[Written, dict[int, list[int]]]:
            sync = self._execution.hold(connection)
            open_batches(connection, self._tables, unopened)
            counts = in_steps(connection, self._remembered(connection, sync, calls(sync.sync_no)))
            # The drivers of MySQL and MariaDB count a lost insertion as one.
            counted = self._tables.flavour not in COLLATIONS
            is_whole = counted and counts[insert] + counts[statements.move_records] == total
            return counts, {} if is_whole else self._lost(connection, claims, sync.sync_no)

        total = sum(len(claim.batch) for claim in claims)
        if not unopened and not self._triggers:
            whole = (insert, statements.move_records)
            counts = self._exchanged(calls, fenced=True, whole=whole, repeatable=False)
            if counts is not None:
                self._settled(results, counts)
                return {}
        counts, lost = transact(self._engine, write)
        self._settled(results, counts)
        return self._changed(claims, lost) if self._triggers else lost

    def _lost(self, connection: Connection, claims: Sequence[ClaimedBatch], sync_no: int) -> dict[int, list[int]]:
        """Return the places of records whose row is not this execution's, by the numbers of their batches.

        These batches are opened in the same transaction: of one that has won nothing, nobody else would drop the body.
        """
        names = [identifier for claim in claims for identifier in claim.batch.identifiers]
        found = (row for some in chunks(names) for row in self._current.run(connection, sync_no, some))
        current = {name: (number, status) for name, number, status in found}
        lost: dict[int, list[int]] = {}
        for claim in claims:
            # An heir may have opened the batch since: its records are this execution's still.
            mine = {(claim.number, None), (claim.number, Status.SENDING.value)}
            places = [place for place, name in enumerate(claim.batch.identifiers) if current.get(name) not in mine]
            if places:
                lost[claim.number] = places
        open_batches(connection, self._tables, lost)
        return lost

    def _changed(self, claims: Sequence[ClaimedBatch], lost: dict[int, list[int]]) -> dict[int, list[int]]:
        """Return what is lost after the commit, as late as which a trigger may change a row."""
        found = transact(
            self._engine, lambda found: self._lost(found, claims, self.sync_no(found) or 0), repeatable=True
        )
        if found != lost:
            changed = sum(map(len, found.values()))
            table = self._tables.records.fullname
            log.warning("%s records are not sent: a trigger or rule of %s changes their marks", changed, table)
        return found

    def finish(self, summary: Mapping[str, Any], status: RunStatus | None, message: str | None = None) -> bool:
        """Write how this try ended; return whether it was written, which a newer execution prevents.

        :param summary: the counters by their names; what is not a counter is left out.
        """
        write = partial(self._execution.finish, summary=summary, status=status, message=message)
        return bool(self._execution.run_no) and transact(self._engine, write, repeatable=True)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()
