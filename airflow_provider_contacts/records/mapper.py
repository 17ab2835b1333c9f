"""From a row to what is sent: columns to fields, missing values left out, shorthands, the contract, the bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Literal

from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.frozen import Value
from airflow_provider_contacts.records.batch import Batch
from airflow_provider_contacts.records.column_check import about_the_key, check_columns, check_targets
from airflow_provider_contacts.records.columns import Columns, Reasons, columns_of
from airflow_provider_contacts.records.keys import (
    HASH_VERSION,
    PLAIN,
    canonical,
    digest,
    identifier_of,
    identifiers_of,
    is_plain,
    rough_digest,
)
from airflow_provider_contacts.records.refused import kept_of
from airflow_provider_contacts.records.row_values import Unreadable
from airflow_provider_contacts.vendor_kit.vendor import Destination, Payload, Vendor

MOST_COLUMNS = 100
"""Sets of columns that are remembered: the mappings of an upstream task may each have their own."""

NO_MAPPING = "a record is a mapping of column names to values"


Sound = tuple[int, str, Payload, bytes, str]
"""A record that may be sent: row index, identifier, payload as sent, its bytes, digest."""


class Prepared(Value, frozen=True, kw_only=True):
    """A record that may be sent.

    :param payload: as it will be sent, destination and generated fields included.
    :param body: the encoded payload.
    :param payload_hash: digest of the mapped payload alone.
    """

    record_identifier: str
    row_index: int
    payload: Payload
    body: bytes
    payload_hash: str


class InvalidRecord(Value, frozen=True, kw_only=True):
    """A record that our own check refuses, with every reason as ``(code, field, message)``."""

    record_identifier: str
    row_index: int
    errors: Reasons
    payload: Mapping[str, Any] | None = None
    payload_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapper:
    """How rows of one push become payloads of one vendor.

    :param sync_key: source columns that identify a record; empty: its payload does.
    :param field_map: source column to vendor field.
    :param unmapped: what a column is that means nothing to the vendor.
    """

    vendor: Vendor
    destination: Destination
    sync_id: str
    sync_key: tuple[str, ...] = ()
    field_map: Mapping[str, str] = field(default_factory=dict)
    unmapped: Literal["error", "ignore"] = "error"
    # What follows from the fields above, for the sets of columns that were met: computed again, it would be the same.
    _columns: dict[tuple[str, ...], Columns] = field(default_factory=dict, init=False, repr=False, compare=False)

    def check(self, columns: Sequence[str] | None) -> None:
        """Check the parameters, and the source's columns where they are known, before anything is sent.

        :raises ConfigError: naming the columns and what is allowed.
        """
        check_targets(self.vendor, self.field_map)
        if columns is not None:
            check_columns(
                self.vendor, columns, sync_key=self.sync_key, field_map=self.field_map, unmapped=self.unmapped
            )

    def prepare(self, row_index: int, row: Any) -> Prepared | InvalidRecord:
        """Return what is sent for a plain row, or why it must not be sent. Raises on no row whatsoever."""
        try:
            return self._prepare(row_index, row)
        except Exception as error:  # noqa: BLE001  # a moment's zone, or a vendor's function, may raise anything
            found = rough_digest(["unreadable", row_index])
            identifier = None
            with suppress(Exception):
                identifier = identifier_of(row, self.sync_key) if self.sync_key else None
            return InvalidRecord(
                record_identifier=identifier or f"sha256:{found}",
                row_index=row_index,
                errors=(("invalid_value", None, f"a value raises {type(error).__name__} when it is read"),),
                payload_hash=f"{HASH_VERSION}:{found}",
            )

    def prepare_chunk(self, first_row_index: int, rows: Sequence[Any]) -> tuple[Batch, list[InvalidRecord]]:
        """Return the sound records of some rows, in columns, and the others: each as :meth:`prepare` returns it."""
        try:
            records = self._prepare_alike(first_row_index, rows) if rows else []
        except Exception:  # noqa: BLE001  # whatever a row's objects raise: then each row is prepared by itself
            records = []
        invalid: list[InvalidRecord] = []
        known = {row_index for row_index, *_ in records}
        for row_index, row in enumerate(rows, first_row_index):
            if row_index not in known:
                one = self.prepare(row_index, row)
                if isinstance(one, InvalidRecord):
                    invalid.append(one)
                else:
                    records.append((one.row_index, one.record_identifier, one.payload, one.body, one.payload_hash))
        records.sort(key=itemgetter(0))
        columns = zip(*records, strict=True) if records else ((),) * 5
        row_indexes, identifiers, payloads, bodies, payload_hashes = map(list, columns)
        batch = Batch(
            identifiers=identifiers,
            row_indexes=row_indexes,
            payloads=payloads,
            bodies=bodies,
            payload_hashes=payload_hashes,
        )
        return batch, invalid

    def _prepare_alike(self, first_row_index: int, rows: Sequence[Any]) -> list[Sound]:
        """Return the records of those rows that have the columns of the first one and that no check dislikes."""
        names = list(rows[0])
        columns = self.columns(rows[0])
        if type(rows[0]) is not dict or columns is None or columns.refusal:
            return []
        alike = [place for place, row in enumerate(rows) if type(row) is dict and list(row) == names]
        chosen = [rows[place] for place in alike] if len(alike) < len(rows) else rows
        refused: set[int] = set()
        keys = identifiers_of(chosen, self.sync_key, refused) if self.sync_key else None
        mapped = columns.read_all(chosen, refused)
        added = self.vendor.destination_fields(self.destination)
        contract = self.vendor.contract
        reserved = {*added, *(setting.name for setting in self.vendor.destination.settings)}
        special = contract.loose | reserved
        places: list[int] = []
        payloads: list[Payload] = []
        for place, fields in enumerate(mapped):
            if place in refused:
                continue
            try:
                payload = contract.check(contract.shape(fields))
            except InvalidRecordError:
                continue
            if special.isdisjoint(payload) or (is_plain(payload) and reserved.isdisjoint(payload)):
                places.append(place)
                payloads.append(payload)
        bodies = PLAIN.encode_lines(payloads).split(b"\n")[:-1]
        digests = list(map(digest, bodies))
        identifiers = [keys[place] for place in places] if keys else [f"sha256:{one}" for one in digests]
        if added or self.vendor.generated is not None:
            payloads = [
                self._sent(payload, added, identifier)
                for payload, identifier in zip(payloads, identifiers, strict=True)
            ]
            bodies = list(map(self.encode, payloads))
        hashes = [f"{HASH_VERSION}:{one}" for one in digests]
        indexes = [first_row_index + alike[place] for place in places]
        return list(zip(indexes, identifiers, payloads, bodies, hashes, strict=True))

    def _sent(self, payload: Payload, added: Payload, identifier: str) -> Payload:
        """Return a checked payload with the destination's fields and the generated ones."""
        if self.vendor.generated is not None:
            added = {**added, **self.vendor.generated(payload, self.sync_id, identifier)}
        return {**payload, **added} if added else payload

    def _prepare(self, row_index: int, row: Any) -> Prepared | InvalidRecord:
        columns = self.columns(row) if type(row) is dict else None
        if columns is None:
            reason = row.reason if type(row) is Unreadable else None
            text = reason[1] if reason is not None and reason[0] == "not_a_mapping" else NO_MAPPING
            return self._invalid(row_index, None, row, (("not_a_mapping", None, text),))
        identifier: str | None = None
        errors: Reasons = ()
        try:
            identifier = identifier_of(row, self.sync_key) if self.sync_key else None
        except InvalidRecordError as error:
            errors = tuple((code, ",".join(self.sync_key), text) for code, _, text in error.errors)
        mapped: dict[str, Any] = {}
        try:
            mapped = columns.read(row)
            payload = self._payload(mapped, columns)
            added = self._destination(payload)
            body = self.encode(payload)
        except InvalidRecordError as error:
            found = about_the_key(error.errors, self.sync_key, self.field_map, self.vendor.title)
            return self._invalid(row_index, identifier, mapped or row, errors + found)
        except (RecursionError, ValueError):
            # Python writes no integer of more than 4,300 digits.
            text = "nested too deeply, or a number with too many digits"
            return self._invalid(row_index, identifier, None, (*errors, ("not_json", None, text)))
        payload_digest = digest(body)
        if errors:
            return self._invalid(row_index, None, payload, errors, payload_digest)
        identifier = identifier or f"sha256:{payload_digest}"
        sent = self._sent(payload, added, identifier)
        return Prepared(
            record_identifier=identifier,
            row_index=row_index,
            payload=sent,
            body=body if sent is payload else self.encode(sent),
            payload_hash=f"{HASH_VERSION}:{payload_digest}",
        )

    def _invalid(
        self,
        row_index: int,
        identifier: str | None,
        record: Any,
        errors: Reasons,
        known_digest: str | None = None,
    ) -> InvalidRecord:
        shown = kept_of(record)
        found = known_digest or rough_digest(shown)
        return InvalidRecord(
            record_identifier=identifier or f"sha256:{found}",
            row_index=row_index,
            errors=errors,
            payload=shown if type(shown) is dict else None,
            payload_hash=f"{HASH_VERSION}:{found}",
        )

    def columns(self, row: Mapping[str, Any]) -> Columns | None:
        """Return how rows with these columns are read; ``None`` where a name is no text."""
        names = tuple(row)
        columns = self._columns.get(names)
        if columns is None:
            if not all(isinstance(name, str) for name in names):
                return None
            columns = columns_of(
                names,
                self.vendor.contract,
                field_of=lambda name: self.field_map.get(name, name),
                ignored=lambda name: name in self.sync_key or self.unmapped == "ignore",
                title=self.vendor.title,
            )
            if len(self._columns) < MOST_COLUMNS:
                self._columns[names] = columns
        return columns

    def _destination(self, payload: Payload) -> Payload:
        """Return the fields that name the destination, and take them out of a payload that repeats them.

        A record must not choose another destination: what is remembered under a ``sync_id`` belongs to one.
        """
        fields = self.vendor.destination_fields(self.destination)
        for setting in self.vendor.destination.settings:
            if setting.name in payload and setting.name not in fields:
                given = payload.pop(setting.name)
                if given is not None:
                    text = "set it in the destination, not in the record"
                    raise InvalidRecordError([("not_allowed", setting.name, text)])
        for name, value in fields.items():
            if name in payload:
                given = payload.pop(name)
                if given is not None and str(given).casefold() != str(value).casefold():
                    raise InvalidRecordError([("conflict", name, "differs from the destination")])
        return fields

    def _payload(self, mapped: dict[str, Any], columns: Columns) -> Payload:
        """Return the checked payload of a row's fields."""
        columns.check(mapped)
        contract = self.vendor.contract
        return contract.check(contract.shape(dict(mapped)))

    def encode(self, payload: Payload) -> bytes:
        """Return the canonical JSON text of a checked payload.

        :raises InvalidRecordError: where JSON or UTF-8 cannot say a value.
        """
        try:
            return PLAIN.encode(payload) if self.vendor.contract.loose.isdisjoint(payload) else canonical(payload)
        except UnicodeEncodeError:
            raise InvalidRecordError(
                [("invalid_text", None, "a text holds a lone surrogate, which UTF-8 cannot carry")]
            ) from None
        except (ValueError, TypeError, RecursionError):
            raise InvalidRecordError([("not_json", None, "a value cannot be written as JSON")]) from None
