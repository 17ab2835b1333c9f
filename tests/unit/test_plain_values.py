"""Whatever a driver or a data library gives for a value is read alike by every vendor, at any depth."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict, UserDict
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np  # noqa: TID253  # its scalars are what is tested
import pandas as pd  # noqa: TID253  # likewise
import pyarrow as pa  # noqa: TID253  # likewise
import pytest

from airflow_provider_contacts.ledgers.sql.rows import payload_json
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.record import Record
from airflow_provider_contacts.sources.plain_values import plain, plain_row, plain_rows
from airflow_provider_contacts.vendors import load
from tests.support.vendors import PEOPLE, prepare

UUID_TEXT = "0123abcd-0000-4000-8000-000000000001"


class Word(str):
    __slots__ = ()


class Text(str, Enum):  # noqa: UP042  # the older spelling is the case
    RED = "red"


class Colour(Enum):
    RED = "red"


class Five(IntEnum):
    FIVE = 5


class Pair(NamedTuple):
    left: str
    right: str


def prepared(vendor: str, **fields: Any) -> Record:
    return prepare(load(vendor), {**PEOPLE[vendor], "key": "k", **fields}, sync_key=("key",))


def taken(vendor: str, place: str, value: Any, wanted: Any) -> None:
    """Check that a value does as its plain form does, to the byte."""
    found, plainly = prepared(vendor, **filled(place, value)), prepared(vendor, **filled(place, wanted))
    assert not plainly.errors, plainly.errors
    assert not found.errors, found.errors
    assert (found.body, found.payload_hash) == (plainly.body, plainly.payload_hash)


def filled(place: str, value: Any) -> dict[str, Any]:
    """Return the field that a place such as ``phone_numbers.0.number`` is in."""
    head, *rest = place.split(".")
    for part in reversed(rest):
        value = [value] if part == "0" else {**BESIDE.get(part, {}), part: value}
    return {head: value}


BESIDE: dict[str, dict[str, Any]] = {"is_mobile": {"number": "+14155550101"}, "value": {"custom_field_id": UUID_TEXT}}
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DAY = date(2026, 1, 2)
MOMENT_TEXT = "2026-01-02T03:04:05+00:00"
FIVES = [Decimal(5), Decimal("5.00"), Decimal("0.5E1"), np.int64(5), np.uint8(5), Five.FIVE, pa.scalar(5)]
FIVES += [pa.scalar(Decimal(5)), np.array(5)]
FLOATS = [5.0, np.float64(5), np.float32(5)]
TRUE = [np.True_, 1, Decimal(1), np.int8(1), 1.0, b"\x01", bytearray(b"\x01"), pa.scalar(value=True)]
FORMS: dict[str, list[tuple[Any, Any]]] = {
    "text": [
        *((red, "red") for red in (Word("red"), np.str_("red"), Colour.RED, Text.RED, pa.scalar("red"))),
        (UUID(UUID_TEXT), UUID_TEXT),
        (ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
        (DAY, "2026-01-02"),
        (np.datetime64("2026-01-02", "D"), "2026-01-02"),
        (MOMENT, MOMENT_TEXT),
        (pd.Timestamp("2026-01-02T03:04:05Z"), MOMENT_TEXT),
        (np.datetime64("2026-01-02T03:04:05", "ns"), "2026-01-02T03:04:05"),
        (time(3, 4), "03:04:00"),
    ],
    "whole": [(five, 5) for five in FIVES],
    "float": [(five, 5) for five in FLOATS],
    "truth": [*((true, True) for true in TRUE), (b"\x00", False)],
    "date": [(one, "2026-01-02") for one in (DAY, np.datetime64("2026-01-02", "D"), pa.scalar(DAY))],
    "moment": [(one, MOMENT_TEXT) for one in (MOMENT, pd.Timestamp(MOMENT), pa.scalar(MOMENT))],
    "number": [(one, float(one)) for one in (Decimal("52.5"), Decimal("52.520008"), np.float32(52.5))],
    "list": [(kind(["a", "b"]), ["a", "b"]) for kind in (tuple, np.array, pd.Series, pa.array)],
}
PLACES: list[tuple[str, str, str]] = [
    *(("text", "apptoto", place) for place in ("name", "external_id", "phone_numbers.0.number")),
    *(("text", "dex", place) for place in ("first_name", "contact_emails.0.label")),
    *(("text", "intermezzo", place) for place in ("name", "roles.0")),
    *(("text", "nedzo", place) for place in ("first_name", f"custom_fields.{UUID_TEXT}", "custom_fields.0.value")),
    *(("text", "talkdesk", place) for place in ("external_id", "extra_data.key")),
    *(("whole", "dex", place) for place in ("birthday_year", "contact_emails.0.ranking", "linkedin_data.age")),
    *(("float", "dex", place) for place in ("birthday_year", "contact_emails.0.ranking")),
    ("whole", "talkdesk", "priority"),
    ("float", "talkdesk", "priority"),
    ("truth", "apptoto", "phone_numbers.0.is_mobile"),
    ("truth", "dex", "starred"),
    ("truth", "nedzo", "dnc"),
    ("truth", "talkdesk", "sync_external_id"),
    ("date", "dex", "birthday"),
    ("moment", "dex", "last_seen_at"),
    ("number", "dex", "coordinates.data.latitude"),
    ("list", "intermezzo", "roles"),
]


@pytest.mark.parametrize(("kind", "vendor", "place"), PLACES)
def test_a_value_by_any_name_is_its_plain_form(kind: str, vendor: str, place: str) -> None:
    for value, wanted in FORMS[kind]:
        taken(vendor, place, value, wanted)


def test_lists_and_objects_of_other_classes_are_read_at_any_depth() -> None:
    deep = UserDict({"a": OrderedDict(b=(np.int64(1), Pair("l", "r"))), Word("c"): np.array([[1, 2], [3, 4]])})
    taken("dex", "linkedin_data", deep, {"a": {"b": [1, ["l", "r"]]}, "c": [[1, 2], [3, 4]]})
    assert plain(np.array(["2026-01-02T03:04:05"], dtype="M8[ns]")) == ["2026-01-02T03:04:05"]
    assert plain(pd.Series([1.0, math.nan])) == [1.0, None]
    assert plain({"a": pd.NA, "b": pd.NaT, "c": np.datetime64("NaT", "s"), "d": Decimal("NaN"), "e": None}) == {}


@pytest.mark.parametrize("value", [pd.NA, pd.NaT, np.float64("nan"), Decimal("NaN"), Decimal("sNaN"), np.ma.masked])
@pytest.mark.parametrize("vendor", PEOPLE)
def test_nothing_by_any_name_is_nothing(vendor: str, value: Any) -> None:
    fields = {
        "apptoto": "external_id",
        "dex": "company",
        "intermezzo": "roles",
        "nedzo": "city",
        "talkdesk": "timezone",
    }
    found = prepared(vendor, **{fields[vendor]: value})
    assert not found.errors
    assert found.payload_hash == prepared(vendor).payload_hash


REFUSED = [
    *(("dex", "birthday_year", year) for year in (Decimal("1990.5"), 1990.5, np.float64(1990.5), np.longdouble(1990))),
    *(("dex", "birthday_year", year) for year in (Decimal("1E+9999"), "1990")),
    ("dex", "birthday", MOMENT),
    ("dex", "starred", np.int64(2)),
    ("dex", "coordinates.data.latitude", Decimal("0.12345678901234567890123")),
    ("dex", "linkedin_data.price", Decimal("19.90")),
    ("talkdesk", "priority", Decimal("1.5")),
    ("talkdesk", "extra_data.price", Decimal("19.90")),
    *((vendor, "name", np.int64(5)) for vendor in ("apptoto", "intermezzo")),
    *(
        (vendor, "first_name", value)
        for vendor in ("dex", "nedzo", "talkdesk")
        for value in (Decimal(5), b"bytes", timedelta(1), np.timedelta64(1, "ns"))
    ),
    ("intermezzo", "roles", {"a"}),
    ("dex", "linkedin_data.a", memoryview(b"x")),
    ("dex", "linkedin_data.a", np.complex128(1)),
]


@pytest.mark.parametrize(("vendor", "place", "value"), REFUSED, ids=lambda value: type(value).__name__)
def test_what_would_change_a_value_is_invalid(vendor: str, place: str, value: Any) -> None:
    found = prepared(vendor, **filled(place, value))
    assert found.errors
    assert {code for code, _, _ in found.errors} <= {"wrong_type", "not_json", "invalid_date"}


# Objects whose own methods raise.


def fail(*_: object) -> Any:
    raise ZeroDivisionError("personcanary")


METHODS = ("__str__", "__repr__", "__iter__", "__len__", "__hash__", "__eq__", "__bool__", "__float__", "__index__")


def broken(base: type, *methods: str) -> Any:
    return type("Broken", (base,), dict.fromkeys(methods, fail))


ANYTHING = broken(object, *METHODS)
SECRETIVE = broken(object, "__getattribute__")
HOSTILE: dict[str, Callable[[], Any]] = {
    **{method: broken(object, method) for method in METHODS},
    "everything": ANYTHING,
    "attributes": SECRETIVE,
    "in a list": lambda: [ANYTHING()],
    "in an object": lambda: {"a": SECRETIVE()},
    "as a name": lambda: {broken(object, "__str__", "__repr__")(): 1},
    "items": lambda: broken(dict, "items")(a=1),
    "members": lambda: broken(list, "__iter__")([1]),
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("vendor", PEOPLE)
def test_an_object_that_cannot_be_read_makes_its_record_invalid(vendor: str, what: str) -> None:
    value = HOSTILE[what]()
    field = {"apptoto": "external_id", "intermezzo": "roles", "talkdesk": "extra_data"}.get(vendor, "first_name")
    for name in (field, "key"):
        found = prepared(vendor, **{name: value})
        assert found.errors
        assert "personcanary" not in str(found.errors)
        # What is kept of it can be written.
        assert isinstance(payload_json(found.payload), str)
        assert "personcanary" not in str(payload_json(found.payload))


@pytest.mark.parametrize("method", ["__getitem__", "__iter__"])
def test_a_row_that_cannot_be_read_is_invalid(method: str) -> None:
    mapper = Mapper(vendor=load("dex"), destination={}, sync_id="s", sync_key=("key",))
    found = mapper.prepare(0, plain_row(broken(UserDict, method)(key="k", first_name="Ada")))
    assert [code for code, _, _ in found.errors] == ["not_a_mapping"]


def test_a_text_that_cannot_be_compared_is_read_all_the_same() -> None:
    found = prepared("dex", first_name=broken(str, "__hash__", "__eq__")("Ada"))
    assert not found.errors
    assert found.payload_hash == prepared("dex").payload_hash


def test_a_chunk_in_which_one_row_needs_a_look_is_read_as_its_rows_are() -> None:
    plainly = {"key": 1, "first_name": "Ada"}
    assert plain_rows(chunk := [plainly, plainly]) is chunk
    assert plain_rows([plainly, {"key": np.int64(1), Word("first_name"): "Ada"}, None]) == [plainly, plainly, None]
