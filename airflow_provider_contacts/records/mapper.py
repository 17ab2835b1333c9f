"""From plain rows to what is sent: columns to fields, shorthands, the contract, the bytes and their digests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import Any, Literal

from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.frozen import Value
from airflow_provider_contacts.records.batch import Batch
from airflow_provider_contacts.records.column_check import about_the_key, check_columns
from airflow_provider_contacts.records.columns import Columns, columns_of
from airflow_provider_contacts.records.keys import HASH_VERSION, PLAIN, canonical, digest, identifiers_of, rough_digest
from airflow_provider_contacts.records.row_values import NOT_A_MAPPING, Reasons, kept_of, reasons_of
from airflow_provider_contacts.vendor_kit.shorthands import Shorthand
from airflow_provider_contacts.vendor_kit.vendor import Destination, Payload, Vendor

MOST_COLUMNS = 100
"""Sets of columns that are remembered: the mappings of an upstream task may each have their own."""

Sound = tuple[int, str, Payload, bytes, str]
"""Row index, identifier, payload as sent, its JSON text, digest of the mapped payload with its version."""


class Record(Value, frozen=True, kw_only=True):
    """One record by itself.

    :param payload: as it is sent; of a refused record what is kept of it, ``None`` for what is no mapping.
    :param body: the payload as it is sent, as JSON text.
    :param payload_hash: digest of the mapped payload alone, with its version.
    :param errors: why our own check refuses it; empty: it may be sent.
    """

    record_identifier: str
    row_index: int
    payload: Any
    body: bytes = b""
    payload_hash: str
    errors: Reasons = ()


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
    # What follows from the fields above, for the sets of columns that were met.
    _columns: dict[tuple[str, ...], Columns] = field(default_factory=dict, init=False, repr=False, compare=False)

    def check(self, columns: Sequence[str] | None) -> None:
        """Check the parameters, and the source's columns where they are known; raise ``ConfigError``."""
        check_columns(self.vendor, columns, sync_key=self.sync_key, field_map=self.field_map, unmapped=self.unmapped)

    def prepare(self, row_index: int, row: Any) -> Record:
        """Return what is sent for a plain row, or why it must not be sent. Raises on no row whatsoever."""
        return records_of(*self.prepare_chunk(row_index, [row]))[0]

    def prepare_as(self, identifier: str, record: Mapping[str, Any]) -> Record:
        """Return what is sent for a row under an identifier that it has already."""
        return records_of(*in_columns(*self._prepare_alike(tuple(record), [0], [record], [identifier])))[0]

    def prepare_chunk(self, first_row_index: int, rows: Sequence[Any]) -> tuple[Batch, list[Record]]:
        """Return the sound ones of some plain rows, in columns, and the others, both in the order of the rows."""
        alike: dict[tuple[str, ...] | None, list[int]] = {}
        for place, row in enumerate(rows):
            alike.setdefault(tuple(row) if type(row) is dict else None, []).append(place)
        sound: list[Sound] = []
        invalid: list[Record] = []
        for names, places in alike.items():
            indexes = [first_row_index + place for place in places]
            found, refused = self._prepare_alike(names, indexes, [rows[place] for place in places])
            sound += found
            invalid += refused
        return in_columns(sound, invalid)

    def _prepare_alike(
        self,
        names: tuple[str, ...] | None,
        indexes: Sequence[int],
        rows: Sequence[Mapping[str, Any]],
        identifiers: Sequence[str | None] = (),
    ) -> tuple[list[Sound], list[Record]]:
        """Return the records of rows that have the same columns (``None``: no mappings), under known identifiers."""
        keyless: dict[int, Reasons] = {}
        refused: dict[int, Reasons] = {}
        columns = self._columns_of(names)
        if self.sync_key and not identifiers and columns.refusal is not NOT_A_MAPPING:
            identifiers = identifiers_of(rows, self.sync_key, keyless)
        mapped = columns.read(rows, refused)
        columns.check(mapped, refused)
        added = self.vendor.destination_fields(self.destination)
        sound: list[Sound] = []
        invalid: list[Record] = []
        for place, payload, body in self._checked(mapped, columns.words, added, refused):
            found = digest(body)
            if place in keyless:
                invalid.append(refuse(indexes[place], payload, keyless[place], found=found))
                continue
            identifier = (identifiers[place] if identifiers else None) or f"sha256:{found}"
            try:
                sent = self._sent(payload, added, identifier)
                text = body if sent is payload else self.encode(sent)
            except Exception as error:  # noqa: BLE001  # a vendor's function may raise anything
                refused[place] = reasons_of(error)
            else:
                sound.append((indexes[place], identifier, sent, text, f"{HASH_VERSION}:{found}"))
        for place, reasons in refused.items():
            told = keyless.get(place, ()) + about_the_key(reasons, self.sync_key, self.field_map, self.vendor.title)
            known = identifiers[place] if identifiers else None
            invalid.append(refuse(indexes[place], columns.readable(rows[place]), told, known))
        return sound, invalid

    def _checked(
        self, mapped: Sequence[Payload], words: Sequence[Shorthand], added: Payload, refused: dict[int, Reasons]
    ) -> Iterator[tuple[int, Payload, bytes]]:
        """Yield place, payload and JSON text of the records that pass the contract; ``refused`` has the others."""
        contract = self.vendor.contract
        reserved = {*added, *(setting.name for setting in self.vendor.destination.settings)}
        for place, fields in enumerate(mapped):
            if place in refused:
                continue
            try:
                for word in words:
                    word.apply(fields)
                payload = contract.check(fields)
                if not reserved.isdisjoint(payload):
                    self._leave_out_destination(payload, added)
                body = self.encode(payload)
            except Exception as error:  # noqa: BLE001  # a vendor's function may raise anything
                refused[place] = reasons_of(error)
            else:
                yield place, payload, body

    def _leave_out_destination(self, payload: Payload, added: Payload) -> None:
        """Take the destination's fields out of a payload that repeats them; what a ``sync_id`` has sent is in one."""
        for setting in self.vendor.destination.settings:
            if setting.name not in added and payload.pop(setting.name, None) is not None:
                text = "set it in the destination, not in the record"
                raise InvalidRecordError([("not_allowed", setting.name, text)])
        for name, value in added.items():
            given = payload.pop(name, None)
            if given is not None and str(given).casefold() != str(value).casefold():
                raise InvalidRecordError([("conflict", name, "differs from the destination")])

    def encode(self, payload: Payload) -> bytes:
        """Return the canonical JSON text of a checked payload; raises where JSON or UTF-8 cannot say a value."""
        # Which encoder writes a field follows from the contract alone, so that a digest never depends on the way.
        return PLAIN.encode(payload) if self.vendor.contract.loose.isdisjoint(payload) else canonical(payload)

    def _sent(self, payload: Payload, added: Payload, identifier: str) -> Payload:
        """Return a checked payload with the destination's fields and the generated ones."""
        if self.vendor.generated is not None:
            added = {**added, **self.vendor.generated(payload, self.sync_id, identifier)}
        return {**payload, **added} if added else payload

    def _columns_of(self, names: tuple[str, ...] | None) -> Columns:
        if names is None or not all(isinstance(name, str) for name in names):
            return Columns(refusal=NOT_A_MAPPING)
        columns = self._columns.get(names)
        if columns is None:
            columns = columns_of(
                names, self.vendor, sync_key=self.sync_key, field_map=self.field_map, unmapped=self.unmapped
            )
            if len(self._columns) < MOST_COLUMNS:
                self._columns[names] = columns
        return columns


