"""A row of the outcome table as the value that the next execution decides by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_contacts.errors import LedgerError
from airflow_provider_contacts.ledgers.sql.reconcile_queries import parsed
from airflow_provider_contacts.outcome import Status, digest_of
from airflow_provider_contacts.records.record_state import ABSENT, BY_HAND, RecordState

STANDING_COLUMNS = (
    "record_identifier",
    "status",
    "batch_id",
    "sync_run_id",
    "payload_hash",
    "destination_record_id",
    "error_code",
    "error_field",
    "status_message",
    "http_status",
    "attempts",
)


def standing_of(row: Mapping[Any, Any]) -> RecordState:
    """Return a row as a value, of :data:`STANDING_COLUMNS`, the two ages and the errors.

    :raises LedgerError: for a status that is none of ours, which only a person can have written.
    """
    values: dict[str, Any] = {str(name): value for name, value in row.items()}
    errors = values.pop("errors")
    age, attempts, text = values.pop("age"), values.pop("attempts"), values.pop("status")
    ended = values.pop("ended")
    try:
        status = Status(text)
    except ValueError:
        msg = (
            f"the row of record {digest_of(values['record_identifier'])} has a status that is none of "
            f"{', '.join(Status)}; correct it"
        )
        failure = LedgerError(msg)
    else:
        # A database whose clock was set back must not make a mark look old, nor one without a mark.
        return RecordState(
            **values,
            status=status,
            attempts=attempts or 0,
            age=max(0.0, float(age or 0.0)),
            ended=None if ended is None else max(0.0, float(ended)),
            was_in_doubt=values["error_code"] in {ABSENT, BY_HAND} or names_absent(errors),
        )
    raise failure


def names_absent(errors: Any) -> bool:
    """Tell whether stored reasons name a doubt that a reading has ended; nearly every row has none at all."""
    if not errors or (isinstance(errors, str) and ABSENT not in errors):
        return False
    reasons = parsed(errors)
    return isinstance(reasons, list) and any(isinstance(one, dict) and one.get("code") == ABSENT for one in reasons)
