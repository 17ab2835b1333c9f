"""Whatever a driver or a data library gives for a value is read alike by every vendor, at any depth."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict, UserDict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np  # noqa: TID253  # its scalars are what is tested
import pandas as pd  # noqa: TID253  # likewise
import pyarrow as pa  # noqa: TID253  # likewise
import pytest

from airflow_provider_contacts.ledgers.sql.column_texts import payload_json
from airflow_provider_contacts.records.mapper import InvalidRecord, Mapper, Prepared
from airflow_provider_contacts.sources.plain_values import plain, plain_row
from airflow_provider_contacts.vendors import load

UUID_TEXT = "0123abcd-0000-4000-8000-000000000001"
PEOPLE: dict[str, dict[str, Any]] = {
    "apptoto": {"name": "Ada", "email": "ada@example.com"},
    "dex": {"first_name": "Ada"},
    "intermezzo": {"name": "Ada", "email": "ada@example.com"},
    "nedzo": {"email": "ada@example.com"},
    "talkdesk": {"first_name": "Ada", "last_name": "L", "phone_number": "+14155550101"},
}
DESTINATIONS: dict[str, dict[str, Any]] = {
    "apptoto": {"address_book_id": 1},
    "intermezzo": {"organization_id": "org"},
    "talkdesk": {"record_list_id": "list"},
}


class Word(str):
    __slots__ = ()


class Colour(Enum):
    RED = "red"


class Text(str, Enum):  # noqa: UP042  # the older spelling is the case
    RED = "red"


class Five(IntEnum):
    FIVE = 5


class Pair(NamedTuple):
    left: str
    right: str


def prepared(vendor: str, **fields: Any) -> Prepared | InvalidRecord:
    mapper = Mapper(vendor=load(vendor), destination=DESTINATIONS.get(vendor, {}), sync_id="s", sync_key=("key",))
    return mapper.prepare(0, plain_row({**PEOPLE[vendor], "key": "k", **fields}))


def taken(vendor: str, place: str, value: Any, wanted: Any) -> None:
    """Check that a value does as its plain form does, to the byte."""
    found, plainly = prepared(vendor, **filled(place, value)), prepared(vendor, **filled(place, wanted))
    assert isinstance(plainly, Prepared), plainly.errors
    assert isinstance(found, Prepared), found.errors
    assert (found.body, found.payload_hash) == (plainly.body, plainly.payload_hash)


def filled(place: str, value: Any) -> dict[str, Any]:
    """Return the field that a place such as ``phone_numbers.0.number`` is in."""
    head, *rest = place.split(".")
    for part in reversed(rest):
        value = [value] if part == "0" else {**BESIDE.get(part, {}), part: value}
    return {head: value}


BESIDE: dict[str, dict[str, Any]] = {
    "is_mobile": {"number": "+14155550101"},
    "value": {"custom_field_id": UUID_TEXT},
}

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TEXTS = [
    (UUID(UUID_TEXT), UUID_TEXT),
    (Word("red"), "red"),
    (np.str_("red"), "red"),
    (Colour.RED, "red"),
    (Text.RED, "red"),
    (pa.scalar("red"), "red"),
    (date(2026, 1, 2), "2026-01-02"),
    (np.datetime64("2026-01-02", "D"), "2026-01-02"),
    (MOMENT, "2026-01-02T03:04:05+00:00"),
    (pd.Timestamp("2026-01-02T03:04:05Z"), "2026-01-02T03:04:05+00:00"),
    (np.datetime64("2026-01-02T03:04:05", "ns"), "2026-01-02T03:04:05"),
    (time(3, 4), "03:04:00"),
    (ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
]
WHOLE = [
    (Decimal(5), 5),
    (Decimal("5.00"), 5),
    (Decimal("0.5E1"), 5),
    (5.0, 5),
    (np.int64(5), 5),
    (np.uint8(5), 5),
    (np.float64(5), 5),
    (np.float32(5), 5),
    (np.array(5), 5),
    (Five.FIVE, 5),
    (pa.scalar(5), 5),
    (pa.scalar(Decimal(5)), 5),
]
TRUTHS = [
    (np.bool_(True), True),  # noqa: FBT003  # numpy's own signature
    (1, True),
    (Decimal(1), True),
    (np.int8(1), True),
    (1.0, True),
    (b"\x01", True),
    (b"\x00", False),
    (bytearray(b"\x01"), True),
    (pa.scalar(value=True), True),
]
TEXT_PLACES = [
    ("apptoto", "name"),
    ("apptoto", "external_id"),
    ("apptoto", "phone_numbers.0.number"),
    ("dex", "first_name"),
    ("dex", "contact_emails.0.label"),
    ("intermezzo", "name"),
    ("intermezzo", "roles.0"),
    ("nedzo", "first_name"),
    ("nedzo", f"custom_fields.{UUID_TEXT}"),
    ("nedzo", "custom_fields.0.value"),
    ("talkdesk", "external_id"),
    ("talkdesk", "extra_data.key"),
]
WHOLE_PLACES = [
    ("dex", "birthday_year"),
    ("dex", "contact_emails.0.ranking"),
    ("dex", "linkedin_data.age"),
    ("talkdesk", "priority"),
]
TRUTH_PLACES = [
    ("apptoto", "phone_numbers.0.is_mobile"),
    ("dex", "starred"),
    ("nedzo", "dnc"),
    ("talkdesk", "sync_external_id"),
]


@pytest.mark.parametrize(("value", "wanted"), TEXTS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(("vendor", "place"), TEXT_PLACES)
def test_a_text_by_any_name_is_a_text(vendor: str, place: str, value: Any, wanted: str) -> None:
    taken(vendor, place, value, wanted)


@pytest.mark.parametrize(("value", "wanted"), WHOLE, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(("vendor", "place"), WHOLE_PLACES)
def test_a_whole_number_by_any_name_is_one(vendor: str, place: str, value: Any, wanted: int) -> None:
    if place == "linkedin_data.age" and isinstance(value, float | np.floating):
        pytest.skip("where any number may stand, a float stays one")
    taken(vendor, place, value, wanted)


@pytest.mark.parametrize(("value", "wanted"), TRUTHS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(("vendor", "place"), TRUTH_PLACES)
def test_a_truth_value_by_any_name_is_one(vendor: str, place: str, value: Any, wanted: bool) -> None:
    taken(vendor, place, value, wanted)


@pytest.mark.parametrize("value", [date(2026, 1, 2), np.datetime64("2026-01-02", "D"), pa.scalar(date(2026, 1, 2))])
def test_a_date_by_any_name_is_one(value: Any) -> None:
    taken("dex", "birthday", value, "2026-01-02")


@pytest.mark.parametrize("value", [MOMENT, pd.Timestamp(MOMENT), pa.scalar(MOMENT)])
def test_a_moment_by_any_name_is_one(value: Any) -> None:
    taken("dex", "last_seen_at", value, "2026-01-02T03:04:05+00:00")


@pytest.mark.parametrize("value", [Decimal("52.5"), Decimal("52.520008"), np.float64(52.5), np.float32(52.5)])
def test_a_decimal_number_is_one(value: Any) -> None:
    taken("dex", "coordinates.data.latitude", value, float(value))


@pytest.mark.parametrize("kind", [tuple, np.array, pd.Series, pa.array, OrderedDict.fromkeys])
def test_a_list_by_any_name_is_one(kind: Any) -> None:
    members = kind(["a", "b"])
    if isinstance(members, OrderedDict):
        members = list(members)
    taken("intermezzo", "roles", members, ["a", "b"])


def test_lists_and_objects_of_other_classes_are_read_at_any_depth() -> None:
    deep = UserDict({"a": OrderedDict(b=(np.int64(1), Pair("l", "r"))), Word("c"): np.array([[1, 2], [3, 4]])})
    taken("dex", "linkedin_data", deep, {"a": {"b": [1, ["l", "r"]]}, "c": [[1, 2], [3, 4]]})
    assert plain(np.array(["2026-01-02T03:04:05"], dtype="M8[ns]")) == ["2026-01-02T03:04:05"]
    assert plain(pd.Series([1.0, math.nan])) == [1.0, None]
    assert plain({"a": pd.NA, "b": pd.NaT, "c": np.datetime64("NaT"), "d": Decimal("NaN"), "e": None}) == {}


@pytest.mark.parametrize("value", [pd.NA, pd.NaT, np.float64("nan"), Decimal("NaN"), Decimal("sNaN"), np.ma.masked])
@pytest.mark.parametrize("vendor", PEOPLE)
def test_nothing_by_any_name_is_nothing(vendor: str, value: Any) -> None:
    field = {"dex": "company", "nedzo": "city", "talkdesk": "timezone"}.get(vendor, "roles")
    field = "external_id" if vendor == "apptoto" else field
    found = prepared(vendor, **{field: value})
    assert isinstance(found, Prepared)
    assert found.payload_hash == prepared(vendor).payload_hash


REFUSED = [
    ("dex", "birthday_year", Decimal("1990.5")),
    ("dex", "birthday_year", 1990.5),
    ("dex", "birthday_year", np.float64(1990.5)),
    ("dex", "birthday_year", np.longdouble(1990.5)),
    ("dex", "birthday_year", Decimal("1E+9999")),
    ("dex", "birthday_year", "1990"),
    ("dex", "birthday", MOMENT),
    ("dex", "starred", np.int64(2)),
    ("dex", "coordinates.data.latitude", Decimal("0.12345678901234567890123")),
    ("dex", "linkedin_data.price", Decimal("19.90")),
    ("talkdesk", "priority", Decimal("1.5")),
    ("talkdesk", "extra_data.price", Decimal("19.90")),
    *((vendor, "name", np.int64(5)) for vendor in ("apptoto", "intermezzo")),
    *((vendor, "first_name", Decimal(5)) for vendor in ("dex", "nedzo", "talkdesk")),
    *((vendor, "first_name", b"bytes") for vendor in ("dex", "nedzo", "talkdesk")),
    *((vendor, "first_name", timedelta(1)) for vendor in ("dex", "nedzo", "talkdesk")),
    ("intermezzo", "roles", {"a"}),
    ("dex", "linkedin_data.a", memoryview(b"x")),
    ("dex", "linkedin_data.a", np.complex128(1)),
]


@pytest.mark.parametrize(("vendor", "place", "value"), REFUSED, ids=lambda value: type(value).__name__)
def test_what_would_change_a_value_is_invalid(vendor: str, place: str, value: Any) -> None:
    found = prepared(vendor, **filled(place, value))
    assert isinstance(found, InvalidRecord)
    assert {code for code, _, _ in found.errors} <= {"wrong_type", "not_json", "invalid_date"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.int64(1), "1"),
        (np.array([1], dtype=bool)[0], "true"),
        (Colour.RED, "red"),
        (np.datetime64("2026-01-02", "D"), "2026-01-02"),
        (np.datetime64("2026-01-02T03:04:05.123456789"), "2026-01-02T03:04:05.123456789"),
        (pa.scalar(1), "1"),
        (np.float32(2), "2"),
        (UUID(UUID_TEXT), UUID_TEXT),
    ],
)
def test_a_key_by_any_name_has_the_text_of_its_plain_form(value: Any, text: str) -> None:
    assert prepared("dex", key=value).record_identifier == text


class Hostile:
    """An object of which one method raises."""

    def __init__(self, method: str) -> None:
        self.method = method

    def __getattribute__(self, name: str) -> Any:
        if name == "method":
            return object.__getattribute__(self, name)
        raise OSError("personcanary")


def broken(*methods: str) -> Any:
    def fail(*_: object) -> Any:
        raise ZeroDivisionError("personcanary")

    return type("Broken", (), dict.fromkeys(methods, fail))()


class BrokenMapping(Mapping[str, Any]):
    """A row, one of whose methods raises."""

    def __init__(self, method: str) -> None:
        self.method = method

    def fail(self, method: str) -> None:
        if method == self.method:
            raise ZeroDivisionError("personcanary")

    def __getitem__(self, name: str) -> Any:
        self.fail("getitem")
        return {"key": "k", "first_name": "Ada"}[name]

    def __iter__(self) -> Iterator[str]:
        self.fail("iter")
        return iter(["key", "first_name"])

    def __len__(self) -> int:
        self.fail("len")
        return 2


class BrokenText(str):
    __slots__ = ()

    def __hash__(self) -> int:
        raise ZeroDivisionError("personcanary")

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError("personcanary")


METHODS = ("__str__", "__repr__", "__iter__", "__len__", "__hash__", "__eq__", "__bool__", "__float__", "__index__")
HOSTILE: dict[str, Callable[[], Any]] = {
    **{method: partial(broken, method) for method in METHODS},
    "everything": partial(broken, *METHODS),
    "attributes": lambda: Hostile("x"),
    "in a list": lambda: [broken(*METHODS)],
    "in an object": lambda: {"a": Hostile("x")},
    "as a name": lambda: {broken("__str__", "__repr__"): 1},
    "items": lambda: type("Items", (dict,), {"items": lambda _: 1 / 0})(a=1),
    "members": lambda: type("Members", (list,), {"__iter__": lambda _: 1 / 0})([1]),
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("vendor", PEOPLE)
def test_an_object_that_cannot_be_read_makes_its_record_invalid(vendor: str, what: str) -> None:
    value = HOSTILE[what]()
    field = {"apptoto": "external_id", "intermezzo": "roles", "talkdesk": "extra_data"}.get(vendor, "first_name")
    for name in (field, "key"):
        found = prepared(vendor, **{name: value})
        assert isinstance(found, InvalidRecord)
        assert "personcanary" not in str(found.errors)
        # What is kept of it can be written.
        assert isinstance(payload_json(found.payload), str)
        assert "personcanary" not in str(payload_json(found.payload))


@pytest.mark.parametrize("method", ["getitem", "iter"])
def test_a_row_that_cannot_be_read_is_invalid(method: str) -> None:
    mapper = Mapper(vendor=load("dex"), destination={}, sync_id="s", sync_key=("key",))
    found = mapper.prepare(0, plain_row(BrokenMapping(method)))
    assert isinstance(found, InvalidRecord)
    assert {code for code, _, _ in found.errors} <= {"not_a_mapping", "invalid_key", "invalid_value"}


def test_a_text_that_cannot_be_compared_is_read_all_the_same() -> None:
    found = prepared("dex", first_name=BrokenText("Ada"))
    assert isinstance(found, Prepared)
    assert found.payload_hash == prepared("dex").payload_hash
