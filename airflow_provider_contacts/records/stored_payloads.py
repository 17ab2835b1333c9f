"""Records out of the outcome table instead of a source: which of them, and what is sent for a stored payload."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.columns import Reasons
from airflow_provider_contacts.records.keys import HASH_VERSION, digest, rough_digest
from airflow_provider_contacts.records.mapper import NO_MAPPING, InvalidRecord, Mapper, Prepared
from airflow_provider_contacts.records.record_state import RecordState
from airflow_provider_contacts.vendor_kit.vendor import Payload

UNMAPPED = frozenset({"missing_key", "invalid_key", "unknown_field", "conflict", "invalid_json", "not_json"})
"""Codes of records that were refused for their key, or before their columns had become fields.

What is stored of them may well be sound for the vendor, and must not be sent all the same.
"""

REPLACED = "\ufffd"
"""What stands in a stored text for signs that the table does not take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which rows of a ``sync_id`` are sent again.

    :param statuses: of the rows; ``UNKNOWN`` names what was left ``sending``, too.
    :param error_codes: ``None`` for any.
    :param since: aware; rows whose outcome was written earlier are left alone.
    :param max_attempts: rows that so many requests have carried are left alone.
    """

    statuses: frozenset[Status]
    error_codes: tuple[str, ...] | None = None
    since: datetime | None = None
    max_attempts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One row of the outcome table.

    :param standing: what the engine decides by.
    :param reasons: every reason that stands there.
    :param payload: ``None`` where none is stored, or none that is a JSON object.
    """

    standing: RecordState
    reasons: Reasons = ()
    payload: Mapping[str, Any] | None = field(default=None, repr=False)


class StoredPayload(dict[str, Any]):
    """A payload and where it was read from.

    :param batch_id: of its row: whoever writes another payload there writes another ``batch_id``, too.
    """

    __slots__ = ("batch_id",)

    def __init__(self, payload: Payload, batch_id: str | None) -> None:
        super().__init__(payload)
        self.batch_id = batch_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyMapper(Mapper):
    """Takes records that are prepared already, with their place in the input."""

    def prepare(self, row_index: int, row: Any) -> Prepared | InvalidRecord:  # noqa: ARG002  # the engine's signature
        """Return the record as it is."""
        ready: Prepared | InvalidRecord = row
        return ready


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMapper(Mapper):
    """How stored payloads become payloads again: checked anew, under the identifier and digest that they had."""

    def check(self, columns: Sequence[str] | None) -> None:
        """Check nothing: a stored payload has fields, not columns."""

    def restore(self, stored: Stored) -> Prepared | InvalidRecord | None:
        """Return what is sent for a row, or why it must not be sent; ``None`` if the payload is not there.

        Of an ``invalid`` row the record as it was refused is stored, of every other one the payload as it was sent.
        """
        if stored.payload is None:
            return None
        if stored.standing.status is Status.INVALID:
            return self._checked_again(stored, stored.payload)
        return self._sent_again(stored, stored.payload)

    def _checked_again(self, stored: Stored, record: Mapping[str, Any]) -> Prepared | InvalidRecord:
        """Check a refused record again; one that is not stored exactly as it was read stays refused.

        The table holds what JSON can say: a date as text, for one, would now pass as the text that it never was.
        """
        standing = stored.standing
        refused = still_refused(stored)
        if standing.error_code in UNMAPPED or f"{HASH_VERSION}:{rough_digest(record)}" != standing.payload_hash:
            return refused
        try:
            payload = self._read(record)
            return self._ready(standing, payload, self._destination(payload))
        except (InvalidRecordError, RecursionError):
            return refused

    def _sent_again(self, stored: Stored, sent: Mapping[str, Any]) -> Prepared | InvalidRecord | None:
        standing = stored.standing
        record = self._as_mapped(sent, standing.record_identifier)
        try:
            payload = self._read(record)
            ready = self._ready(standing, payload, self.vendor.destination_fields(self.destination))
        except InvalidRecordError as error:
            return self._invalid(0, standing.record_identifier, record, error.errors)
        if ready.payload_hash != standing.payload_hash and holds_replaced(sent):
            return None
        return ready

    def _read(self, record: Mapping[str, Any]) -> Payload:
        """Return a record's payload.

        :raises InvalidRecordError: for a record that our own check refuses.
        """
        columns = self.columns(record)
        if columns is None:
            raise InvalidRecordError([("not_a_mapping", None, NO_MAPPING)])
        return self._payload(columns.read(record), columns)

    def _as_mapped(self, sent: Mapping[str, Any], identifier: str) -> dict[str, Any]:
        """Return a payload without what we added to it: the destination's fields, and those that were generated."""
        added = {*self.vendor.destination_fields(self.destination)}
        added |= {setting.name for setting in self.vendor.destination.settings}
        record = {name: value for name, value in sent.items() if name not in added}
        generated = self.vendor.generated
        if generated is None:
            return record
        ours = [
            name
            for name, value in record.items()
            if generated({one: record[one] for one in record if one != name}, self.sync_id, identifier).get(name)
            == value
        ]
        return {name: value for name, value in record.items() if name not in ours}

    def _ready(self, standing: RecordState, payload: Payload, added: Payload) -> Prepared:
        """Return a checked payload as it is sent.

        :raises InvalidRecordError: where JSON or UTF-8 cannot say it.
        """
        plain = self.encode(payload)
        if self.vendor.generated is not None:
            added = {**added, **self.vendor.generated(payload, self.sync_id, standing.record_identifier)}
        sent = {**payload, **added}
        return Prepared(
            record_identifier=standing.record_identifier,
            row_index=0,
            payload=StoredPayload(sent, standing.batch_id),
            body=self.encode(sent) if added else plain,
            payload_hash=f"{HASH_VERSION}:{digest(plain)}",
        )


def still_refused(stored: Stored) -> InvalidRecord:
    """Return a record that our own check refused, as its row says."""
    standing = stored.standing
    first = (standing.error_code or "", standing.error_field, standing.status_message)
    return InvalidRecord(
        record_identifier=standing.record_identifier,
        row_index=0,
        errors=stored.reasons or (first,),
        payload=stored.payload,
        payload_hash=standing.payload_hash or "",
    )


def holds_replaced(value: Any) -> bool:
    """Tell whether a sign stands somewhere that the table could not take."""
    return REPLACED in json.dumps(value, ensure_ascii=False)
