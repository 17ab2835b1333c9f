"""The tables as a ledger: what an execution must know before it sends, and what it learned."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.sql.batch_numbers import number_of
from airflow_provider_contacts.ledgers.sql.db_errors import DataRefusedError
from airflow_provider_contacts.ledgers.sql.executions import Execution
from airflow_provider_contacts.ledgers.sql.outcome_writer import OutcomeWriter
from airflow_provider_contacts.ledgers.sql.rows import IDENTIFIER, ClaimedBatch, Policy
from airflow_provider_contacts.ledgers.sql.statements import open_batches
from airflow_provider_contacts.ledgers.sql.tables import COLLATIONS, Tables
from airflow_provider_contacts.ledgers.sql.transactions import Call, transact
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.batch import Batch, BatchResult

if TYPE_CHECKING:
    from sqlalchemy import Engine

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
        binding: Binding,
        execution: Execution,
        store: Policy,
        *,
        exists: bool = True,
        triggers: bool = False,
    ) -> None:
        super().__init__(engine, tables, binding, execution, store, exists=exists)
        self.warnings: tuple[str, ...] = ()
        self._triggers = triggers
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
        unopened = {number for claim in claims for number in claim.reads_sending()}
        # MySQL and MariaDB lock each row that a claim looks at, even another's: two that hold the rows of their answers
        # meanwhile would wait for each other.
        if results and (unopened or self._tables.flavour in COLLATIONS):
            self.record_results(results)
            results = ()
        try:
            certain = self._claim(claims, unopened, results)
        except DataRefusedError:
            # Each of them knows what to do without.
            self.record_results(results)
            claims = [ClaimedBatch(claim.number, claim.batch, "never", alone=True) for claim in claims]
            certain = self._claim(claims, unopened)
        lost = self._lost(claims, certain=certain)
        self._sending.update(claim.number for claim in claims if not claim.alone)
        if lost:
            transact(self._engine, lambda found: open_batches(found, self._tables, lost), repeatable=True)
            self._sending.difference_update(lost)
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

    def _claim(
        self, claims: Sequence[ClaimedBatch], unopened: Collection[int], results: Sequence[BatchResult] = ()
    ) -> bool:
        """Write claims and results; return whether the counts say that all claims were won."""

        def calls(sync_no: int, run_no: int) -> list[Call]:
            new = sorted(chain.from_iterable(one.new_rows(sync_no) for one in claims), key=IDENTIFIER)
            moved = sorted(chain.from_iterable(one.moved_rows(sync_no) for one in claims), key=IDENTIFIER)
            settled, answered, answers = self._answer_calls(results, sync_no)
            begun = sorted(one.row(run_no) for one in claims)
            statements = self._statements
            insert = statements.insert_records if any(one.alone for one in claims) else statements.insert_sent
            inserted, renewed = (insert, new), (statements.move_records, moved)
            return [settled, answered, (statements.insert_batches, begun), inserted, answers, renewed]

        counts = self._write(calls, fenced=True, unopened=unopened)
        self._settled(results, counts[0])
        return self._counts and counts[3] + counts[5] == sum(len(one.batch) for one in claims)

    def _lost(self, claims: Sequence[ClaimedBatch], *, certain: bool) -> dict[int, list[int]]:
        """Return the places of records whose row is not this execution's, by the numbers of their batches."""
        if certain and not self._triggers:
            return {}
        names = [identifier for claim in claims for identifier in claim.batch.identifiers]
        current = self._read(names)
        lost: dict[int, list[int]] = {}
        for claim in claims:
            # An heir may have opened the batch since: its records are this execution's still.
            mine = {(claim.number, None), (claim.number, Status.SENDING.value)}
            if found := [place for place, name in enumerate(claim.batch.identifiers) if current.get(name) not in mine]:
                lost[claim.number] = found
        if certain and lost:
            changed = sum(map(len, lost.values()))
            table = self._tables.records.fullname
            log.warning("%s records are not sent: a trigger or rule of %s changes their marks", changed, table)
        return lost

    def finish(self, summary: Mapping[str, Any], status: RunStatus | None, message: str | None = None) -> bool:
        """Write how this try ended; return whether it was written, which a newer execution prevents.

        :param summary: the counters by their names; what is not a counter is left out.
        """
        write = partial(self._execution.finish, summary=summary, status=status, message=message)
        return self._execution.run_no is not None and transact(self._engine, write, repeatable=True)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()
