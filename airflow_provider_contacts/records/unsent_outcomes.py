"""Outcomes of records that are decided without a request: by our own check, or by their state in the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.records.mapper import Record
from airflow_provider_contacts.records.record_state import ABSENT, INTERRUPTED, RecordState

NOT_UNIQUE = "key_not_unique"
"""Error code of a record whose key came in this push before, with another payload."""

CERTAIN = frozenset({Status.FAILED, Status.REJECTED, Status.INVALID})


def own_outcome(record: Record, status: Status, batch_id: str | None = None, error_code: str | None = None) -> Outcome:
    """Return the outcome of a record that is decided here, without a row of its own where it has no ``batch_id``."""
    errors = tuple(RecordError(*reason) for reason in record.errors) if status is Status.INVALID else ()
    first = errors[0] if errors else RecordError(error_code or "")
    return Outcome(
        record_identifier=record.record_identifier,
        row_index=record.row_index,
        status=status,
        error_code=first.code or None,
        error_field=first.field,
        status_message=first.message,
        errors=errors,
        payload_hash=record.payload_hash,
        payload=record.payload,
        batch_id=batch_id,
    )


def not_unique(record: Record, sync_key: Sequence[str]) -> Outcome:
    """Return the outcome of a record whose key another one of this push has; the other one has the row."""
    text = "two records share this sync key and differ: choose columns for sync_key that are unique to each record"
    return own_outcome(replace(record, errors=((NOT_UNIQUE, ",".join(sync_key) or None, text),)), Status.INVALID)


def remembering(outcome: Outcome) -> Outcome:
    """Return the outcome of a record that was in doubt once, with a reason by which a later execution knows of it."""
    if outcome.status not in CERTAIN or any(error.code == ABSENT for error in outcome.errors):
        return outcome
    first = RecordError(outcome.error_code or "", outcome.error_field, outcome.status_message)
    # The second one: of very many, the last are not kept.
    return replace(outcome, errors=(first, RecordError(ABSENT), *outcome.errors[1:]))


def elsewhere(record: Record) -> Outcome:
    """Return the outcome of a record that another run is sending right now; it gets no row of its own."""
    outcome = own_outcome(record, Status.FAILED, error_code="claimed_elsewhere")
    return replace(outcome, status_message="another run of the same sync_id is sending this record")


def outcome_of_state(record: Record, state: RecordState, status: Status, sync_run_id: str) -> Outcome:
    """Return the outcome of a record that this execution does not send because of its state in the ledger."""
    return Outcome(
        record_identifier=record.record_identifier,
        row_index=record.row_index,
        status=status,
        destination_record_id=state.destination_record_id,
        error_code=INTERRUPTED if state.status is Status.SENDING else state.error_code,
        error_field=state.error_field,
        status_message=state.status_message,
        http_status=state.http_status,
        attempts=state.attempts,
        payload_hash=state.payload_hash,
        # What was sent, if today's is that: another one must not be looked for at the vendor.
        payload=record.payload if state.payload_hash == record.payload_hash else None,
        batch_id=state.batch_id,
        changed=status is Status.SKIPPED and state.payload_hash != record.payload_hash,
        from_this_run=state.sync_run_id == sync_run_id,
    )
