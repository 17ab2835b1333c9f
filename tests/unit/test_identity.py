from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import ip_address, ip_interface
from typing import Any
from uuid import UUID

import numpy as np  # noqa: TID253  # its arrays compare element by element
import pandas as pd  # noqa: TID253  # its missing values and times are what is tested
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.records.keys import (
    CANONICAL,
    EXACT_INTEGER,
    PLAIN,
    canonical,
    digest,
    identifier_of,
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


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError


class Nowhere(tzinfo):
    """A zone that tells no offset: such a time is naive."""

    def utcoffset(self, _: datetime | None) -> timedelta | None:
        return None

    def dst(self, _: datetime | None) -> timedelta | None:
        return None

    def tzname(self, _: datetime | None) -> str | None:
        return None


def key_of(value: Any) -> str:
    return key_text(plain_value(value))


MOSCOW = timezone(timedelta(hours=3))

KEYS: list[tuple[Any, str]] = [
    ("a", "a"),
    (" a ", " a "),
    ("É", "É"),
    ("1.0", "1.0"),
    (Colour.RED, "red"),
    (1, "1"),
    (-7, "-7"),
    (0, "0"),
    (10**40, "1" + "0" * 40),
    (Number.ONE, "1"),
    (1.0, "1"),
    (-0.0, "0"),
    (float(2**53), str(2**53)),
    (Decimal("1.00"), "1"),
    (Decimal("1.50"), "1.5"),
    (Decimal("1E+3"), "1000"),
    (Decimal("-0.0"), "0"),
    (Decimal("0E+9"), "0"),
    (Decimal("1E-7"), "0.0000001"),
    (True, "true"),
    (False, "false"),
    (datetime(2026, 1, 2, 3, 4, 5, tzinfo=MOSCOW), "2026-01-02T00:04:05+00:00"),
    (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
    (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),  # noqa: DTZ001  # a naive time is the case
    (datetime(2026, 1, 2, 3, 4, 5, tzinfo=Nowhere()), "2026-01-02T03:04:05"),
    (pd.Timestamp("2026-01-02T03:04:05", tz="Europe/Moscow"), "2026-01-02T00:04:05+00:00"),
    (date(2026, 1, 2), "2026-01-02"),
    (time(3, 4, 5), "03:04:05"),
    (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (ip_address("10.0.0.1"), "10.0.0.1"),
    (ip_interface("10.0.0.1/8"), "10.0.0.1/8"),
]

NO_KEYS: list[tuple[Any, str]] = [
    (None, "missing_key"),
    ("", "missing_key"),
    (math.nan, "missing_key"),
    (Decimal("NaN"), "missing_key"),
    (Decimal("sNaN"), "missing_key"),
    (pd.NaT, "missing_key"),
    (pd.NA, "missing_key"),
    (1.5, "invalid_key"),
    (math.inf, "invalid_key"),
    (-math.inf, "invalid_key"),
    (float(2**53) * 4, "invalid_key"),
    (Decimal("Infinity"), "invalid_key"),
    (Decimal("1E+999999999"), "invalid_key"),
    (Decimal("1E-999999999"), "invalid_key"),
    (10**5000, "invalid_key"),
    (datetime(1, 1, 1, tzinfo=MOSCOW), "invalid_key"),
    ("a\x00b", "invalid_key"),
    ("a\ud800b", "invalid_key"),
    ("\udfff", "invalid_key"),
    (b"a", "invalid_key"),
    (np.array(["a", "b"]), "invalid_key"),
    ([1], "invalid_key"),
    ({"a": 1}, "invalid_key"),
    (object(), "invalid_key"),
    (1j, "invalid_key"),
]


@pytest.mark.parametrize(("value", "text"), KEYS, ids=[str(index) for index in range(len(KEYS))])
def test_a_key_has_one_text_from_every_source(value: Any, text: str) -> None:
    found = key_of(value)
    assert found == text
    assert type(found) is str


@pytest.mark.parametrize(("value", "code"), NO_KEYS, ids=[str(index) for index in range(len(NO_KEYS))])
def test_what_has_no_one_text_is_no_key(value: Any, code: str) -> None:
    with pytest.raises(InvalidRecordError) as caught:
        key_of(value)
    assert [found for found, _, _ in caught.value.errors] == [code]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (10**5000, "a number this long is no sync key"),
        (Decimal("1E+4301"), "a Decimal is no sync key; cast it to text"),
        (Decimal("Infinity"), "a Decimal is no sync key; cast it to text"),
        (1.5, "an inexact number is no sync key; cast it to text"),
        (datetime(1, 1, 1, tzinfo=MOSCOW), "a time outside the years that UTC has"),
        ([1], "a list is no sync key; cast it to text"),
        ("a\x00b", "the sync key holds characters that no table can store"),
        ("", "the sync key is empty"),
    ],
    ids=[str(index) for index in range(8)],
)
def test_what_is_no_key_says_why_and_quotes_nothing(value: Any, said: str) -> None:
    with pytest.raises(InvalidRecordError) as caught:
        key_of(value)
    assert [text for _, _, text in caught.value.errors] == [said]


def test_the_same_key_from_a_column_with_and_without_a_gap() -> None:
    whole = pd.DataFrame({"id": [1, 2]})["id"].tolist()
    gappy = pd.DataFrame({"id": [1, None]})["id"].tolist()
    assert key_of(whole[0]) == key_of(gappy[0]) == key_of(Decimal(1)) == key_of(1)


@given(st.integers(min_value=-(2**53), max_value=2**53))
def test_integers_floats_and_decimals_agree(value: int) -> None:
    assert key_of(value) == key_of(float(value)) == key_of(Decimal(value)) == key_of(Decimal(f"{value}.000"))


@given(st.one_of(st.text(), st.integers(), st.floats(), st.decimals(), st.datetimes(timezones=st.timezones())))
def test_a_key_is_a_text_that_any_table_stores_or_a_reason(value: Any) -> None:
    try:
        text = identifier_of({"id": plain_value(value)}, ["id"])
    except InvalidRecordError as error:
        assert error.errors[0][0] in {"missing_key", "invalid_key"}  # noqa: PT017  # both ends are right
        return
    assert 0 < len(text) <= 255
    assert "\x00" not in text
    text.encode()


def test_several_columns_become_one_json_array() -> None:
    row = {"id": 1.0, "region": 'é,"[', "x": 1}
    assert identifier_of(row, ["id", "region"]) == '["1","é,\\"["]'
    assert identifier_of({"a": "1", "b": "2"}, ["a", "b"]) != identifier_of(
        {"a": '1","2', "b": ""} | {"b": "x"}, ["a", "b"]
    )


@pytest.mark.parametrize("row", [{"id": 1}, {"id": 1, "region": ""}, {"id": 1, "region": None}])
def test_a_missing_part_is_a_missing_key(row: dict[str, Any]) -> None:
    with pytest.raises(InvalidRecordError, match="missing_key"):
        identifier_of(row, ["id", "region"])


def test_texts_over_255_signs_are_replaced_by_a_digest() -> None:
    kept, cut = "k" * 255, "k" * 256
    assert identifier_of({"id": kept}, ["id"]) == kept
    found = identifier_of({"id": cut}, ["id"])
    assert found.startswith("sha256:")
    assert len(found) == 71
    assert found != identifier_of({"id": cut + "k"}, ["id"])
    assert len(identifier_of({"a": "k" * 200, "b": "k" * 200}, ["a", "b"])) == 71


@pytest.mark.parametrize("value", [None, math.nan, Decimal("NaN"), Decimal("sNaN"), pd.NaT, pd.NA])
def test_nothing_is_missing(value: Any) -> None:
    assert is_missing(plain_value(value))


@pytest.mark.parametrize("value", ["", 0, 0.0, False, [], {}, (), Decimal(0), math.inf, "nan", b"", object()])
def test_something_is_not_missing(value: Any) -> None:
    assert not is_missing(plain_value(value))


def test_the_canonical_text_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical({"b": [1, {"d": None, "c": "é"}], "a": 1}) == '{"a":1,"b":[1,{"c":"é","d":null}]}'.encode()
    assert digest(canonical({"a": 1, "b": 2})) == digest(canonical({"b": 2, "a": 1}))


@pytest.mark.parametrize("value", [math.nan, math.inf, "\ud800", object(), {1, 2}, 10**5000], ids=lambda _: "value")
def test_what_json_cannot_say_has_no_canonical_text(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical({"a": value})


# Two encoders, one text: whichever writes a payload, its digest is the same.

LONE = range(0xD800, 0xE000)
PLAIN_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-EXACT_INTEGER, EXACT_INTEGER - 1), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=20,
)
NOT_PLAIN: list[Any] = [
    0.0,
    1.5,
    -1e300,
    EXACT_INTEGER,
    -EXACT_INTEGER - 1,
    10**40,
    Colour.RED,
    Number.ONE,
    np.float64(1.5),
    (1,),
    {1: "a"},
    {Colour.RED: "a"},
    type("Mapping", (dict,), {})(a=1),
    type("Items", (list,), {})([1]),
]


