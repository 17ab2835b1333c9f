"""A row of the tables as the value that the next execution decides by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, func  # noqa: TID253  # imported only by what uses a table

from airflow_provider_contacts.errors import LedgerError
from airflow_provider_contacts.ledgers.sql.batch_numbers import name_of
from airflow_provider_contacts.ledgers.sql.clock import seconds_since
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.outcome import Status, digest_of
from airflow_provider_contacts.records.record_state import ABSENT, BY_HAND, RecordState

OF_RECORD = (
    *("record_identifier", "status", "batch_no", "payload_hash", "destination_record_id"),
    *("error_code", "error_field", "status_message", "attempts"),
)
AS_THEY_ARE = (
    *("record_identifier", "sync_run_id", "payload_hash", "destination_record_id"),
    *("error_code", "error_field", "status_message", "http_status", "attempts"),
)


def state_columns(tables: Tables) -> list[ColumnElement[Any]]:
    """Return the columns that :func:`state_of` takes, out of what ``lookups.joined`` offers."""
    records, batches = tables.records.c, tables.batches.c
    ended = func.coalesce(records.settled_at, batches.batch_completed_at)
    return [
        *(records[name] for name in OF_RECORD),
        batches.http_status,
        tables.runs.c.sync_run_id,
        seconds_since(batches.batch_started_at, tables.flavour).label("age"),
        seconds_since(ended, tables.flavour).label("ended"),
        # As text on every database: drivers read JSON each in its own way.
        cast(records.errors, Text).label("errors"),
    ]


def state_of(row: Mapping[Any, Any]) -> RecordState:
    """Return a row as a value, of :func:`state_columns`, perhaps among others.

    :raises LedgerError: for a status that is none of ours or none at all, which only a person can have written.
    """
    ended = row["ended"]
    try:
        status = Status(row["status"])
    except ValueError:
        digest = digest_of(row["record_identifier"])
        msg = f"the row of record {digest} has a status that is none of {', '.join(Status)}; correct it"
        failure = LedgerError(msg)
    else:
        # A database whose clock was set back must not make a mark look old, nor one without a mark.
        return RecordState(
            **{name: row[name] for name in AS_THEY_ARE},
            status=status,
            batch_id=name_of(row["batch_no"]),
            age=max(0.0, float(row["age"] or 0.0)),
            ended=None if ended is None else max(0.0, float(ended)),
            was_in_doubt=row["error_code"] in {ABSENT, BY_HAND} or names_absent(row["errors"]),
        )
    raise failure


def names_absent(errors: Any) -> bool:
    """Tell whether stored reasons name a doubt that a reading has ended; nearly every row has none at all."""
    if not errors or (isinstance(errors, str) and ABSENT not in errors):
        return False
    reasons = parsed(errors)
    return isinstance(reasons, list) and any(isinstance(one, dict) and one.get("code") == ABSENT for one in reasons)


def parsed(stored: Any) -> Any:
    """Return stored JSON, which some drivers parse already; ``None`` for none, and for what is no JSON."""
    try:
        return json.loads(stored) if isinstance(stored, str | bytes) else stored
    except (ValueError, RecursionError):
        return None
