"""The one place where what drivers and data libraries give becomes plain, for every source and every vendor.

A value that would change on the way is handed on as something that every field refuses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from itertools import chain
from typing import Any
from uuid import UUID

from airflow_provider_contacts.records.row_values import MISSING, Unreadable

AS_THEY_ARE = frozenset({str, int, bool, type(None)})
# In a column, a key needs the moment itself, and JSON text may come as bytes.
IN_A_COLUMN = AS_THEY_ARE | {float, datetime, bytes}
ROWS, NAMES = frozenset({dict}), frozenset({str})

# Known by name: importing pandas or numpy to ask would cost more than the whole package.
MISSING_NAMES = frozenset({"NaTType", "NAType", "MaskedConstant"})
LIBRARIES = frozenset({"numpy", "pandas", "polars", "pyarrow"})

LONGEST_NUMBER = 4300
"""Digits before or after the point. Python prints no longer integers; a decimal's exponent can ask for gigabytes."""


def plain_rows(rows: Sequence[Any]) -> Sequence[Any]:
    """Return rows as dictionaries of plain values; a chunk of which nothing needs a look passes whole."""
    if (
        ROWS.issuperset(map(type, rows))
        and NAMES.issuperset(map(type, chain.from_iterable(rows)))
        and IN_A_COLUMN.issuperset(map(type, chain.from_iterable(map(dict.values, rows))))
    ):
        return rows
    return list(map(plain_row, rows))


def plain_row(row: Any) -> Any:
    """Return a row as a dictionary of plain values; what is no mapping, as one value. Raises on nothing."""
    try:
        if isinstance(row, Mapping):
            return {plain_name(name): plain_value(row[name]) for name in row}
    except Exception:  # noqa: BLE001  # an object's own methods may raise anything
        return Unreadable(row)
    return plain_value(row)


def plain_value(value: Any) -> Any:
    """Return the value of a column in plain form. Raises on nothing."""
    kind = type(value)
    if kind in IN_A_COLUMN:
        return value
    try:
        own = native(value)
        if isinstance(own, bytes | bytearray | memoryview):
            return bytes(own)
        # pandas derives its missing moment from datetime.
        return own if isinstance(own, datetime) and kind.__name__ not in MISSING_NAMES else plain(own)
    except Exception:  # noqa: BLE001  # an object's own methods may raise anything, and a list may hold itself
        return Unreadable(value)


def plain(value: Any) -> Any:
    """Return a value made of objects, lists, texts, numbers, truth values and ``None``.

    Missing members of objects are left out, those of lists become ``None``. A bit stays bytes, a decimal with a
    fraction stays a decimal: it is up to the field to take one. An unknown object, and a set, whose order differs from
    one process to the next, becomes :class:`Unreadable`.
    """
    kind = type(value)
    return value if kind in AS_THEY_ARE else (WAYS.get(kind) or way_of(kind))(value)


def way_of(kind: type) -> Callable[[Any], Any]:
    """Return how a type is read that is not among those met every day, but may derive from one."""
    if kind.__name__ in MISSING_NAMES:
        return lambda _: MISSING
    for base, way in WAYS.items():
        if issubclass(kind, base):
            return way
    if issubclass(kind, Enum):
        return lambda value: plain(value.value)
    if library_of(kind):
        return of_library
    if kind.__module__ == "ipaddress":
        return str  # psycopg gives an address where psycopg2 gives this text
    return object_of if issubclass(kind, Mapping) else Unreadable


def library_of(kind: type) -> str:
    """Return the data library that a type, or one that it derives from, belongs to."""
    roots = (str(base.__module__).partition(".")[0] for base in kind.__mro__)
    return next((root for root in roots if root in LIBRARIES), "")


def of_library(value: Any) -> Any:
    """Return a data library's scalar, array or column."""
    found = native(value)
    if found is not value:
        return plain(found)
    for name in ("to_pylist", "to_list", "tolist"):
        if hasattr(value, name):
            # An array's own list loses the units of its moments; its elements do not.
            members = list(value) if library_of(type(value)) == "numpy" else getattr(value, name)()
            return list_of(members) if isinstance(members, list) else plain(members)
    return object_of(value) if isinstance(value, Mapping) else Unreadable(value)


def native(value: Any) -> Any:
    """Return a data library's scalar as Python's own, anything else as it is."""
    kind = type(value)
    if kind.__name__ in MISSING_NAMES:
        return MISSING
    if library_of(kind) == "numpy" and getattr(value, "shape", None) == ():
        return scalar_of_numpy(value)
    return value.as_py() if library_of(kind) == "pyarrow" and hasattr(value, "as_py") else value


def scalar_of_numpy(value: Any) -> Any:
    """Return numpy's scalar as Python's own, where there is one: not for a span of time, or the widest floats."""
    found = value.item()
    if value.dtype.kind == "M" and type(found) is int:
        # Of nanoseconds; as text where the moment that Python has would lose some.
        coarse = value.astype("M8[us]")
        found = coarse.item() if coarse == value else None
        return found if isinstance(found, datetime) else str(value)
    return Unreadable(value) if value.dtype.kind == "m" or type(found) is type(value) else found


def object_of(value: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return an object without its missing members."""
    members = ((plain_name(name), plain(member)) for name, member in value.items())
    return {name: member for name, member in members if member is not None and member is not MISSING}


def plain_name(name: Any) -> Any:
    """Return a member's name: a text, or what a contract refuses."""
    if isinstance(name, str):
        return str.__str__(name)
    return name if type(name) in IN_A_COLUMN else Unreadable(name)


def list_of(value: Any) -> list[Any]:
    """Return a list, with ``None`` for what is missing."""
    return [None if member is MISSING else member for member in map(plain, value)]


def decimal_of(value: Decimal) -> Any:
    """Return a decimal as the integer that equals it; else it stays what it is, for the field to take or refuse."""
    if value.is_nan():
        return MISSING
    if value and (value.is_infinite() or abs(value.adjusted()) > LONGEST_NUMBER):
        return Unreadable(value)
    return int(value) if value == value.to_integral_value() else value


def bit_of(value: Any) -> Any:
    """Return one bit, as MySQL gives it; other bytes have no one text."""
    return found if (found := bytes(value)) in {b"\x00", b"\x01"} else Unreadable(value)


# In this order: a datetime is a date.
WAYS: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__int__,
    float: lambda value: MISSING if math.isnan(value) else float.__float__(value),
    dict: object_of,
    list: list_of,
    tuple: list_of,
    Decimal: decimal_of,
    UUID: str,
    **dict.fromkeys((datetime, date, time), lambda value: str(value.isoformat())),
    **dict.fromkeys((bytes, bytearray, memoryview), bit_of),
}
