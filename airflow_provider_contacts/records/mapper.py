"""From plain rows to what is sent: columns to fields, shorthands, the contract, the bytes and their digests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any, Literal

from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.records.batch import Batch, joined, records_of
from airflow_provider_contacts.records.column_check import check_columns
from airflow_provider_contacts.records.columns import Columns, columns_of
from airflow_provider_contacts.records.keys import HASH_VERSION, PLAIN, canonical, digest, identifiers_of, rough_digest
from airflow_provider_contacts.records.record import Record
from airflow_provider_contacts.records.row_values import NOT_A_MAPPING, Reasons, kept_of, reasons_of
from airflow_provider_contacts.vendor_kit.vendor import Destination, Payload, Vendor

MOST_COLUMNS = 100
"""Sets of columns that are remembered: the mappings of an upstream task may each have their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapper:
    """How rows of one push become payloads of one vendor."""

    vendor: Vendor
    destination: Destination
    sync_id: str
    sync_key: tuple[str, ...] = ()  # source columns that identify a record; empty: its payload does
    field_map: Mapping[str, str] = field(default_factory=dict)  # source column to vendor field
    unmapped: Literal["error", "ignore"] = "error"  # what a column is that means nothing to the vendor
    untyped: bool = False  # the source gives texts alone, and an empty one for a missing value
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
        return records_of(*self._prepare_alike(tuple(record), [0], [record], [identifier]))[0]

    def prepare_chunk(self, first_row_index: int, rows: Sequence[Any]) -> tuple[Batch, list[Record]]:
        """Return the sound ones of some plain rows, in columns, and the others, both in the order of the rows."""
        alike: dict[tuple[str, ...] | None, list[int]] = {}
        for place, row in enumerate(rows):
            alike.setdefault(tuple(row) if type(row) is dict else None, []).append(place)
        sound: list[Batch] = []
        invalid: list[Record] = []
        for names, places in alike.items():
            indexes = [first_row_index + place for place in places]
            found, refused = self._prepare_alike(names, indexes, [rows[place] for place in places])
            sound.append(found)
            invalid += refused
        batch = joined(sound)
        if len(alike) > 1:
            batch = batch.select(sorted(range(len(batch)), key=batch.row_indexes.__getitem__))
        return batch, sorted(invalid, key=attrgetter("row_index"))

    def _prepare_alike(
        self,
        names: tuple[str, ...] | None,
        indexes: Sequence[int],
        rows: Sequence[Mapping[str, Any]],
        identifiers: Sequence[str | None] = (),
    ) -> tuple[Batch, list[Record]]:
        """Return the records of rows that have the same columns (``None``: no mappings), under known identifiers."""
        columns = self._columns_of(names)
        keyless: dict[int, Reasons] = {}
        refused: dict[int, Reasons] = {}
        if self.sync_key and not identifiers and columns.refusal is not NOT_A_MAPPING:
            identifiers = identifiers_of(rows, self.sync_key, keyless, untyped=self.untyped)
        payloads = self._checked(columns, columns.read(rows, refused), refused)
        bodies = each(self.encode, refused, payloads)
        digests = each(digest, refused, bodies)
        pairs = zip(identifiers or [None] * len(rows), digests, strict=True)
        known = [identifier or f"sha256:{found}" for identifier, found in pairs]
        invalid = [
            refuse(indexes[place], payloads[place], why, found=digests[place])
            for place, why in keyless.items()
            if place not in refused
        ]
        added = self.vendor.destination_fields(self.destination)
        if added or self.vendor.generated is not None:
            payloads = each(partial(self._sent, added), refused, payloads, known)
            bodies = each(self.encode, refused, payloads)
        for place, reasons in refused.items():
            identifier = identifiers[place] if identifiers else None
            told = keyless.get(place, ()) + reasons
            invalid.append(refuse(indexes[place], columns.readable(rows[place]), told, identifier))
        hashes = [f"{HASH_VERSION}:{found}" for found in digests]
        batch = Batch(identifiers=known, row_indexes=indexes, payloads=payloads, bodies=bodies, payload_hashes=hashes)
        if invalid:
            batch = batch.select([place for place in range(len(rows)) if place not in refused and place not in keyless])
        return batch, invalid

    def _checked(self, columns: Columns, mapped: Sequence[Payload], refused: dict[int, Reasons]) -> Sequence[Payload]:
        """Return mapped records as they are sent to any destination; ``refused`` takes why one is not."""
        for word in columns.words:
            one_by_one(word.apply, refused, mapped)
        payloads = each(self.vendor.contract.check, refused, mapped)
        added = self.vendor.destination_fields(self.destination)
        settings = [setting.name for setting in self.vendor.destination.settings]
        if self.vendor.contract.fields.keys() & {*added, *settings}:
            one_by_one(partial(leave_out, added, [name for name in settings if name not in added]), refused, payloads)
        return payloads

    def encode(self, payload: Payload) -> bytes:
        """Return the canonical JSON text of a checked payload; raises where JSON or UTF-8 cannot say a value."""
        # Which encoder writes a field follows from the contract alone, so that a digest never depends on the way.
        return PLAIN.encode(payload) if self.vendor.contract.loose.isdisjoint(payload) else canonical(payload)

    def _sent(self, added: Payload, payload: Payload, identifier: str) -> Payload:
        """Return a checked payload with the destination's fields and the generated ones."""
        generated = self.vendor.generated
        return {**payload, **added, **(generated(payload, self.sync_id, identifier) if generated is not None else {})}

    def _columns_of(self, names: tuple[str, ...] | None) -> Columns:
        if names is None or not all(isinstance(name, str) for name in names):
            return Columns(refusal=NOT_A_MAPPING)
        columns = self._columns.get(names)
        if columns is None:
            columns = columns_of(
                names,
                self.vendor,
                sync_key=self.sync_key,
                field_map=self.field_map,
                unmapped=self.unmapped,
                untyped=self.untyped,
            )
            if len(self._columns) < MOST_COLUMNS:
                self._columns[names] = columns
        return columns


def each(work: Callable[..., Any], refused: dict[int, Reasons], *columns: Sequence[Any]) -> list[Any]:
    """Return what a function without effects makes of each place of some columns; see :func:`one_by_one`."""
    if not refused:
        with suppress(Exception):
            found = list(map(work, *columns))
            if len(found) == len(columns[0]):
                return found
    return one_by_one(work, refused, *columns)


def one_by_one(work: Callable[..., Any], refused: dict[int, Reasons], *columns: Sequence[Any]) -> list[Any]:
    """Return what a function makes of each place of some columns; ``refused`` takes, by place, why it raises."""
    found: list[Any] = []
    for place, values in enumerate(zip(*columns, strict=True)):
        made = None
        if place not in refused:
            try:
                made = work(*values)
            except Exception as error:  # noqa: BLE001  # a vendor's function may raise anything
                refused[place] = reasons_of(error)
        found.append(made)
    return found


def leave_out(added: Payload, others: Collection[str], payload: Payload) -> None:
    """Take the destination's fields out of a payload that repeats them; what a ``sync_id`` has sent is in one."""
    for name in others:
        if payload.pop(name, None) is not None:
            raise InvalidRecordError([("not_allowed", name, "set it in the destination, not in the record")])
    for name, value in added.items():
        given = payload.pop(name, None)
        if given is not None and str(given).casefold() != str(value).casefold():
            raise InvalidRecordError([("conflict", name, "differs from the destination")])


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
