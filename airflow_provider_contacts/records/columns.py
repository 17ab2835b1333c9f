"""What rows of the same columns have in common, found out once: which column becomes which field."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.nearest import did_you_mean
from airflow_provider_contacts.records.row_values import MISSING, Reasons, is_missing, reasons_of
from airflow_provider_contacts.vendor_kit.shorthands import Shorthand
from airflow_provider_contacts.vendor_kit.vendor import Payload, Vendor

WHOLE = frozenset({int, bool})
TEXTS = frozenset({str})
TEXTS_AND_GAPS = frozenset({str, type(None)})


class Column(NamedTuple):
    """One column that means something to the vendor."""

    name: str
    field: str  # of the vendor: native, or a shorthand
    nested: bool  # JSON text is read
    nullable: bool  # a given ``None`` stays
    required: bool  # an empty text stays, so that the contract can refuse it
    from_text: Callable[[str], Any] | None = None  # of a source that knows no types

    def clean(self, value: Any) -> Any:
        """Return a value as its field gets it, ``MISSING`` for one that is left out."""
        if self.from_text is not None and type(value) is str:
            value = self.from_text(value)
        if self.nested and value and isinstance(value, str | bytes):
            value = parse_json(self.field, value)
        if value is None:
            return None if self.nullable else MISSING
        if is_missing(value):
            return MISSING
        if isinstance(value, datetime):
            return str(value.isoformat())
        return value if self.required or value != "" else MISSING

    def clean_all(self, values: list[Any], refused: dict[int, Reasons]) -> list[Any]:
        """Return the values of many rows as their field gets them; ``refused`` takes, by place, why it cannot."""
        kinds = set(map(type, values))
        if kinds <= WHOLE:
            return values
        gaps = not (self.nullable or self.required)
        if not self.nested and self.from_text is None and kinds <= (TEXTS_AND_GAPS if gaps else TEXTS):
            return values if self.required or all(values) else [value or MISSING for value in values]
        found = []
        for place, value in enumerate(values):
            try:
                found.append(self.clean(value))
            except Exception as error:  # noqa: BLE001  # a moment's zone may raise anything
                found.append(MISSING)
                refused.setdefault(place, reasons_of(error))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """How rows of one set of columns are read."""

    columns: tuple[Column, ...] = ()  # in the order of the rows, without those that mean nothing
    ignored: tuple[str, ...] = ()  # the other ones
    shorthands: tuple[tuple[str, str], ...] = ()  # the fields that fill another one of these columns, with that one
    words: tuple[Shorthand, ...] = ()  # those of the vendor's that can mean one of the fields
    refusal: Reasons = ()  # why no row of these columns can be read

    def read(self, rows: Sequence[Mapping[str, Any]], refused: dict[int, Reasons]) -> list[Payload]:
        """Return the fields of rows, without missing values; ``refused`` takes the first reason against each row."""
        if self.refusal:
            refused.update(dict.fromkeys(range(len(rows)), self.refusal))
            return [{} for _ in rows]
        values = [[row[column.name] for row in rows] for column in self.columns]
        found = self._renamed(rows, values)
        for column, given in zip(self.columns, values, strict=True):
            cleaned = column.clean_all(given, refused)
            if cleaned is not given:
                for kept, value in zip(found, cleaned, strict=True):
                    if value is MISSING:
                        del kept[column.field]
                    else:
                        kept[column.field] = value
        for field, target in self.shorthands:
            for place, kept in enumerate(found):
                if field in kept and target in kept:
                    refused.setdefault(place, (("conflict", field, f"given together with {target}"),))
        return found

    def _renamed(self, rows: Sequence[Mapping[str, Any]], values: list[list[Any]]) -> list[Payload]:
        """Return the rows with fields for columns."""
        if any(column.name != column.field for column in self.columns):
            fields = [column.field for column in self.columns]
            return [dict(zip(fields, record, strict=False)) for record in zip(*values, strict=True)]
        # Copies and deletions cost a third of new dictionaries.
        found = [{**row} for row in rows]
        for name in self.ignored:
            for kept in found:
                del kept[name]
        return found

    def readable(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the fields of a row, or the row itself where they cannot be read."""
        refused: dict[int, Reasons] = {}
        (fields,) = self.read([row], refused)
        return fields if fields and not refused else row


def columns_of(
    names: Iterable[str],
    vendor: Vendor,
    *,
    sync_key: Sequence[str],
    field_map: Mapping[str, str],
    unmapped: str,
    untyped: bool,
) -> Columns:
    """Return how rows with these columns are read; the parameters are the mapper's."""
    contract = vendor.contract
    columns: dict[str, Column] = {}
    left_out: list[str] = []
    for name in names:
        field = field_map.get(name, name)
        known = contract.fields.get(field)
        if known is None and shorthand_target(contract.shorthands, field) is None:
            if name in sync_key or unmapped == "ignore":
                left_out.append(name)
                continue
            hint = did_you_mean(field, [*contract.fields, *contract.shorthands])
            return Columns(refusal=(("unknown_field", field, f"not a field of {vendor.title}{hint}"),))
        if field in columns:
            return Columns(refusal=(("conflict", field, "two columns become this field"),))
        if known is None:
            columns[field] = Column(name, field, nested=False, nullable=False, required=False)
            continue
        columns[field] = Column(
            name,
            field,
            nested=known.nested,
            nullable=known.nullable,
            # Where every value is a text, an empty one is a missing one.
            required=known.required and not untyped,
            from_text=known.from_text if untyped else None,
        )
    targets = ((field, shorthand_target(contract.shorthands, field) or field) for field in columns)
    return Columns(
        columns=tuple(columns.values()),
        ignored=tuple(left_out),
        words=tuple(
            word
            for word in contract.flat
            if not word.names or any(shorthand_target(word.names, field) is not None for field in columns)
        ),
        shorthands=tuple((field, target) for field, target in targets if target in columns and target != field),
    )


def shorthand_target(shorthands: Mapping[str, str], name: str) -> str | None:
    """Return the native field that a flat name fills, or ``None`` if it is no shorthand."""
    prefix, dot, _ = name.partition(".")
    return shorthands.get(name) or (shorthands.get(f"{prefix}.*") if dot else None)


def parse_json(name: str, text: str | bytes) -> Any:
    """Return a nested field's value from its JSON text, without the nulls in its objects."""
    try:
        return json.loads(text, object_pairs_hook=without_nulls, parse_constant=constant)
    except (ValueError, RecursionError):
        raise InvalidRecordError([("invalid_json", name, "neither an object nor its JSON text")]) from None


def without_nulls(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object without its missing members."""
    return {name: value for name, value in dict(pairs).items() if value is not None}


def constant(text: str) -> float | None:
    """Return an infinite number, which every field refuses, or nothing for NaN."""
    return None if text == "NaN" else float(text)
