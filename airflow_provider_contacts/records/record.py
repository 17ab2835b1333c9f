"""One record by itself, and its outcome."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from airflow_provider_contacts.frozen import Value
from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.records.record_state import ABSENT, INTERRUPTED, RecordState
from airflow_provider_contacts.records.row_values import Reasons

NO_ERROR = RecordError("")
CERTAIN = frozenset({Status.FAILED, Status.REJECTED, Status.INVALID})


class Record(Value, frozen=True, kw_only=True):
    """One record by itself."""

    record_identifier: str
    row_index: int
    payload: Any  # as it is sent; of a refused record what is kept of it, ``None`` for what is no mapping
    body: bytes = b""  # the payload as it is sent, as JSON text
    payload_hash: str  # digest of the mapped payload alone, with its version
    errors: Reasons = ()  # why our own check refuses it; empty: it may be sent


def outcome_of(
    record: Record, status: Status, errors: tuple[RecordError, ...] = (), code: str | None = None, **more: Any
) -> Outcome:
    """Return the outcome of a record; ``more`` are its other fields, and ``code`` is for one without reasons.

    The reasons of an ``invalid`` record are those of our own check, unless others are given.
    """
    if status is Status.INVALID and not errors:
        errors = tuple(RecordError(*reason) for reason in record.errors)
    first = errors[0] if errors else NO_ERROR
    return Outcome(
        record_identifier=record.record_identifier,
        row_index=record.row_index,
        status=status,
        error_code=first.code or code,
        error_field=first.field,
        status_message=first.message,
        errors=errors,
        payload_hash=record.payload_hash,
        payload=record.payload,
        **more,
    )


def outcome_of_state(record: Record, state: RecordState, status: Status, sync_run_id: str) -> Outcome:
    """Return the outcome of a record that this execution does not send because of its state in the ledger."""
    same = state.payload_hash == record.payload_hash
    return replace(
        outcome_of(record, status),
        destination_record_id=state.destination_record_id,
        error_code=INTERRUPTED if state.status is Status.SENDING else state.error_code,
        error_field=state.error_field,
        status_message=state.status_message,
        errors=(),
        http_status=state.http_status,
        attempts=state.attempts,
        payload_hash=state.payload_hash,
        # What was sent, if today's is that: another one must not be looked for at the vendor.
        payload=record.payload if same else None,
        batch_id=state.batch_id,
        changed=status is Status.SKIPPED and not same,
        from_this_run=state.sync_run_id == sync_run_id,
    )


def remembering(outcome: Outcome) -> Outcome:
    """Return the outcome of a record that was in doubt once, with a reason by which a later execution knows of it."""
    if outcome.status not in CERTAIN or any(error.code == ABSENT for error in outcome.errors):
        return outcome
    first = RecordError(outcome.error_code or "", outcome.error_field, outcome.status_message)
    # The second one: of very many, the last are not kept.
    return replace(outcome, errors=(first, RecordError(ABSENT), *outcome.errors[1:]))
