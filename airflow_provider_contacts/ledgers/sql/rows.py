"""Marks and outcomes as rows: cleaned, cut, and no more of them than the payload policy allows."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from airflow_provider_contacts.ledgers.sql.column_texts import errors_json, payload_json
from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.records.record_state import Claim
from airflow_provider_contacts.vendor_kit.sanitize import MESSAGE_LENGTH, NAME_LENGTH, clean

Policy = Literal["undelivered", "all", "never"]
"""Which payloads are kept; ``"never"`` keeps no text of the vendor's either, which may echo them."""

Row = dict[str, Any]

# The only escape that JSONB does not take; a body is UTF-8, and so holds no surrogate.
ESCAPED_NUL = rb"\u0000"

TEXTS = ("error_field", "status_message", "errors", "record_payload")


def marked(mark: Claim, store: Policy) -> Row:
    """Return a mark as a row; ``read_*`` is the version that it replaces, ``None`` for no row at all."""
    standing = mark.standing
    return {
        "record_identifier": mark.record_identifier,
        "row_index": mark.row_index,
        "batch_id": mark.batch_id,
        "attempts": mark.attempts,
        "payload_hash": mark.payload_hash,
        "record_payload": None if store == "never" else stored_text(mark),
        "read_status": standing.status.value if standing else None,
        "read_batch_id": standing.batch_id if standing else None,
    }


def stored_text(mark: Claim) -> str | None:
    """Return the payload as JSON text that every database takes."""
    if mark.body is not None and ESCAPED_NUL not in mark.body:
        return mark.body.decode()
    return payload_json(mark.payload)


def answered(outcome: Outcome, store: Policy) -> Row:
    """Return an answer as a row; the payload stands in the table already."""
    silent = outcome.error_code is None and outcome.status_message is None and not outcome.errors
    said = SAID_NOTHING if silent and outcome.error_field is None else said_of(outcome, texts=store != "never")
    return {
        "record_identifier": outcome.record_identifier,
        "batch_id": outcome.batch_id,
        "status": str(outcome.status),
        "destination_record_id": clean(outcome.destination_record_id, NAME_LENGTH),
        "http_status": outcome.http_status,
        "attempts": outcome.attempts,
        **said,
    }


SAID_NOTHING: Mapping[str, str | None] = MappingProxyType(
    dict.fromkeys(("error_code", "error_field", "status_message", "errors"))
)


def said_of(outcome: Outcome, *, texts: bool) -> Mapping[str, str | None]:
    """Return why a record is not there.

    :param texts: whether the vendor's texts may be kept.
    """
    return {
        "error_code": clean(outcome.error_code, NAME_LENGTH),
        "error_field": clean(outcome.error_field, NAME_LENGTH),
        "status_message": clean(outcome.status_message, MESSAGE_LENGTH) if texts else None,
        "errors": errors_json(outcome.errors, messages=texts),
    }


def noted(outcome: Outcome, store: Policy) -> Row:
    """Return the outcome of a record that was not sent as a row."""
    return {
        **answered(outcome, store),
        "row_index": outcome.row_index,
        "payload_hash": outcome.payload_hash,
        "record_payload": payload_json(outcome.payload) if store != "never" else None,
    }


def without_text(row: Row) -> tuple[Row, ...]:
    """Return a row as it is, then ever shorter: what the database refuses must not cost the outcome itself."""
    textless = {**row, **dict.fromkeys(TEXTS)}
    return row, textless, {**textless, "error_code": None, "destination_record_id": None}
