"""From the source to the queue: rows are read and prepared by chunks, looked up in the ledger, and decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import structs

from airflow_provider_contacts.engine.context import Counts
from airflow_provider_contacts.engine.interrupts import Interrupts
from airflow_provider_contacts.engine.policy import Decision, decide
from airflow_provider_contacts.engine.ports import States
from airflow_provider_contacts.engine.seen_keys import Keys
from airflow_provider_contacts.errors import LedgerError
from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.records.batch import NOTHING, Batch, History, batch_of, records_of
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.record import Record, outcome_of, outcome_of_state, remembering
from airflow_provider_contacts.records.record_state import SETTLING, RecordState
from airflow_provider_contacts.records.stored_payloads import StoredPayload
from airflow_provider_contacts.vendor_kit.push_settings import OnUnknown, PushSettings

ELSEWHERE = "another run of the same sync_id is sending this record"
NOT_UNIQUE = "two records share this sync key and differ: choose columns for sync_key that are unique to each record"

OUTDATED = {
    Decision.SEND: Decision.ELSEWHERE,
    Decision.RESEND: Decision.HOLD,
    Decision.RECONCILE: Decision.HOLD,
}
"""What becomes of a stored payload whose row has been written since: another one may stand there."""


@dataclass(slots=True, kw_only=True)
class AdmittedChunk:
    """What is decided about one chunk of the source."""

    batch: Batch = NOTHING  # records to send, not cut into requests yet
    later: list[Batch] = field(default_factory=list)  # batches of one record each, which have a moment of their own
    outcomes: list[Outcome] = field(default_factory=list)  # records that are decided already
    unsent: list[Outcome] = field(default_factory=list)  # those among them that want a row
    interrupted: list[Outcome] = field(default_factory=list)  # those that a dead execution left ``sending``
    in_doubt: list[tuple[Record, RecordState]] = field(default_factory=list)  # records to look for at the vendor first
    looked_at: float = 0.0  # the moment (monotonic) before their rows were read
    error: Exception | None = None  # why nothing follows, of the source or of the ledger


class Admission:
    """The rows of one push, chunk by chunk; ``on_unknown`` stands in place of that of the settings."""

    def __init__(
        self,
        rows: Iterator[Any],
        *,
        mapper: Mapper,
        ledger: States,
        settings: PushSettings,
        on_unknown: OnUnknown,
        monotonic: Callable[[], float] = time.monotonic,
        interrupts: Interrupts | None = None,
        counts: Counts | None = None,
    ) -> None:
        self.keys = Keys(mapper.sync_key, token=ledger.token)
        self._rows = rows
        self._mapper, self._ledger = mapper, ledger
        self._on_unknown = on_unknown
        # As many rows are read and looked up at once as can be in flight, within bounds.
        self._chunk_size = min(2000, max(100, settings.limits.batch_size * settings.limits.max_in_flight))
        # Seconds after its mark by which a request of any execution has ended.
        self._settling = settings.request_timeout + SETTLING
        self._monotonic = monotonic
        self._interrupts = interrupts or Interrupts()
        self._counts = counts or Counts()
        self._chunks = 0

    def take(self) -> AdmittedChunk | None:
        """Read, prepare and decide one chunk; ``None`` at the end of the source."""
        rows: list[Any] = []
        failure: Exception | None = None
        try:
            self._interrupts.read(self._rows, self._chunk_size, rows)
        except Exception as error:  # noqa: BLE001  # whatever the source raises, raised again at the end of the push
            failure = error
        self._counts.is_read = len(rows) < self._chunk_size and not self._interrupts.pending
        if not rows:
            return AdmittedChunk(error=failure) if failure is not None else None
        sound, invalid = self._mapper.prepare_chunk(self._counts.num_read, rows)
        self._counts.num_read += len(rows)
        chunk = AdmittedChunk(looked_at=self._monotonic(), error=failure)
        identifiers = {*sound.identifiers, *(record.record_identifier for record in invalid)}
        try:
            wanted = identifiers - self.keys.active.keys()
            states = self._ledger.states(wanted) if wanted else {}
        except LedgerError as error:
            return AdmittedChunk(outcomes=not_attempted(sound, invalid), error=error)
        self._chunks += 1
        self._decide_all(sound, invalid, states, chunk)
        return chunk

    def end(self) -> None:
        """Read no more."""
        self._rows = iter(())

    def decide_again(self, lost: Batch) -> AdmittedChunk:
        """Decide anew about records whose claim was lost: another execution has written their rows."""
        chunk = AdmittedChunk(looked_at=self._monotonic())
        states = self._ledger.states(lost.identifiers)
        for place, identifier in enumerate(lost.identifiers):
            record = lost.record(place)
            history = self._decide(record, states.get(identifier), chunk)
            if history is not None:
                again = structs.replace(history, claims=lost.history(place).claims + 1)
                chunk.later.append(batch_of([record], [again], due=self._monotonic() + self._rest(history)))
        return chunk

    def _decide_all(
        self,
        sound: Batch,
        invalid: Sequence[Record],
        states: Mapping[str, RecordState],
        chunk: AdmittedChunk,
    ) -> None:
        """Admit by columns what nothing is known of, and decide about the others one by one."""
        known = {*states, *self.keys.known(sound.identifiers), *(record.record_identifier for record in invalid)}
        if not known:
            self.keys.active.update(zip(sound.identifiers, sound.payload_hashes, strict=True))
            chunk.batch = sound
            return
        admitted = [place for place, identifier in enumerate(sound.identifiers) if identifier not in known]
        self.keys.active.update((sound.identifiers[place], sound.payload_hashes[place]) for place in admitted)
        places = {sound.row_indexes[place]: place for place, one in enumerate(sound.identifiers) if one in known}
        records: list[Record] = [*map(sound.record, places.values()), *invalid]
        histories: dict[int, History] = {}
        for record in sorted(records, key=lambda one: one.row_index):
            same = self.keys.is_same(record)
            if same is not None:
                chunk.outcomes.append(self._later_one(record, same=same))
                continue
            history = self._decide(record, states.get(record.record_identifier), chunk)
            if history is None or record.errors:
                continue
            if (rest := self._rest(history)) > 0:
                # It leaves alone, and only when the earlier request must have ended.
                chunk.later.append(batch_of([record], [history], due=self._monotonic() + rest))
                continue
            histories[places[record.row_index]] = history
        chunk.batch = structs.replace(sound, histories=histories).select(sorted([*admitted, *histories]))

    def _rest(self, history: History) -> float:
        """Return the seconds until the request that left a record in doubt must have ended."""
        state = history.state
        return max(0.0, self._settling - state.age) if history.doubted and state is not None else 0.0

    def _later_one(self, record: Record, *, same: bool) -> Outcome:
        if same:
            return self._outcome(record, Status.DUPLICATE)
        self.keys.not_unique += 1
        error = RecordError("key_not_unique", ",".join(self._mapper.sync_key) or None, NOT_UNIQUE)
        return outcome_of(record, Status.INVALID, (error,))

    def _decide(self, record: Record, state: RecordState | None, chunk: AdmittedChunk) -> History | None:
        """Decide about one record; return its history if it is to be sent."""
        identifier = record.record_identifier
        decision = decide(
            state,
            record.payload_hash,
            fit=not record.errors,
            token=self._ledger.token,
            sync_run_id=self._ledger.sync_run_id,
            on_unknown=self._on_unknown,
        )
        if is_outdated(record, state):
            decision = OUTDATED.get(decision, decision)
        if decision in {Decision.SEND, Decision.RESEND}:
            self.keys.active[identifier] = record.payload_hash
            reconciled = state is not None and state.was_in_doubt
            return History(state=state, doubted=decision is Decision.RESEND, reconciled=reconciled)
        if decision is Decision.RECONCILE and state is not None:
            self.keys.active[identifier] = record.payload_hash
            chunk.in_doubt.append((record, state))
            return None
        self.keys.active.pop(identifier, None)
        outcome = self._decided(record, state, decision)
        if decision is Decision.SKIP and not self.keys.skip(record):
            # One delivery, however often its key comes.
            outcome = structs.replace(outcome, from_this_run=False)
        chunk.outcomes.append(outcome)
        if decision is Decision.INVALID:
            chunk.unsent.append(outcome)
        if decision not in {Decision.SKIP, Decision.DUPLICATE, Decision.NOT_UNIQUE}:
            self.keys.remember(identifier, record.payload_hash)
        if decision is Decision.HOLD and state is not None and state.status is Status.SENDING:
            chunk.interrupted.append(outcome)
        return None

    def _decided(self, record: Record, state: RecordState | None, decision: Decision) -> Outcome:
        if decision is Decision.ELSEWHERE:
            outcome = outcome_of(record, Status.FAILED, code="claimed_elsewhere")
            return structs.replace(outcome, status_message=ELSEWHERE)
        if state is not None and state.is_forgotten:
            is_own = state.status is Status.SUCCEEDED and state.sync_run_id == self._ledger.sync_run_id
            return structs.replace(outcome_of(record, Status.SKIPPED), from_this_run=is_own)
        if decision is Decision.INVALID or state is None:
            outcome = self._outcome(record, Status.INVALID)
            return remembering(outcome) if state is not None and state.was_in_doubt else outcome
        if decision in {Decision.DUPLICATE, Decision.NOT_UNIQUE}:
            return self._later_one(record, same=decision is Decision.DUPLICATE)
        status = {Decision.SKIP: Status.SKIPPED, Decision.HOLD: Status.UNKNOWN}.get(decision, state.status)
        return outcome_of_state(record, state, status, self._ledger.sync_run_id)

    def _outcome(self, record: Record, status: Status) -> Outcome:
        return outcome_of(record, status, batch_id=f"{self._ledger.token}.i{self._chunks}")


def is_outdated(record: Record, state: RecordState | None) -> bool:
    """Tell whether the row of a stored payload has been written by another execution since it was read."""
    payload = record.payload
    return isinstance(payload, StoredPayload) and (state is None or state.batch_id != payload.batch_id)


def not_attempted(sound: Batch, invalid: Sequence[Record]) -> list[Outcome]:
    """Return the outcomes of a chunk of which nothing could be found out; they get no rows of their own."""
    return [outcome_of(one, Status.FAILED, code="not_attempted") for one in records_of(sound, invalid)]
