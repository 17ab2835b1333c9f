"""What rows of the same columns have in common, found out once: which column becomes which field."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.records.plain_values import MISSING, plain
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.vendor import Payload

Reasons = tuple[tuple[str, str | None, str | None], ...]
"""Why a record is refused: ``(code, field, message)`` each."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How rows of one set of columns are read.

    :param columns: in the order of the rows, without those that mean nothing.
    :param shorthands: those among the fields that fill another one, with that one.
    :param refusal: why no row of these columns can be read.
    """

    columns: tuple[Column, ...] = ()
    shorthands: tuple[tuple[str, str], ...] = ()
    refusal: Reasons = ()

    def read(self, row: Mapping[str, Any]) -> dict[str, Any]:  # noqa: C901, PLR0912  # one loop over every value of a push
        """Return the fields of a row: missing values left out, JSON text read, everything else as it came.

        :raises InvalidRecordError: for what the columns, or a value, cannot be.
        """
        if self.refusal:
            raise InvalidRecordError(self.refusal)
        kept: dict[str, Any] = {}
        field = ""
        try:
            for name, field, nested, nullable, required in self.columns:
                value = row[name]
                kind = type(value)
                # Nearly all values are of these types, and take no more than this.
                if kind is str and not nested:
                    if value or required:
                        kept[field] = value
                elif kind is int or kind is bool:
                    kept[field] = value
                elif value is None:
                    if nullable:
                        kept[field] = None
                else:
                    found = plain(parse_nested(field, value) if nested else value)
                    if found is None:
                        if nullable:
                            kept[field] = None
                    elif found is not MISSING and (required or found != ""):
                        kept[field] = found
        except (InvalidRecordError, RecursionError):
            raise
        except Exception as error:  # noqa: BLE001  # an object's own methods may raise anything; this record alone is refused
            text = f"reading it raises {type(error).__name__}"
            raise InvalidRecordError([("invalid_value", field, text)]) from None
        return kept

    def check(self, mapped: Payload) -> None:
        """Refuse a record that gives a field in two ways.

        :raises InvalidRecordError: naming the shorthand.
        """
        for field, target in self.shorthands:
            if field in mapped and target in mapped:
                raise InvalidRecordError([("conflict", field, f"given together with {target}")])


def layout_of(
    names: Iterable[str],
    contract: RecordContract,
    *,
    field_of: Callable[[str], str],
    ignored: Callable[[str], bool],
    title: str,
) -> Layout:
    """Return how rows with these columns are read.

    :param field_of: the vendor's name for a column.
    :param ignored: whether a column that means nothing to the vendor is let pass.
    :param title: the vendor's, for people.
    """
    native = contract.fields
    columns: dict[str, Column] = {}
    for name in names:
        field = field_of(name)
        known = native.get(field)
        if known is None and shorthand_target(contract, field) is None:
            if ignored(name):
                continue
            near = nearest(field, [*native, *contract.shorthands])
            hint = f"; did you mean {near!r}?" if near is not None else ""
            return Layout(refusal=(("unknown_field", field, f"not a field of {title}{hint}"),))
        if field in columns:
            return Layout(refusal=(("conflict", field, "two columns become this field"),))
        columns[field] = Column(
            name,
            field,
            nested=known is not None and known.nested,
            nullable=known is not None and known.nullable,
            required=known is not None and known.required,
        )
    targets = ((field, shorthand_target(contract, field)) for field in columns)
    return Layout(
        columns=tuple(columns.values()),
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