def in_columns(sound: list[Sound], invalid: list[Record]) -> tuple[Batch, list[Record]]:
    """Return records in the order of their rows."""
    sound.sort(key=itemgetter(0))
    invalid.sort(key=attrgetter("row_index"))
    indexes, identifiers, payloads, bodies, hashes = zip(*sound, strict=True) if sound else ((),) * 5
    batch = Batch(identifiers=identifiers, row_indexes=indexes, payloads=payloads, bodies=bodies, payload_hashes=hashes)
    return batch, invalid


def records_of(batch: Batch, invalid: Sequence[Record]) -> list[Record]:
    """Return the records of a chunk, one by one, in the order of their rows."""
    records: list[Record] = [*(record_at(batch, place) for place in range(len(batch))), *invalid]
    return sorted(records, key=attrgetter("row_index"))


def record_at(batch: Batch, place: int) -> Record:
    """Return one record of a batch by itself."""
    return Record(
        record_identifier=batch.identifiers[place],
        row_index=batch.row_indexes[place],
        payload=batch.payloads[place],
        body=batch.bodies[place],
        payload_hash=batch.payload_hashes[place],
    )


def refuse(
    row_index: int, record: Any, reasons: Reasons, identifier: str | None = None, found: str | None = None
) -> Record:
    """Return a record that is not sent; without an identifier its digest, found here or before, stands for it."""
    kept = kept_of(record)
    found = found or rough_digest(kept)
    return Record(
        record_identifier=identifier or f"sha256:{found}",
        row_index=row_index,
        errors=reasons,
        payload=kept if type(kept) is dict else None,
        payload_hash=f"{HASH_VERSION}:{found}",
    )
