"""Records out of the outcome table instead of a source: which of them, and what is sent for a stored payload."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any

from msgspec.structs import replace

from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.batch import Batch, batch_of
from airflow_provider_contacts.records.keys import HASH_VERSION, rough_digest
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.record import Record
from airflow_provider_contacts.records.record_state import RecordState
from airflow_provider_contacts.records.row_values import Reasons
from airflow_provider_contacts.vendor_kit.vendor import Payload

UNMAPPED = frozenset({"missing_key", "invalid_key", "unknown_field", "conflict", "invalid_json", "not_json"})
"""Codes of records that were refused for their key, or before their columns had become fields.

What is stored of them may well be sound for the vendor, and must not be sent all the same.
"""

REPLACED = "\ufffd"
"""What stands in a stored text for characters that the table does not take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which rows of a ``sync_id`` are sent again."""

    statuses: frozenset[Status]  # of the rows; ``UNKNOWN`` names what was left ``sending``, too
    error_codes: tuple[str, ...] | None = None  # ``None`` for any
    since: datetime | None = None  # aware; rows whose outcome was written earlier are left alone
    max_attempts: int | None = None  # rows that so many requests have carried are left alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One row of the outcome table: its state, every reason, and its payload where a JSON object is stored."""

    state: RecordState
    reasons: Reasons = ()
    payload: Mapping[str, Any] | None = field(default=None, repr=False)


class StoredPayload(dict[str, Any]):
    """A payload, and the ``batch_id`` of its row: whoever writes another payload there writes another one, too."""

    __slots__ = ("batch_id",)

    def __init__(self, payload: Payload, batch_id: str | None) -> None:
        super().__init__(payload)
        self.batch_id = batch_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyMapper(Mapper):
    """Takes records that are prepared already, with their place in the input."""

    def prepare_chunk(
        self,
        first_row_index: int,  # noqa: ARG002  # the engine's signature
        rows: Sequence[Record],
    ) -> tuple[Batch, list[Record]]:
        """Return the records as they are."""
        in_order = sorted(rows, key=attrgetter("row_index"))
        return batch_of(row for row in in_order if not row.errors), [row for row in in_order if row.errors]


def restore(mapper: Mapper, stored: Stored) -> Record | None:
    """Return what is sent for a row of the outcome table, or why it must not be sent; ``None`` without its payload.

    It is checked anew, under the identifier and digest that it had. Of an ``invalid`` row the record as it was refused
    is stored, of every other one the payload as it was sent.
    """
    if stored.payload is None:
        return None
    state = stored.state
    if state.status is Status.INVALID:
        return refused_again(mapper, stored, stored.payload)
    found = mapper.prepare_as(state.record_identifier, without_added(mapper, stored.payload, state.record_identifier))
    if found.errors:
        return found
    if found.payload_hash != state.payload_hash and holds_replaced(stored.payload):
        return None
    return replace(found, payload=StoredPayload(found.payload, state.batch_id))


def refused_again(mapper: Mapper, stored: Stored, record: Mapping[str, Any]) -> Record:
    """Check a refused record again; one that is not stored exactly as it was read stays refused.

    The table holds what JSON can say: a date as text, for one, would now pass as the text that it never was.
    """
    state = stored.state
    if state.error_code not in UNMAPPED and f"{HASH_VERSION}:{rough_digest(record)}" == state.payload_hash:
        found = mapper.prepare_as(state.record_identifier, record)
        if not found.errors:
            return replace(found, payload=StoredPayload(found.payload, state.batch_id))
    return Record(
        record_identifier=state.record_identifier,
        row_index=0,
        errors=stored.reasons or ((state.error_code or "", state.error_field, state.status_message),),
        payload=record,
        payload_hash=state.payload_hash or "",
    )


def without_added(mapper: Mapper, sent: Mapping[str, Any], identifier: str) -> dict[str, Any]:
    """Return a payload without what we added to it: the destination's fields, and those that were generated."""
    vendor = mapper.vendor
    added = {*vendor.destination_fields(mapper.destination), *(setting.name for setting in vendor.destination.settings)}
    record = {name: value for name, value in sent.items() if name not in added}
    if vendor.generated is None:
        return record
    ours = set()
    for name, value in record.items():
        others = {one: record[one] for one in record if one != name}
        if vendor.generated(others, mapper.sync_id, identifier).get(name) == value:
            ours.add(name)
    return {name: value for name, value in record.items() if name not in ours}


def holds_replaced(value: Any) -> bool:
    """Tell whether a character stands somewhere that the table could not take."""
    return REPLACED in json.dumps(value, ensure_ascii=False)