def slow(value: Any) -> bytes:
    return CANONICAL.encode(value).encode()


@pytest.mark.parametrize("start", range(0, 0x10000, 0x1000))
def test_both_encoders_write_every_sign_alike(start: int) -> None:
    signs = [chr(code) for code in range(start, start + 0x1000) if code not in LONE]
    for value in ("".join(signs), signs, dict.fromkeys(signs[::-1], 1), {sign * 2: sign for sign in signs}):
        assert is_plain(value)
        assert PLAIN.encode(value) == slow(value)


def test_both_encoders_write_and_sort_signs_beyond_the_first_plane_alike() -> None:
    signs = [chr(code) for code in (*range(0x10000, 0x110000, 0xFF), 0x10FFFF, 0xE000, 0xFFFF, 0xFF5E, 0x7F, 0x0)]
    for value in (signs, dict.fromkeys(signs, "x"), {f"a{sign}": sign for sign in signs}):
        assert PLAIN.encode(value) == slow(value)


@pytest.mark.parametrize("value", [EXACT_INTEGER - 1, -EXACT_INTEGER, -EXACT_INTEGER + 1, 2**53 + 1, 0, -1, True, None])
def test_both_encoders_write_whole_numbers_of_64_bits_alike(value: Any) -> None:
    for payload in (value, [value], {"a": value}, {"a": [{"b": value}, []], "": {}}):
        assert is_plain(payload)
        assert PLAIN.encode(payload) == slow(payload) == canonical(payload)


