"""What a ledger knows of a record, and what is written before it is sent."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_contacts.frozen import Value
from airflow_provider_contacts.outcome import Outcome, Status

INTERRUPTED = "interrupted"
"""Error code of a doubt whose request nobody saw the end of."""

ABSENT = "absent"
"""Error code of a record that was in doubt and that reading the vendor back did not find."""

BY_HAND = "settled_by_hand"
"""Error code of a record of which a person says that it does not exist."""

RESPECT = 3600.0
"""Seconds for which another run's ``sending`` is left alone."""

SETTLING = 5.0
"""Seconds after ``request_timeout`` by which every request of a dead worker has come to an end."""


class RecordState(Value, frozen=True, kw_only=True):
    """What the ledger holds of one record.

    :param oldest: seconds since its mark at most, where ``age`` is only the least; ``None``: ``age`` is exact.
    :param ended: seconds since its outcome was written (``batch_completed_at``), by the same clock; ``None`` without.
    :param was_in_doubt: an earlier request may have created it after all, although a reading or a person said no.
    :param is_forgotten: a person has asked not to be remembered, nor pushed again.
    """

    record_identifier: str
    status: Status
    batch_id: str | None = None  # with ``status`` the version of the row: every mark draws a new one
    sync_run_id: str | None = None  # the run that wrote it last
    payload_hash: str | None = None
    destination_record_id: str | None = None
    error_code: str | None = None
    error_field: str | None = None
    status_message: str | None = None
    http_status: int | None = None
    attempts: int = 0
    age: float = 0.0  # seconds since the row's mark (``batch_started_at``), by the ledger's own clock
    oldest: float | None = None
    ended: float | None = None
    was_in_doubt: bool = False
    is_forgotten: bool = False


def state_after(outcome: Outcome, sync_run_id: str, *, was_in_doubt: bool) -> RecordState:
    """Return the state of a record whose outcome has just been written."""
    return RecordState(
        record_identifier=outcome.record_identifier,
        status=outcome.status,
        batch_id=outcome.batch_id,
        sync_run_id=sync_run_id,
        payload_hash=outcome.payload_hash,
        destination_record_id=outcome.destination_record_id,
        error_code=outcome.error_code,
        error_field=outcome.error_field,
        status_message=outcome.status_message,
        http_status=outcome.http_status,
        attempts=outcome.attempts,
        was_in_doubt=was_in_doubt,
    )


@dataclass(frozen=True, slots=True)
class Holder:
    """A row whose record is a contact at the vendor."""

    id: str = field(repr=False)
    record_identifier: str | None = field(repr=False)  # ``None`` for a row of another ``sync_id``
