"""From a row to what is sent: columns to fields, missing values left out, shorthands, the contract, the bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.frozen import Value
from airflow_provider_contacts.records.column_check import about_the_key, check_columns, check_targets
from airflow_provider_contacts.records.columns import Layout, Reasons, layout_of
from airflow_provider_contacts.records.keys import (
    HASH_VERSION,
    canonical,
    digest,
    identifier_of,
    rough_digest,
)
from airflow_provider_contacts.records.plain_values import rough
from airflow_provider_contacts.vendor_kit.vendor import Destination, Payload, Vendor

MOST_LAYOUTS = 100
"""Sets of columns that are remembered: the mappings of an upstream task may each have their own."""

NOT_A_MAPPING: Reasons = (("not_a_mapping", None, "a record is a mapping of column names to values"),)


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
    _layouts: dict[tuple[str, ...], Layout] = field(default_factory=dict, init=False, repr=False, compare=False)

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
        """Return what is sent for a row, or why it must not be sent. Raises on no row whatsoever."""
        try:
            layout = self.layout(row) if isinstance(row, Mapping) else None
        except Exception as error:  # noqa: BLE001  # an object's own methods may raise anything
            text = f"reading its columns raises {type(error).__name__}"
            return self._unfit(row_index, None, None, (("not_a_mapping", None, text),))
        if layout is None:
            return self._unfit(row_index, None, row, NOT_A_MAPPING)
        return self._prepared(row_index, row, layout)

    def _prepared(self, row_index: int, row: Mapping[str, Any], layout: Layout) -> Prepared | InvalidRecord:
        """Return what is sent for a row of known columns, or why it must not be sent."""
        identifier: str | None = None
        errors: Reasons = ()
        try:
            identifier = identifier_of(row, self.sync_key) if self.sync_key else None
        except InvalidRecordError as error:
            errors = tuple((code, ",".join(self.sync_key), text) for code, _, text in error.errors)
        mapped: dict[str, Any] = {}
        try:
            mapped = layout.read(row)
            payload = self._payload(mapped, layout)
            added = self._destination(payload)
            plain = encode(payload)
        except InvalidRecordError as error:
            found = about_the_key(error.errors, self.sync_key, self.field_map, self.vendor.title)
            return self._unfit(row_index, identifier, mapped or row, errors + found)
        except RecursionError:
            return self._unfit(
                row_index, identifier, None, (*errors, ("not_json", None, "nested too deeply, or in itself"))
            )
        except ValueError:
            # Python writes no integer of more than 4,300 digits.
            return self._unfit(
                row_index, identifier, None, (*errors, ("not_json", None, "a number with too many digits"))
            )
        payload_digest = digest(plain)
        if errors:
            return self._unfit(row_index, None, payload, errors, payload_digest)
        identifier = identifier or f"sha256:{payload_digest}"
        if self.vendor.generated is not None:
            added = {**added, **self.vendor.generated(payload, self.sync_id, identifier)}
        sent = {**payload, **added} if added else payload
        return Prepared(
            record_identifier=identifier,
            row_index=row_index,
            payload=sent,
            body=encode(sent) if added else plain,
            payload_hash=f"{HASH_VERSION}:{payload_digest}",
        )

    def _unfit(
        self,
        row_index: int,
        identifier: str | None,
        record: Any,
        errors: Reasons,
        known_digest: str | None = None,
    ) -> InvalidRecord:
        shown = rough(record)
        found = known_digest or rough_digest(shown)
        return InvalidRecord(
            record_identifier=identifier or f"sha256:{found}",
            row_index=row_index,
            errors=errors,
            payload=shown if type(shown) is dict else None,
            payload_hash=f"{HASH_VERSION}:{found}",
        )

    def layout(self, row: Mapping[str, Any]) -> Layout | None:
        """Return how rows with these columns are read; ``None`` where a name is no text."""
        names = tuple(row)
        layout = self._layouts.get(names)
        if layout is None:
            if not all(isinstance(name, str) for name in names):
                return None
            layout = layout_of(
                names,
                self.vendor.contract,
                field_of=lambda name: self.field_map.get(name, name),
                ignored=lambda name: name in self.sync_key or self.unmapped == "ignore",
                title=self.vendor.title,
            )
            if len(self._layouts) < MOST_LAYOUTS:
                self._layouts[names] = layout
        return layout

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

    def _payload(self, mapped: dict[str, Any], layout: Layout) -> Payload:
        """Return the checked payload of a row's fields."""
        layout.check(mapped)
        contract = self.vendor.contract
        return contract.check(contract.shape(dict(mapped)))


def encode(payload: Payload) -> bytes:
    """Return a payload's JSON text.

    :raises InvalidRecordError: where JSON or UTF-8 cannot say a value.
    """
    try:
        return canonical(payload)
    except UnicodeEncodeError:
        raise InvalidRecordError(
            [("invalid_text", None, "a text holds a lone surrogate, which UTF-8 cannot carry")]
        ) from None
    except (ValueError, TypeError, RecursionError):
        raise InvalidRecordError([("not_json", None, "a value cannot be written as JSON")]) from None
