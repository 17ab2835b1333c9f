from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import numpy as np  # noqa: TID253  # its arrays compare element by element
import pandas as pd  # noqa: TID253  # its missing values and times are what is tested
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.core.errors import InvalidRecordError
from airflow_provider_contacts.core.identity import (
    canonical,
    digest,
    identifier_of,
    is_missing,
    key_text,
    rough_digest,
)


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

    def __repr__(self) -> str:
        # Part of a test's name, which must be the same in every process.
        return "Nowhere()"


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


@pytest.mark.parametrize(("value", "text"), KEYS, ids=repr)
def test_a_key_has_one_text_from_every_source(value: Any, text: str) -> None:
    found = key_text(value)
    assert found == text
    assert type(found) is str


@pytest.mark.parametrize(("value", "code"), NO_KEYS, ids=[str(index) for index in range(len(NO_KEYS))])
def test_what_has_no_one_text_is_no_key(value: Any, code: str) -> None:
    with pytest.raises(InvalidRecordError) as caught:
        key_text(value)
    assert [found for found, _, _ in caught.value.errors] == [code]


def test_the_same_key_from_a_column_with_and_without_a_gap() -> None:
    whole = pd.DataFrame({"id": [1, 2]})["id"].tolist()
    gappy = pd.DataFrame({"id": [1, None]})["id"].tolist()
    assert key_text(whole[0]) == key_text(gappy[0]) == key_text(Decimal(1)) == key_text(1)


@given(st.integers(min_value=-(2**53), max_value=2**53))
def test_integers_floats_and_decimals_agree(value: int) -> None:
    assert key_text(value) == key_text(float(value)) == key_text(Decimal(value)) == key_text(Decimal(f"{value}.000"))


@given(st.one_of(st.text(), st.integers(), st.floats(), st.decimals(), st.datetimes(timezones=st.timezones())))
def test_a_key_is_a_text_that_any_table_stores_or_a_reason(value: Any) -> None:
    try:
        text = identifier_of({"id": value}, ["id"])
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
    assert is_missing(value)


@pytest.mark.parametrize("value", ["", 0, 0.0, False, [], {}, (), Decimal(0), math.inf, "nan", b"", object()])
def test_something_is_not_missing(value: Any) -> None:
    assert not is_missing(value)


def test_the_canonical_text_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical({"b": [1, {"d": None, "c": "é"}], "a": 1}) == '{"a":1,"b":[1,{"c":"é","d":null}]}'.encode()
    assert digest(canonical({"a": 1, "b": 2})) == digest(canonical({"b": 2, "a": 1}))


@pytest.mark.parametrize("value", [math.nan, math.inf, "\ud800", object(), {1, 2}, 10**5000], ids=lambda _: "value")
def test_what_json_cannot_say_has_no_canonical_text(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical({"a": value})


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