@given(PLAIN_JSON)
def test_both_encoders_write_a_plain_payload_alike(value: Any) -> None:
    assert is_plain(value)
    assert PLAIN.encode(value) == slow(value) == canonical(value)
    assert json.loads(canonical(value)) == value


@pytest.mark.parametrize("value", NOT_PLAIN, ids=[str(index) for index in range(len(NOT_PLAIN))])
def test_what_the_fast_encoder_could_write_otherwise_goes_the_other_way(value: Any) -> None:
    for payload in (value, [value], {"a": value}, {"b": 1, "a": [{"b": [value]}]}):
        assert not is_plain(payload)
        assert canonical(payload) == slow(payload)


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


class Odd:
    def __repr__(self) -> str:
        return "half \ud800"


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({"b": 1, "a": "\u00eb"}, b'{"a": "\\u00eb", "b": 1}'),
        ({"a": date(2026, 1, 2)}, b'{"a": "datetime.date(2026, 1, 2)"}'),
        ({"a": math.nan}, b'{"a": NaN}'),
        ({1: "x", "a": [2]}, b"1\n'x'\n'a'\n[2]"),
        ({1: Unshowable(), "a": Odd()}, b"1\nUnshowable\n'a'\nhalf \\ud800"),
        (None, b"null"),
    ],
    ids=[str(index) for index in range(6)],
)
def test_a_rough_digest_is_what_it_always_was(record: Any, text: bytes) -> None:
    assert rough_digest(record) == digest(text)
