"""One execution of a replay: records in the outcome table are sent again, as far as a selection names them."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import fields
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from airflow_provider_contacts.errors import UndeliveredError
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.batch import Finished, records_of
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.record import Record, outcome_of_state
from airflow_provider_contacts.records.stored_payloads import ReadyMapper, Stored, restore
from airflow_provider_contacts.task.execution import Execution
from airflow_provider_contacts.task.replay_parameters import selection_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_contacts.ledgers.sql.selection import SelectedRows
    from airflow_provider_contacts.sources import RowSource
    from airflow_provider_contacts.task.base_operator import ContactsOperator
    from airflow_provider_contacts.task.pushing import Intake

log = logging.getLogger(__name__)

CHUNK = 500
"""Rows of a query that are looked up at once."""

HINTS = {
    "payload_not_stored": "the outcome table does not keep the payload (any more): give the record by sql",
    "not_in_query": "the query does not give it; sync_key, field_map and unmapped must be those of the push",
}
"""Codes of records that this replay cannot send, and what a person can do."""

HOPELESS = "hopeless"


class ReplayExecution(Execution):
    """One execution of a replay; records that cannot be sent are counted in the report at once."""

    _selected: SelectedRows

    def __init__(self, operator: ContactsOperator, context: Context) -> None:
        super().__init__(operator, context)
        self._selection = selection_of(self.parsed)
        # What is not sent, by the codes of HINTS, and what no further try can send.
        self._leftover: Counter[str] = Counter()
        self._index = -1

    @contextmanager
    def intake(self) -> Iterator[Intake]:
        """Open the selected rows, and the query if their payloads come from one."""
        from airflow_provider_contacts.ledgers.sql.selection import SelectedRows

        opening = self.opening()
        with ExitStack() as opened:
            self._selected = opened.enter_context(closing(SelectedRows.open(opening, self._selection)))
            if not self._selected.known:
                log.warning("sync_id %s has no rows in %s: nothing is sent again", self.report.sync_id, opening.table)
            if self.parsed["sql"] is None:
                mapper = self.mapper(None)
                records = self._from_table(mapper)
            else:
                source = opened.enter_context(self.rows())
                mapper = self.mapper(source.columns)
                records = self._from_query(source, mapper)
            # The same mapper, for records that are prepared already.
            ready = ReadyMapper(**{one.name: getattr(mapper, one.name) for one in fields(mapper) if one.init})
            yield records, ready

    def not_tolerated(self) -> UndeliveredError | None:
        """Return why the task must fail; records alone that no try can send are no reason to try again."""
        error, codes = super().not_tolerated(), self._leftover.keys() & HINTS.keys()
        for code in codes:
            log.warning("%s selected records were not sent, %s: %s", self._leftover[code], code, HINTS[code])
        if error is None:
            return None
        hints = "".join(f"; {code}: {HINTS[code]}" for code in sorted(codes))
        retryable = error.retryable and self.report.statuses[Status.FAILED] > self._leftover[HOPELESS]
        return UndeliveredError(f"{error}{hints}", retryable=retryable)

    def _from_table(self, mapper: Mapper) -> Iterator[Record]:
        """Yield the selected rows' records with their stored payloads."""
        for page in self._selected.pages():
            for stored in page:
                if stored.state.status is Status.SUCCEEDED or self._has_had_enough(stored):
                    self._leave(stored)
                    continue
                record = restore(mapper, stored)
                if record is None:
                    self._leave(stored, "payload_not_stored")
                elif record.errors and stored.state.status is Status.INVALID:
                    self._leave(stored)
                else:
                    yield self._numbered(record)

    def _from_query(self, rows: RowSource, mapper: Mapper) -> Iterator[Record]:
        """Yield the records of a query that are selected, and count the selected that it does not give.

        Remembers a digest of each record that is selected and given, some hundred bytes.
        """
        given: set[bytes] = set()
        others = 0
        for chunk in chunks(rows):
            records = records_of(*mapper.prepare_chunk(0, chunk))
            selected = self._selected.among({record.record_identifier for record in records})
            for record in records:
                stored = selected.get(record.record_identifier)
                if stored is None:
                    others += 1
                    continue
                given.add(short_digest(record.record_identifier))
                if self._has_had_enough(stored):
                    self._leave(stored)
                else:
                    yield self._numbered(record)
        log.info("The query gave %s records that are selected, and %s that are not", len(given), others)
        for page in self._selected.pages():
            for stored in page:
                if not (self._is_own(stored) or short_digest(stored.state.record_identifier) in given):
                    self._leave(stored, "not_in_query")

    def _numbered(self, record: Record) -> Record:
        self._index += 1
        return replace(record, row_index=self._index)

    def _has_had_enough(self, stored: Stored) -> bool:
        """Tell whether a row that an earlier try of this run selected has been sent as often as it may."""
        most = self._selection.max_attempts
        return most is not None and stored.state.attempts >= most and not self._is_own(stored)

    def _is_own(self, stored: Stored) -> bool:
        """Tell whether this very execution has written the row."""
        return (stored.state.batch_id or "").startswith(f"{self.ledger.token}.")

    def _leave(self, stored: Stored, code: str | None = None) -> None:
        """Count a record by its row, which stays as it is.

        :param code: why it cannot be sent; ``None`` if its status says enough.
        """
        state, run = stored.state, self.ledger.sync_run_id
        match state.status:
            case Status.SUCCEEDED:
                status, code = Status.SKIPPED, None
            case Status.UNKNOWN | Status.SENDING:
                status = Status.UNKNOWN
            case Status.REJECTED | Status.INVALID if state.sync_run_id == run or code is None:
                status, code = state.status, None
            case _:
                status = Status.FAILED
                self._leftover[HOPELESS] += 1
        self._index += 1
        record = Record(
            record_identifier=state.record_identifier,
            row_index=self._index,
            payload=None,
            payload_hash=state.payload_hash or "",
        )
        outcome = outcome_of_state(record, state, status, run)
        if code is not None:
            self._leftover[code] += 1
            outcome = replace(outcome, error_code=code, error_field=None, status_message=HINTS[code])
        with self.interrupts.whole():
            self.report.add(Finished(others=[outcome]))


def chunks(rows: RowSource) -> Iterator[list[Any]]:
    """Yield the rows in lists; the rows that a source gives before it fails come before its error."""
    while chunk := rows.look_ahead(CHUNK):
        deque(islice(rows, len(chunk)), maxlen=0)
        yield chunk
    # Raises what the source failed with.
    yield from rows


def short_digest(identifier: str) -> bytes:
    """Return sixteen bytes that stand for an identifier."""
    return blake2b(identifier.encode("utf-8", "surrogatepass"), digest_size=16).digest()
