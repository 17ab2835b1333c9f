"""From a row to what is sent: columns to fields, missing values left out, shorthands, the contract, the bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_contacts.core.errors import ConfigError, InvalidRecordError
from airflow_provider_contacts.core.identity import (
    HASH_VERSION,
    canonical,
    digest,
    identifier_of,
    is_missing,
    rough_digest,
)
from airflow_provider_contacts.core.vendor import Destination, Payload, RecordContract, Vendor

if TYPE_CHECKING:
    from pydantic import ValidationError

# Types of pydantic's own errors to the codes that all vendors share; a type of ours is its own code.
CODES = {
    "missing": "missing_field",
    "extra_forbidden": "unknown_field",
    "string_too_long": "too_long",
    "too_long": "too_long",
    "string_too_short": "too_short",
    "too_short": "too_short",
    "literal_error": "not_allowed",
    "enum": "not_allowed",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
    "finite_number": "out_of_range",
    "string_pattern_mismatch": "invalid_format",
    "string_unicode": "invalid_text",
    "value_error": "invalid_value",
    "assertion_error": "invalid_value",
}
WRONG_TYPE_ENDINGS = ("_type", "_parsing", "_from_float", "_attributes_type", "_parsing_size")


Reasons = tuple[tuple[str, str | None, str | None], ...]
"""Why a record is refused: ``(code, field, message)`` each."""

NOT_A_MAPPING: Reasons = (("not_a_mapping", None, "a record is a mapping of column names to values"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A record that may be sent.

    :param payload: as it will be sent, destination and generated fields included.
    :param body: the encoded payload.
    :param payload_hash: digest of the mapped payload alone.
    """

    record_identifier: str = field(repr=False)
    row_index: int
    payload: Payload = field(repr=False)
    body: bytes = field(repr=False)
    payload_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """A record that our own check refuses, with every reason as ``(code, field, message)``."""

    record_identifier: str = field(repr=False)
    row_index: int
    errors: Reasons
    payload: Mapping[str, Any] | None = field(default=None, repr=False)
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

    def check(self, columns: Sequence[str] | None) -> None:
        """Check the parameters, and the source's columns where they are known, before anything is sent.

        :raises ConfigError: naming the columns and what is allowed.
        """
        allowed = sorted(self.vendor.contract.model.model_fields) + sorted(self.vendor.contract.shorthands)
        strange = sorted(set(self.field_map.values()) - {name for name in self.field_map.values() if self.knows(name)})
        if strange:
            raise ConfigError(f"field_map names no field of {self.vendor.title}: {strange}; its fields are {allowed}")
        if columns is None:
            return
        self._check_present("sync_key", self.sync_key, columns)
        self._check_present("field_map", self.field_map, columns)
        targets = [self.field_map.get(column, column) for column in columns]
        twice = sorted({target for target in targets if targets.count(target) > 1})
        if twice:
            raise ConfigError(f"more than one column becomes the field {twice} of {self.vendor.title}")
        extra = [c for c in columns if c not in self.field_map and c not in self.sync_key and not self.knows(c)]
        if extra and self.unmapped == "error":
            raise ConfigError(
                f"columns {extra} are no fields of {self.vendor.title} (its fields are {allowed}): "
                'name them in field_map, leave them out, or set unmapped="ignore"'
            )

    def _check_present(self, parameter: str, wanted: Iterable[str], columns: Sequence[str]) -> None:
        absent = [column for column in wanted if column not in columns]
        if absent:
            raise ConfigError(f"{parameter} names columns {absent} that the source does not have: {list(columns)}")

    def knows(self, name: str) -> bool:
        """Tell whether a name is a native field or a shorthand of the vendor."""
        contract = self.vendor.contract
        return name in contract.model.model_fields or shorthand_target(contract, name) is not None

    def prepare(self, row_index: int, row: Any) -> Prepared | Unfit:
        """Return what is sent for a row, or why it must not be sent. Raises on no row whatsoever."""
        if not isinstance(row, Mapping) or not all(isinstance(name, str) for name in row):
            return self._unfit(row_index, None, row, NOT_A_MAPPING)
        identifier: str | None = None
        errors: Reasons = ()
        try:
            identifier = identifier_of(row, self.sync_key) if self.sync_key else None
        except InvalidRecordError as error:
            errors = tuple((code, ",".join(self.sync_key), text) for code, _, text in error.errors)
        mapped: dict[str, Any] = {}
        try:
            mapped = self._map(row)
            payload = self._payload(mapped)
            added = self._destination(payload)
            plain = encode(payload)
        except InvalidRecordError as error:
            return self._unfit(row_index, identifier, mapped or dict(row), errors + error.errors)
        except RecursionError:
            return self._unfit(row_index, identifier, None, (*errors, ("not_json", None, "nested without an end")))
        payload_digest = digest(plain)
        if errors:
            return self._unfit(row_index, None, payload, errors, payload_digest)
        identifier = identifier or f"sha256:{payload_digest}"
        if self.vendor.generated is not None:
            added |= self.vendor.generated(payload, self.sync_id, identifier)
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
    ) -> Unfit:
        found = known_digest or rough_digest(record)
        return Unfit(
            record_identifier=identifier or f"sha256:{found}",
            row_index=row_index,
            errors=errors,
            payload=record if isinstance(record, Mapping) else None,
            payload_hash=f"{HASH_VERSION}:{found}",
        )

    def _map(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Rename columns to fields and drop what is nothing."""
        mapped: dict[str, Any] = {}
        for column, value in row.items():
            name = self.field_map.get(column, column)
            if not self.knows(name):
                if column in self.sync_key or self.unmapped == "ignore":
                    continue
                raise InvalidRecordError([("unknown_field", name, f"not a field of {self.vendor.title}")])
            if name in mapped:
                raise InvalidRecordError([("conflict", name, "two columns become this field")])
            mapped[name] = value
        return clean(mapped, self.vendor.contract)

    def _destination(self, payload: Payload) -> Payload:
        """Return the fields that name the destination, and take them out of a payload that repeats them.

        A record must not choose another destination: what is remembered under a ``sync_id`` belongs to one.
        """
        fields = dict(self.vendor.destination_fields(self.destination))
        for name in {*fields, *(setting.name for setting in self.vendor.destination.settings)} & payload.keys():
            given = payload.pop(name)
            if given is None:
                continue
            if name not in fields:
                text = "set it in the destination, not in the record"
                raise InvalidRecordError([("not_allowed", name, text)])
            if str(given).casefold() != str(fields[name]).casefold():
                raise InvalidRecordError([("conflict", name, "differs from the destination")])
        return fields

    def _payload(self, mapped: dict[str, Any]) -> Payload:
        from pydantic import ValidationError
        from pydantic_core import PydanticSerializationError

        contract = self.vendor.contract
        for name in mapped:
            target = shorthand_target(contract, name)
            if target is not None and target != name and target in mapped:
                raise InvalidRecordError([("conflict", name, f"given together with {target}")])
        try:
            checked = contract.model.model_validate(contract.shape(dict(mapped)))
        except ValidationError as error:
            raise InvalidRecordError(reasons(error)) from None
        try:
            return checked.model_dump(mode="json", exclude_unset=True, by_alias=True)
        except (PydanticSerializationError, ValueError, TypeError):
            # Bytes that are no UTF-8, for one, are a plain UnicodeDecodeError.
            raise InvalidRecordError([("not_json", None, "a value cannot be written as JSON")]) from None


def shorthand_target(contract: RecordContract, name: str) -> str | None:
    """Return the native field that a flat name fills, or ``None`` if it is no shorthand."""
    if name in contract.shorthands:
        return contract.shorthands[name]
    prefix, dot, _ = name.partition(".")
    return contract.shorthands.get(f"{prefix}.*") if dot else None


def clean(mapped: Mapping[str, Any], contract: RecordContract) -> dict[str, Any]:
    """Leave out missing values and read JSON text in nested fields; everything else stays as it came.

    An empty text stays only where the field may not be omitted, so that the contract can refuse it.
    """
    kept: dict[str, Any] = {}
    for name, value in mapped.items():
        native = contract.model.model_fields.get(name)
        found = without_missing(parse_nested(name, value) if name in contract.nested else value)
        if is_missing(found):
            if found is None and name in contract.nullable:
                kept[name] = None
            continue
        if isinstance(found, str) and found == "" and (native is None or not native.is_required()):
            continue
        kept[name] = found
    return kept


def parse_nested(name: str, value: Any) -> Any:
    """Return a nested field's value, read from JSON text where it came as text."""
    if not isinstance(value, str) or not value:
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise InvalidRecordError([("invalid_json", name, "neither an object nor its JSON text")]) from None


def without_missing(value: Any) -> Any:
    """Return a value whose objects hold no missing members.

    :raises InvalidRecordError: for what pydantic would write as something else: an infinite number as null, a set in
        any order.
    """
    if isinstance(value, set | frozenset) or (isinstance(value, float | Decimal) and endless(value)):
        raise InvalidRecordError([("not_json", None, "a value cannot be written as JSON")])
    if isinstance(value, Mapping):
        return {name: without_missing(member) for name, member in value.items() if not is_missing(member)}
    if isinstance(value, list | tuple):
        return [None if is_missing(member) else without_missing(member) for member in value]
    return value


def endless(value: float | Decimal) -> bool:
    """Tell whether a number is infinite."""
    return value.is_infinite() if isinstance(value, Decimal) else math.isinf(value)


def encode(payload: Payload) -> bytes:
    """Return a payload's JSON text.

    :raises InvalidRecordError: where JSON or UTF-8 cannot say a value.
    """
    try:
        return canonical(payload)
    except UnicodeEncodeError:
        raise InvalidRecordError([("invalid_text", None, "a text holds half a sign (a lone surrogate)")]) from None
    except (ValueError, TypeError, RecursionError):
        raise InvalidRecordError([("not_json", None, "a value cannot be written as JSON")]) from None


def reasons(error: ValidationError) -> list[tuple[str, str | None, str | None]]:
    """Return pydantic's findings as ``(code, field, message)``, never with a value."""
    found: list[tuple[str, str | None, str | None]] = []
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        kind = one["type"]
        code = CODES.get(kind) or ("wrong_type" if kind.endswith(WRONG_TYPE_ENDINGS) else kind)
        found.append((code, ".".join(str(part) for part in one["loc"]) or None, one["msg"]))
    return found
