"""What rows of the same columns have in common, found out once: which column becomes which field."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.records.plain_values import MISSING, plain
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.vendor import Payload

Reasons = tuple[tuple[str, str | None, str | None], ...]
"""Why a record is refused: ``(code, field, message)`` each."""

WHOLE = frozenset({int, bool})


class Column(NamedTuple):
    """One column that means something to the vendor.

    :param field: of the vendor: native, or a shorthand.
    :param nested: JSON text is read.
    :param nullable: a given ``None`` stays.
    :param required: an empty text stays, so that the contract can refuse it.
    """

    name: str
    field: str
    nested: bool
    nullable: bool
    required: bool

    def clean(self, value: Any) -> Any:
        """Return a value as its field gets it, ``MISSING`` for one that is left out.

        :raises InvalidRecordError: for what the field cannot be, whatever its type.
        """
        kind = type(value)
        if kind is str and not self.nested:
            return value if value or self.required else MISSING
        if kind in WHOLE:
            return value
        found = plain(parse_nested(self.field, value) if self.nested else value)
        if found is None:
            return None if self.nullable else MISSING
        return found if self.required or found != "" else MISSING

    def clean_all(self, values: list[Any], refused: set[int]) -> list[Any]:
        """Return the values of many rows as their field gets them.

        :param refused: takes the places of those that the field cannot be.
        """
        kinds = set(map(type, values))
        if kinds <= WHOLE:
            return values
        if kinds == {str} and not self.nested:
            return values if self.required or all(values) else [value or MISSING for value in values]
        found = []
        for place, value in enumerate(values):
            try:
                found.append(self.clean(value))
            except Exception:  # noqa: BLE001  # whatever an object's own methods raise; its row is read by itself
                found.append(MISSING)
                refused.add(place)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """How rows of one set of columns are read.

    :param columns: in the order of the rows, without those that mean nothing.
    :param ignored: the other ones.
    :param shorthands: those among the fields that fill another one, with that one.
    :param refusal: why no row of these columns can be read.
    """

    columns: tuple[Column, ...] = ()
    ignored: tuple[str, ...] = ()
    shorthands: tuple[tuple[str, str], ...] = ()
    refusal: Reasons = ()

    def read(self, row: Mapping[str, Any]) -> Payload:
        """Return the fields of a row, without missing values.

        :raises InvalidRecordError: for what the columns, or a value, cannot be.
        """
        if self.refusal:
            raise InvalidRecordError(self.refusal)
        kept: Payload = {}
        for column in self.columns:
            try:
                value = column.clean(row[column.name])
            except (InvalidRecordError, RecursionError):
                raise
            except Exception as error:  # noqa: BLE001  # an object's own methods may raise anything; this record alone is refused
                text = f"reading it raises {type(error).__name__}"
                raise InvalidRecordError([("invalid_value", column.field, text)]) from None
            if value is not MISSING:
                kept[column.field] = value
        return kept

    def read_all(self, rows: Sequence[Mapping[str, Any]], refused: set[int]) -> list[Payload]:
        """Return the fields of many rows of these columns.

        :param refused: takes the places of rows that :meth:`read` or :meth:`check` would refuse.
        """
        values = [[row[column.name] for row in rows] for column in self.columns]
        if any(column.name != column.field for column in self.columns):
            fields = [column.field for column in self.columns]
            found = [dict(zip(fields, record, strict=False)) for record in zip(*values, strict=True)]
        else:
            # Copies and deletions cost a third of new dictionaries.
            found = [{**row} for row in rows]
            for name in self.ignored:
                for kept in found:
                    del kept[name]
        for column, given in zip(self.columns, values, strict=True):
            cleaned = column.clean_all(given, refused)
            if cleaned is not given:
                for kept, value in zip(found, cleaned, strict=True):
                    if value is MISSING:
                        del kept[column.field]
                    else:
                        kept[column.field] = value
        for field, target in self.shorthands:
            if any(column.field == target for column in self.columns):
                refused.update(place for place, kept in enumerate(found) if field in kept and target in kept)
        return found

    def check(self, mapped: Payload) -> None:
        """Refuse a record that gives a field in two ways.

        :raises InvalidRecordError: naming the shorthand.
        """
        for field, target in self.shorthands:
            if field in mapped and target in mapped:
                raise InvalidRecordError([("conflict", field, f"given together with {target}")])


def columns_of(
    names: Iterable[str],
    contract: RecordContract,
    *,
    field_of: Callable[[str], str],
    ignored: Callable[[str], bool],
    title: str,
) -> Columns:
    """Return how rows with these columns are read.

    :param field_of: the vendor's name for a column.
    :param ignored: whether a column that means nothing to the vendor is let pass.
    :param title: the vendor's, for people.
    """
    native = contract.fields
    columns: dict[str, Column] = {}
    left_out: list[str] = []
    for name in names:
        field = field_of(name)
        known = native.get(field)
        if known is None and shorthand_target(contract, field) is None:
            if ignored(name):
                left_out.append(name)
                continue
            near = nearest(field, [*native, *contract.shorthands])
            hint = f"; did you mean {near!r}?" if near is not None else ""
            return Columns(refusal=(("unknown_field", field, f"not a field of {title}{hint}"),))
        if field in columns:
            return Columns(refusal=(("conflict", field, "two columns become this field"),))
        columns[field] = Column(
            name,
            field,
            nested=known is not None and known.nested,
            nullable=known is not None and known.nullable,
            required=known is not None and known.required,
        )
    targets = ((field, shorthand_target(contract, field)) for field in columns)
    return Columns(
        columns=tuple(columns.values()),
        ignored=tuple(left_out),
        shorthands=tuple((field, target) for field, target in targets if target is not None and target != field),
    )


def shorthand_target(contract: RecordContract, name: str) -> str | None:
    """Return the native field that a flat name fills, or ``None`` if it is no shorthand."""
    if name in contract.shorthands:
        return contract.shorthands[name]
    prefix, dot, _ = name.partition(".")
    return contract.shorthands.get(f"{prefix}.*") if dot else None


def parse_nested(name: str, value: Any) -> Any:
    """Return a nested field's value, read from JSON text where it came as text."""
    if not isinstance(value, str | bytes | bytearray) or not value:
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise InvalidRecordError([("invalid_json", name, "neither an object nor its JSON text")]) from None


def nearest(name: str, known: Collection[str]) -> str | None:
    """Return the known name that is most like another one."""
    folded = {one.casefold(): one for one in known}
    found = get_close_matches(name.casefold(), folded, n=1, cutoff=0.7)
    return folded[found[0]] if found else None
