"""Who a record is: one text for a key from every source, and a digest that does not change."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import ip_address, ip_interface
from typing import Any
from uuid import UUID

import numpy as np  # noqa: TID253  # its arrays compare element by element
import pandas as pd  # noqa: TID253  # its missing values and times are what is tested
import pyarrow as pa  # noqa: TID253  # its scalars are what is tested
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.records.forgotten import forgotten_as
from airflow_provider_contacts.records.keys import (
    CANONICAL,
    EXACT_INTEGER,
    PLAIN,
    canonical,
    digest,
    identifier_of,
    identifiers_of,
    is_plain,
    key_text,
    rough_digest,
)
from airflow_provider_contacts.records.row_values import is_missing
from airflow_provider_contacts.sources.plain_values import plain_value


class Colour(str, Enum):  # noqa: UP042  # a StrEnum would print itself as its value by itself
    RED = "red"


class Number(IntEnum):
    ONE = 1


class Nowhere(tzinfo):
    """A zone that tells no offset: such a time is naive."""

    def utcoffset(self, _: datetime | None) -> timedelta | None:
        return None

    dst = utcoffset

    def tzname(self, _: datetime | None) -> str | None:
        return None


class NoZone(Nowhere):
    def utcoffset(self, _: datetime | None) -> timedelta | None:
        raise ZeroDivisionError


def key_of(value: Any) -> str:
    return key_text(plain_value(value))


MOSCOW = timezone(timedelta(hours=3))
KEYS: list[tuple[Any, str]] = [
    (" a ", " a "),
    ("É", "É"),
    ("1.0", "1.0"),
    (Colour.RED, "red"),
    (-7, "-7"),
    (0, "0"),
    (10**40, "1" + "0" * 40),
    (Number.ONE, "1"),
    (np.int64(1), "1"),
    (pa.scalar(1), "1"),
    (np.float32(2), "2"),
    (-0.0, "0"),
    (float(2**53 - 1), str(2**53 - 1)),
    (Decimal("1.00"), "1"),
    (Decimal("1.50"), "1.5"),
    (Decimal("1E+3"), "1000"),
    (Decimal("0E+9"), "0"),
    (Decimal("1E-7"), "0.0000001"),
    (True, "true"),
    (np.array([0], dtype=bool)[0], "false"),
    (datetime(2026, 1, 2, 3, 4, 5, tzinfo=MOSCOW), "2026-01-02T00:04:05+00:00"),
    (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),  # noqa: DTZ001  # a naive time is the case
    (datetime(2026, 1, 2, 3, 4, 5, tzinfo=Nowhere()), "2026-01-02T03:04:05"),
    (pd.Timestamp("2026-01-02T03:04:05", tz="Europe/Moscow"), "2026-01-02T00:04:05+00:00"),
    (pa.scalar(datetime(2026, 1, 2, 3, 4, 5, tzinfo=MOSCOW)), "2026-01-02T00:04:05+00:00"),
    (np.datetime64("2026-01-02", "D"), "2026-01-02"),
    (np.datetime64("2026-01-02T03:04:05.123456789"), "2026-01-02T03:04:05.123456789"),
    (date(2026, 1, 2), "2026-01-02"),
    (time(3, 4, 5), "03:04:05"),
    (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (ip_address("10.0.0.1"), "10.0.0.1"),
    (ip_interface("10.0.0.1/8"), "10.0.0.1/8"),
]
FORGOTTEN = forgotten_as("key", "a")
EMPTY = ("missing_key", "the sync key is empty")
INEXACT = ("invalid_key", "an inexact number is no sync key; cast it to text")
UNSTORABLE = ("invalid_key", "the sync key holds characters that no table can store")
NO_KEYS: list[tuple[Any, tuple[str, str]]] = [
    *((nothing, EMPTY) for nothing in (None, "", math.nan, Decimal("NaN"), Decimal("sNaN"), pd.NaT, pd.NA)),
    *((number, INEXACT) for number in (1.5, math.inf, -math.inf, float(2**53 + 1))),
    *((text, UNSTORABLE) for text in ("a\x00b", "a\ud800b", "\udfff")),
    (10**5000, ("invalid_key", "a number this long is no sync key")),
    (datetime(1, 1, 1, tzinfo=MOSCOW), ("invalid_key", "a time outside the years that UTC has")),
    *(
        (value, ("invalid_key", f"a value of the type {type(value).__name__} is no sync key; cast it to text"))
        for value in (Decimal("Infinity"), Decimal("1E+999999999"), b"a", [1], {"a": 1}, {1}, object(), 1j)
    ),
    (np.array(["a", "b"]), ("invalid_key", "a value of the type list is no sync key; cast it to text")),
]


@pytest.mark.parametrize(("value", "text"), KEYS, ids=[str(index) for index in range(len(KEYS))])
def test_a_key_has_one_text_from_every_source(value: Any, text: str) -> None:
    found = key_of(value)
    assert found == text
    assert type(found) is str


@pytest.mark.parametrize(("value", "said"), NO_KEYS, ids=[str(index) for index in range(len(NO_KEYS))])
def test_what_has_no_one_text_is_no_key_and_is_not_quoted(value: Any, said: tuple[str, str]) -> None:
    with pytest.raises(InvalidRecordError) as caught:
        key_of(value)
    assert [(code, text) for code, _, text in caught.value.errors] == [said]
    assert is_missing(plain_value(value)) == (said == EMPTY and type(value) is not str)


@given(st.integers(min_value=1 - 2**53, max_value=2**53 - 1))
def test_integers_floats_and_decimals_agree(value: int) -> None:
    assert key_of(value) == key_of(float(value)) == key_of(Decimal(value)) == key_of(Decimal(f"{value}.000"))


@given(st.one_of(st.text(), st.integers(), st.floats(), st.decimals(), st.datetimes(timezones=st.timezones())))
def test_a_key_is_a_text_that_any_table_stores_or_a_reason(value: Any) -> None:
    refused: dict[int, Any] = {}
    (text,) = identifiers_of([{"id": plain_value(value)}], ["id"], refused)
    if text is None:
        assert refused[0][0][:2] in {("missing_key", "id"), ("invalid_key", "id")}
        return
    assert 0 < len(text) <= 255
    assert "\x00" not in text
    text.encode()


def test_several_columns_become_one_json_array() -> None:
    assert identifier_of({"id": 1.0, "region": 'é,"[', "x": 1}, ["id", "region"]) == '["1","é,\\"["]'
    assert identifier_of({"a": '1","2', "b": "x"}, ["a", "b"]) != identifier_of({"a": "1", "b": '2","x'}, ["a", "b"])
    for row in ({"id": 1}, {"id": 1, "region": ""}, {"id": 1, "region": None}):
        with pytest.raises(InvalidRecordError, match="missing_key"):
            identifier_of(row, ["id", "region"])


def test_texts_over_255_characters_are_replaced_by_a_digest() -> None:
    kept, cut = "k" * 255, "k" * 256
    assert identifier_of({"id": kept}, ["id"]) == kept
    found = identifier_of({"id": cut}, ["id"])
    assert found.startswith("sha256:")
    assert len(found) == 71
    assert found != identifier_of({"id": cut + "k"}, ["id"])
    assert len(identifier_of({"a": "k" * 200, "b": "k" * 200}, ["a", "b"])) == 71


def test_the_name_of_a_forgotten_person_is_no_key() -> None:
    with pytest.raises(InvalidRecordError, match="invalid_key"):
        identifier_of({"id": FORGOTTEN}, ["id"])


@pytest.mark.parametrize("odd", [None, "", "é", "a\x00", "\ud800", "k" * 256, FORGOTTEN, f"{FORGOTTEN}0", 7, NoZone])
def test_a_column_of_keys_is_its_keys(odd: Any) -> None:
    value = datetime(2026, 1, 2, tzinfo=NoZone()) if odd is NoZone else odd
    rows: list[dict[str, Any]] = [{"id": "a"}, {"id": value}, {"id": "a"}]
    refused: dict[int, Any] = {}
    first, second, third = identifiers_of(rows, ["id"], refused)
    assert (first, third) == ("a", "a")
    assert (second is None) == (1 in refused)
    if odd is NoZone:
        assert refused[1] == (("invalid_key", "id", "reading it raises ZeroDivisionError"),)
    elif second is not None:
        assert second == identifier_of(rows[1], ["id"])


# Two encoders, one text: whichever writes a payload, its digest is the same.

LONE = range(0xD800, 0xE000)
PLAIN_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-EXACT_INTEGER, EXACT_INTEGER - 1), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=20,
)
NOT_PLAIN: list[Any] = [
    *(0.0, 1.5, -1e300, EXACT_INTEGER, -EXACT_INTEGER - 1, 10**40, Colour.RED, Number.ONE, np.float64(1.5)),
    *((1,), {1: "a"}, {Colour.RED: "a"}, type("Mapping", (dict,), {})(a=1), type("Items", (list,), {})([1])),
]


def slow(value: Any) -> bytes:
    return CANONICAL.encode(value).encode()


@pytest.mark.parametrize("start", [*range(0, 0x10000, 0x1000), 0x10000])
def test_both_encoders_write_and_sort_every_character_alike(start: int) -> None:
    codes = (
        range(start, start + 0x1000) if start < 0x10000 else [*range(start, 0x110000, 0xFF), 0xFFFF, 0xFF5E, 0x7F, 0]
    )
    characters = [chr(code) for code in codes if code not in LONE]
    for value in ("".join(characters), dict.fromkeys(characters[::-1], 1), {one * 2: one for one in characters}):
        assert is_plain(value)
        assert PLAIN.encode(value) == slow(value)


@given(PLAIN_JSON)
def test_both_encoders_write_a_plain_payload_alike(value: Any) -> None:
    assert is_plain(value)
    assert PLAIN.encode(value) == slow(value) == canonical(value)
    assert json.loads(canonical(value)) == value


@pytest.mark.parametrize("value", [EXACT_INTEGER - 1, -EXACT_INTEGER, 10**40, -(10**40), 2**53 + 1, 0, -1, True, None])
def test_both_encoders_write_whole_numbers_alike(value: Any) -> None:
    # Fields that the contract knows as whole numbers are written by the fast one, however long they are.
    for payload in (value, [value], {"a": [{"b": value}, []], "": {}}):
        assert PLAIN.encode(payload) == slow(payload) == canonical(payload)


@pytest.mark.parametrize("value", NOT_PLAIN, ids=[str(index) for index in range(len(NOT_PLAIN))])
def test_what_the_fast_encoder_could_write_otherwise_goes_the_other_way(value: Any) -> None:
    for payload in (value, [value], {"b": 1, "a": [{"b": [value]}]}):
        assert not is_plain(payload)
        assert canonical(payload) == slow(payload)


@pytest.mark.parametrize("value", [math.nan, math.inf, "\ud800", object(), {1, 2}, 10**5000], ids=lambda _: "value")
def test_what_json_cannot_say_has_no_canonical_text(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical({"a": value})


def test_a_digest_is_what_it_always_was() -> None:
    payload = {
        "name": "Zo\u00eb \u2028",
        "age": 7,
        "extra": {"n": 1.0, "m": 1e22, "i": 2**63},
        "tags": ["a", None, True],
    }
    text = (
        '{"age":7,"extra":{"i":9223372036854775808,"m":1e+22,"n":1.0},"name":"Zo\u00eb \u2028","tags":["a",null,true]}'
    )
    assert canonical(payload) == text.encode()
    del payload["extra"]
    assert canonical(payload) == '{"age":7,"name":"Zo\u00eb \u2028","tags":["a",null,true]}'.encode()
    assert digest(b"{}") == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError


class Odd:
    def __repr__(self) -> str:
        return "half \ud800"


def test_a_rough_digest_is_there_for_anything_and_tells_records_apart() -> None:
    circle: list[Any] = []
    circle.append(circle)
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    records: list[Any] = [None, {}, {"a": 1}, {"a": "\ud800"}, {1: 2, "1": 3}, {"a": math.nan}, {"a": b"\xff"}, circle]
    records += [{"a": 10**5000}, {"a": 10**5000, "b": 1}, {"a": Unshowable()}]
    assert len({rough_digest(record) for record in records}) == len(records)
    assert rough_digest(deep)


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({"b": 1, "a": "\u00eb"}, b'{"a": "\\u00eb", "b": 1}'),
        ({"a": math.nan}, b'{"a": NaN}'),
        ({1: "x", "a": [2]}, b"1\n'x'\n'a'\n[2]"),
        ({1: Unshowable(), "a": Odd()}, b"1\nUnshowable\n'a'\nhalf \\ud800"),
        (None, b"null"),
    ],
    ids=[str(index) for index in range(5)],
)
def test_a_rough_digest_is_what_it_always_was(record: Any, text: bytes) -> None:
    assert rough_digest(record) == digest(text)


@pytest.mark.parametrize("number", [0, -7, 2**63, 2**799, 2**801, -(2**900)])
def test_a_column_of_integers_is_read_as_its_numbers_are(number: int) -> None:
    refused: dict[int, Any] = {}
    several = identifiers_of([{"id": 5}, {"id": number}], ["id"], refused)
    assert several == ["5", *identifiers_of([{"id": number}, {"id": "a"}], ["id"], {})[:1]]
    assert refused == {}
