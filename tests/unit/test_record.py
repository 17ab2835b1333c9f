from __future__ import annotations

import json
import math
from collections import ChainMap, UserDict
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import numpy as np  # noqa: TID253  # its scalars are what is tested
import pandas as pd  # noqa: TID253  # its missing values are what is tested
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.records.keys import canonical, digest
from airflow_provider_contacts.records.mapper import MOST_COLUMNS, InvalidRecord, Mapper, Prepared
from airflow_provider_contacts.sources.plain_values import plain_row
from airflow_provider_contacts.vendor_kit.contract import RecordContract
from airflow_provider_contacts.vendor_kit.forms import DestinationForm, Setting
from airflow_provider_contacts.vendor_kit.shorthands import Shorthand
from airflow_provider_contacts.vendor_kit.vendor import Payload, Vendor
from tests.support.fake_vendor import VENDOR


def generated(payload: Payload, sync_id: str, identifier: str) -> Payload:
    return {} if "uid" in payload else {"uid": f"made-from-{sync_id}-{identifier}"}


ADDING = replace(VENDOR, destination_fields=lambda found: {"extra": {"list": found["list_id"]}}, generated=generated)


def mapper(vendor: Vendor = VENDOR, **options: Any) -> Mapper:
    return Mapper(vendor=vendor, destination={"list_id": 7}, sync_id="sync", **options)


def prepared(row: Any, found: Mapper | None = None) -> Prepared:
    result = (found or mapper()).prepare(3, plain_row(row))
    assert isinstance(result, Prepared), result
    return result


def errors(row: Any, found: Mapper | None = None) -> list[tuple[str, str | None]]:
    result = (found or mapper()).prepare(3, plain_row(row))
    assert isinstance(result, InvalidRecord), result
    return [(code, where) for code, where, _ in result.errors]


def test_a_row_becomes_a_payload_and_its_bytes() -> None:
    result = prepared({"name": " Zoë ", "age": 7, "email": "A@b.example"})
    assert result.payload == {"name": " Zoë ", "age": 7, "email": "A@b.example"}
    assert json.loads(result.body) == result.payload
    assert result.row_index == 3
    assert result.payload_hash == f"v1:{digest(canonical(result.payload))}"
    assert result.record_identifier == f"sha256:{digest(canonical(result.payload))}"


def test_columns_are_mapped_before_anything_else() -> None:
    found = mapper(field_map={"full": "name", "mail": "email"}, sync_key=("id",))
    result = prepared({"id": 5.0, "full": "Ada", "mail": "a@b.example"}, found)
    assert result.payload == {"name": "Ada", "email": "a@b.example"}
    assert result.record_identifier == "5"


def test_a_sync_key_that_is_a_field_is_sent_too() -> None:
    result = prepared({"email": "a@b.example", "name": "Ada"}, mapper(sync_key=("email",)))
    assert result.payload["email"] == "a@b.example"
    assert result.record_identifier == "a@b.example"


@pytest.mark.parametrize("nothing", [None, math.nan, pd.NaT, pd.NA, Decimal("NaN"), Decimal("sNaN"), ""])
def test_missing_values_are_left_out(nothing: Any) -> None:
    assert prepared({"name": "Ada", "email": nothing, "tags": nothing, "extra.x": nothing}).payload == {"name": "Ada"}


def test_a_given_none_is_sent_where_null_is_documented_and_nothing_else_is() -> None:
    assert prepared({"name": "Ada", "note": None}).payload == {"name": "Ada", "note": None}
    assert prepared({"name": "Ada", "note": math.nan}).payload == {"name": "Ada"}
    assert prepared({"name": "Ada", "note": ""}).payload == {"name": "Ada"}


def test_members_that_are_missing_are_left_out_of_nested_values() -> None:
    row = {
        "name": "Ada",
        "address": {"city": None, "zip": "1"},
        "extra": {"a": [{"b": math.nan}, None, pd.NaT], "c": ""},
    }
    assert prepared(row).payload == {
        "name": "Ada",
        "address": {"zip": "1"},
        "extra": {"a": [{}, None, None], "c": ""},
    }


def test_an_empty_required_text_is_refused_by_the_contract() -> None:
    assert errors({"name": ""}) == [("too_short", "name")]
    assert errors({"name": None}) == [("missing_field", "name")]
    assert errors({}) == [("missing_field", "name")]


def test_shorthands_fill_native_fields() -> None:
    row = {"first_name": "Ada", "last_name": "L", "extra.x": 1, "extra.y.z": "2"}
    assert prepared(row).payload == {"name": "Ada L", "extra": {"x": 1, "y.z": "2"}}


@pytest.mark.parametrize(
    ("row", "where"),
    [
        ({"name": "Ada", "first_name": "Ada"}, "first_name"),
        ({"last_name": "L", "name": "Ada"}, "last_name"),
        ({"name": "Ada", "extra": {"a": 1}, "extra.b": 2}, "extra.b"),
    ],
)
def test_a_shorthand_beside_its_native_field_is_a_conflict(row: dict[str, Any], where: str) -> None:
    assert errors(row) == [("conflict", where)]


def test_a_missing_native_field_is_no_conflict() -> None:
    assert prepared({"first_name": "Ada", "name": None}).payload == {"name": "Ada"}


def test_two_columns_for_one_field_are_a_conflict() -> None:
    assert errors(
        {"name": "Ada", "mail": "a@b.example", "email": "a@b.example"}, mapper(field_map={"mail": "email"})
    ) == [("conflict", "email")]


def test_nested_fields_are_read_from_json_text() -> None:
    row = {"name": "Ada", "tags": '["a", "b"]', "address": '{"city": "Riga", "zip": null}', "extra": '{"n": 1.5}'}
    assert prepared(row).payload == {
        "name": "Ada",
        "tags": ["a", "b"],
        "address": {"city": "Riga"},
        "extra": {"n": 1.5},
    }
    assert errors({"name": "Ada", "tags": "a, b"}) == [("invalid_json", "tags")]
    assert errors({"name": "Ada", "tags": "[" * 100_000}) == [("invalid_json", "tags")]
    assert prepared({"name": "Ada", "extra": '{"n": NaN}'}).payload == {"name": "Ada", "extra": {}}
    assert errors({"name": "Ada", "extra": '{"n": Infinity}'}) == [("not_json", None)]


def test_json_text_for_nothing_is_nothing() -> None:
    assert prepared({"name": "Ada", "tags": "null"}).payload == {"name": "Ada"}


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"name": 7}, [("wrong_type", "name")]),
        ({"name": b"Ada"}, [("wrong_type", "name")]),
        ({"name": "x" * 81}, [("too_long", "name")]),
        ({"name": "Ada", "age": 151}, [("out_of_range", "age")]),
        ({"name": "Ada", "age": -1}, [("out_of_range", "age")]),
        ({"name": "Ada", "age": "7"}, [("wrong_type", "age")]),
        ({"name": "Ada", "age": 7.0}, [("wrong_type", "age")]),
        ({"name": "Ada", "age": True}, [("wrong_type", "age")]),
        ({"name": "Ada", "email": "ada"}, [("invalid_email", "email")]),
        ({"name": "Ada", "born": "2026-1-2"}, [("invalid_date", "born")]),
        ({"name": "Ada", "seen": "2026-01-02T03:04:05"}, [("invalid_datetime", "seen")]),
        ({"name": "Ada", "uid": "1"}, [("invalid_uuid", "uid")]),
        ({"name": "Ada", "address": {"street": "x"}}, [("unknown_field", "address.street")]),
        ({"name": "Ada", "address": ["x"]}, [("wrong_type", "address")]),
        ({"name": "Ada", "tags": ["a", 1]}, [("wrong_type", "tags.1")]),
        ({"name": 7, "age": "x"}, [("wrong_type", "name"), ("wrong_type", "age")]),
        ({"name": "Ada", "phone": "1"}, [("unknown_field", "phone")]),
        ({"name": "a\ud800"}, [("invalid_text", "name")]),
        ({"name": "Ada", "extra": {"a": "\udfff"}}, [("invalid_text", None)]),
        ({"name": "Ada", "extra": {"a": math.inf}}, [("not_json", None)]),
        ({"name": "Ada", "extra": {"a": Decimal("-Infinity")}}, [("not_json", None)]),
        ({"name": "Ada", "extra": {"a": {1, 2}}}, [("not_json", None)]),
        ({"name": "Ada", "extra": {"a": object()}}, [("not_json", None)]),
        ({"name": "Ada", "extra": {"a": b"\xff"}}, [("not_json", None)]),
    ],
    ids=lambda _: "",
)
def test_every_reason_has_its_code_and_field(row: dict[str, Any], found: list[tuple[str, str | None]]) -> None:
    assert errors(row) == found


def test_our_own_messages_quote_no_value() -> None:
    row = {"name": 7, "email": "secret-value", "age": "secret-value", "born": "secret-value", "uid": "secret-value"}
    row |= {"seen": "secret-value", "tags": "secret-value-is-no-json", "secret": 1}
    for kept in ("email", "age", "born", "uid", "seen", "tags"):
        result = mapper().prepare(0, {"name": "Ada", kept: row[kept]})
        assert isinstance(result, InvalidRecord)
        assert "secret-value" not in str(result.errors)
        assert "secret-value" not in repr(result)


def test_dates_and_ids_leave_as_text() -> None:
    row = {"name": "Ada", "born": date(2026, 1, 2), "seen": datetime(2026, 1, 2, tzinfo=UTC), "uid": UUID(int=1)}
    assert prepared(row).payload == {
        "name": "Ada",
        "born": "2026-01-02",
        "seen": "2026-01-02T00:00:00+00:00",
        "uid": "00000000-0000-0000-0000-000000000001",
    }


def test_an_unknown_column_is_an_error_or_ignored() -> None:
    row = {"name": "Ada", "colour": "red"}
    assert errors(row) == [("unknown_field", "colour")]
    assert prepared(row, mapper(unmapped="ignore")).payload == {"name": "Ada"}


@pytest.mark.parametrize("row", [None, "name", 7, [("name", "Ada")], {1: "Ada"}, {"name": "Ada", None: 1}])
def test_what_is_no_mapping_of_names_is_invalid(row: Any) -> None:
    assert errors(row) == [("not_a_mapping", None)]


def test_a_record_without_its_key_is_identified_by_its_payload() -> None:
    found = mapper(sync_key=("id",), field_map={})
    one = found.prepare(0, {"id": None, "name": "Ada"})
    two = found.prepare(1, {"name": "Ada"})
    other = found.prepare(2, {"name": "Bob"})
    assert isinstance(one, InvalidRecord)
    assert [(code, where) for code, where, _ in one.errors] == [("missing_key", "id")]
    assert one.record_identifier == two.record_identifier == prepared({"name": "Ada"}).record_identifier
    assert other.record_identifier != one.record_identifier


def test_a_record_without_its_key_tells_its_other_faults_too() -> None:
    assert errors({"name": 7, "id": 1.5}, mapper(sync_key=("id",))) == [("invalid_key", "id"), ("wrong_type", "name")]


def test_an_invalid_record_keeps_its_key() -> None:
    result = mapper(sync_key=("id",)).prepare(0, {"id": 1, "name": 7})
    assert isinstance(result, InvalidRecord)
    assert result.record_identifier == "1"


def test_the_digest_leaves_out_what_we_add() -> None:
    found = mapper(ADDING, sync_key=("id",))
    result = prepared({"id": 1, "name": "Ada"}, found)
    assert result.payload == {"name": "Ada", "extra": {"list": 7}, "uid": "made-from-sync-1"}
    assert json.loads(result.body) == result.payload
    assert result.payload_hash == prepared({"name": "Ada"}).payload_hash
    elsewhere = Mapper(vendor=ADDING, destination={"list_id": 8}, sync_id="other", sync_key=("id",))
    assert prepared({"id": 1, "name": "Ada"}, elsewhere).payload_hash == result.payload_hash


def test_a_generated_value_is_the_same_in_every_try() -> None:
    found = mapper(ADDING)
    assert prepared({"name": "Ada"}, found).body == prepared({"name": "Ada"}, mapper(ADDING)).body


def test_the_digest_tells_payloads_apart_and_not_their_order() -> None:
    one = prepared({"name": "Ada", "age": 1})
    assert one.payload_hash == prepared({"age": 1, "name": "Ada", "note": math.nan}).payload_hash
    assert one.payload_hash != prepared({"name": "Ada", "age": 2}).payload_hash


def test_no_value_shows_in_a_repr() -> None:
    for row in ({"name": "Ada Secret", "id": "ada@secret.example"}, {"name": 7, "id": "ada@secret.example"}):
        shown = repr(mapper(sync_key=("id",)).prepare(0, row)).lower()
        assert "secret" not in shown


def test_the_columns_of_a_source_are_checked_before_anything_is_sent() -> None:
    mapper(sync_key=("id",), field_map={"full": "name"}).check(["id", "full", "email", "extra.x"])
    mapper(sync_key=("id",), field_map={"full": "name"}).check(None)
    mapper(unmapped="ignore").check(["name", "colour"])


@pytest.mark.parametrize(
    ("options", "columns", "said"),
    [
        ({"sync_key": ("id",)}, ["name"], "sync_key.*'id'"),
        ({"field_map": {"full": "name"}}, ["name"], "field_map.*'full'"),
        ({"field_map": {"full": "nmae"}}, None, "nmae"),
        ({"field_map": {"full": "name"}}, ["full", "name"], "'name'"),
        ({}, ["name", "colour"], "colour"),
    ],
)
def test_columns_that_cannot_be_right_are_a_configuration_error(
    options: dict[str, Any], columns: list[str] | None, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        mapper(**options).check(columns)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.builds(lambda: 10**5000),
    st.floats(),
    st.decimals(),
    st.text(st.characters(categories=["L", "N", "Cs", "Cc"])),
    st.binary(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.dates(),
    st.uuids(),
    st.sampled_from([pd.NaT, pd.NA, object(), {1, 2}, "[", "[1]", '{"a": {}}', "a@b.example"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers(), st.none()), inner, max_size=3),
    ),
    max_leaves=6,
)
COLUMNS = st.sampled_from([*VENDOR.contract.fields, "first_name", "last_name", "extra.x", "id", "zzz", "\ud800"])
ROWS = st.one_of(VALUES, st.dictionaries(st.one_of(COLUMNS, st.text(max_size=3), st.integers()), VALUES, max_size=6))


def test_a_number_that_cannot_be_written_is_invalid() -> None:
    found = mapper().prepare(0, {"name": "Ada", "extra": {"n": 10**5000}})
    assert isinstance(found, InvalidRecord)
    assert [code for code, _, _ in found.errors] == ["not_json"]


@given(ROWS, st.sampled_from([(), ("id",), ("id", "name")]), st.sampled_from(["error", "ignore"]))
def test_nothing_raises_on_any_row(row: Any, sync_key: tuple[str, ...], unmapped: Any) -> None:
    result = mapper(ADDING, sync_key=sync_key, unmapped=unmapped).prepare(0, plain_row(row))
    assert 0 < len(result.record_identifier) <= 255
    result.record_identifier.encode()
    assert result.payload_hash.startswith("v1:")
    if isinstance(result, Prepared):
        assert json.loads(result.body) == result.payload
        assert result == mapper(ADDING, sync_key=sync_key, unmapped=unmapped).prepare(0, plain_row(row))
    else:
        assert result.errors


def test_endless_nesting_is_no_error_of_ours() -> None:
    circle: dict[str, Any] = {}
    circle["extra"] = circle
    deep: Any = {}
    for _ in range(10_000):
        deep = {"a": deep}
    knot: tuple[list[Any]] = ([],)
    knot[0].append(knot)
    for value in (circle, deep, knot, {"a": knot}):
        assert isinstance(mapper().prepare(0, plain_row({"name": "Ada", "extra": value})), InvalidRecord)
        assert isinstance(mapper().prepare(0, plain_row({"name": value})), InvalidRecord)


# What rows of the same columns have in common.


class Word(StrEnum):
    ADA = "Ada"
    NAME = "name"


class Number(IntEnum):
    SEVEN = 7


class Text(str):
    """A text as some drivers give it."""

    __slots__ = ()


def test_more_sets_of_columns_than_are_remembered_are_read_alike() -> None:
    found = mapper(unmapped="ignore")
    strict = mapper()
    for _ in range(2):
        for index in range(MOST_COLUMNS + 5):
            row = {f"x{index}": 1, "first_name": "Ada", "extra.n": index}
            assert prepared(row, found).payload == {"name": "Ada", "extra": {"n": index}}
            assert errors(row, strict) == [("unknown_field", f"x{index}")]
    assert len(found._columns) == len(strict._columns) == MOST_COLUMNS


def test_what_was_learned_of_one_row_is_not_said_of_another() -> None:
    found = mapper()
    assert prepared({"name": "Ada", "age": 7}, found).payload == {"name": "Ada", "age": 7}
    assert prepared({"age": 8, "name": "Bob"}, found).payload == {"name": "Bob", "age": 8}
    assert errors({"name": "Ada", "agee": 7}, found) == [("unknown_field", "agee")]
    assert prepared({"name": "Eve"}, found).payload == {"name": "Eve"}
    assert errors({"name": "Ada", 7: 7}, found) == [("not_a_mapping", None)]
    assert prepared({Word.NAME: "Ada", "age": 7}, found).payload == {"name": "Ada", "age": 7}


@pytest.mark.parametrize("kind", [dict, MappingProxyType, ChainMap, UserDict])
def test_a_mapping_that_is_no_dict_is_a_record(kind: Any) -> None:
    assert prepared(kind({"name": "Ada", "address": kind({"city": "Riga", "zip": None})})) == prepared(
        {"name": "Ada", "address": {"city": "Riga"}}
    )
    refused = mapper().prepare(3, plain_row(kind({"name": 7})))
    assert isinstance(refused, InvalidRecord)
    assert refused == mapper().prepare(3, {"name": 7})


@pytest.mark.parametrize("names", [("name", 1), (1, "name"), (None,), (b"name",), (True,), (1.5,)])
@pytest.mark.parametrize("unmapped", ["error", "ignore"])
def test_names_that_are_no_text_are_no_columns(names: tuple[Any, ...], unmapped: Any) -> None:
    result = mapper(unmapped=unmapped).prepare(3, plain_row(dict.fromkeys(names, "Ada")))
    assert isinstance(result, InvalidRecord)
    assert result.errors == (("not_a_mapping", None, "a record is a mapping of column names to values"),)
    assert result.payload == dict.fromkeys(names, "Ada")


@pytest.mark.parametrize("given", ["a@b.example", None, "", math.nan])
@pytest.mark.parametrize("flip", [False, True])
def test_two_columns_for_one_field_are_a_conflict_whatever_they_hold(given: Any, flip: bool) -> None:
    pairs = [("mail", given), ("email", "a@b.example")]
    row = {"name": "Ada", **dict(reversed(pairs) if flip else pairs)}
    assert errors(row, mapper(field_map={"mail": "email"})) == [("conflict", "email")]


@pytest.mark.parametrize("text", [Word.ADA, Text("Ada"), np.str_("Ada")], ids=lambda text: type(text).__name__)
def test_a_text_of_another_class_is_a_text(text: Any) -> None:
    row = {"name": text, "note": text, "tags": [text], "extra": {"a": text}}
    result = prepared(row)
    assert result == prepared({"name": "Ada", "note": "Ada", "tags": ["Ada"], "extra": {"a": "Ada"}})
    assert [type(value) for value in (result.payload["name"], result.payload["note"])] == [str, str]


def test_an_empty_text_of_another_class_is_an_empty_text() -> None:
    assert prepared({"name": "Ada", "email": Text(), "tags": Text("")}).payload == {"name": "Ada"}
    assert errors({"name": Text()}) == [("too_short", "name")]
    assert prepared({"name": "Ada", "tags": Text('["a"]')}).payload == {"name": "Ada", "tags": ["a"]}


def test_a_whole_number_of_another_class_is_one() -> None:
    result = prepared({"name": "Ada", "age": Number.SEVEN, "extra": {"a": Number.SEVEN}})
    assert result == prepared({"name": "Ada", "age": 7, "extra": {"a": 7}})
    assert type(result.payload["age"]) is int
    assert prepared({"name": "Ada", "age": np.int64(7)}) == prepared({"name": "Ada", "age": 7})
    assert errors({"name": "Ada", "age": np.bool_(1)}) == [("wrong_type", "age")]
    assert prepared({"name": "Ada", "extra": {"a": np.int64(7)}}) == prepared({"name": "Ada", "extra": {"a": 7}})


def test_a_float_of_another_class_is_one() -> None:
    row = {"name": "Ada", "age": np.float64("nan"), "extra": {"a": np.float64(1.5), "b": np.float64("nan")}}
    assert prepared(row) == prepared({"name": "Ada", "extra": {"a": 1.5}})


def test_values_inside_become_json() -> None:
    row = {"name": "Ada", "extra": {"on": date(2026, 1, 2), "id": UUID(int=1), "n": Decimal("1.00")}}
    assert prepared(row).payload["extra"] == {"on": "2026-01-02", "id": "00000000-0000-0000-0000-000000000001", "n": 1}
    assert errors({"name": "Ada", "extra": {"n": Decimal("1.50")}}) == [("not_json", None)]


def test_a_prefix_alone_is_no_shorthand() -> None:
    contract = replace(VENDOR.contract, flat=(Shorthand({"custom.*": "extra"}, lambda _record: None),))
    found = mapper(replace(VENDOR, contract=contract), unmapped="ignore")
    assert prepared({"name": "Ada", "custom": 1}, found).payload == {"name": "Ada"}


def test_json_text_for_null_is_null_where_null_is_documented() -> None:
    @with_config(ConfigDict(extra="forbid"))
    class Nullable(TypedDict, total=False):
        tags: list[str] | None

    found = mapper(replace(VENDOR, contract=RecordContract(record=Nullable)))
    assert prepared({"tags": "null"}, found).payload == {"tags": None}


def test_a_shorthand_of_its_own_name_is_no_conflict() -> None:
    contract = replace(VENDOR.contract, flat=(*VENDOR.contract.flat, Shorthand({"name": "name"}, lambda _record: None)))
    assert prepared({"name": "Ada"}, mapper(replace(VENDOR, contract=contract))).payload == {"name": "Ada"}
    assert errors({"name": "Ada", "first_name": "Ada"}, mapper(replace(VENDOR, contract=contract))) == [
        ("conflict", "first_name")
    ]


# What an unfit record keeps, and the words for it.


def test_an_unfit_record_keeps_what_was_read_of_it() -> None:
    found = mapper(field_map={"full": "name"}, sync_key=("id", "region"), unmapped="ignore")
    row = {"id": 1, "region": "eu", "full": 7, "email": None}
    refused = found.prepare(3, plain_row(row))
    assert isinstance(refused, InvalidRecord)
    assert (refused.record_identifier, refused.row_index, refused.payload) == ('["1","eu"]', 3, {"name": 7})
    keyless = found.prepare(4, {"id": 1, "full": "Ada"})
    assert isinstance(keyless, InvalidRecord)
    assert [(code, where) for code, where, _ in keyless.errors] == [("missing_key", "id,region")]
    assert (keyless.row_index, keyless.payload) == (4, {"name": "Ada"})
    unread = mapper().prepare(5, {"zzz": 1})
    assert isinstance(unread, InvalidRecord)
    assert unread.payload == {"zzz": 1}


def test_what_is_no_record_has_no_payload_and_an_identifier_of_its_own() -> None:
    rows = [None, "name", 7, [("name", "Ada")], {1: "Ada"}, {1: "Bob"}, {"name": 7}, {"name": 8}]
    found = [mapper().prepare(3, plain_row(row)) for row in rows]
    assert len({one.record_identifier for one in found}) == len({one.payload_hash for one in found}) == len(rows)
    assert [one.payload for one in found] == [None] * 4 + rows[4:]


def test_what_is_nested_without_an_end_keeps_its_key() -> None:
    circle: dict[str, Any] = {}
    circle["extra"] = circle
    result = mapper(sync_key=("id",)).prepare(3, plain_row({"id": 1, "name": "Ada", "extra": circle}))
    assert isinstance(result, InvalidRecord)
    assert (result.record_identifier, result.row_index) == ("1", 3)
    assert result.errors == (("not_json", None, "nested too deeply, or in itself"),)


NOT_JSON = ("not_json", None, "a value cannot be written as JSON")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"name": "Ada", "phone": 1}, ("unknown_field", "phone", "not a field of Fake")),
        ({"first_name": "Ada", "name": "Ada"}, ("conflict", "first_name", "given together with name")),
        ({"name": "Ada", "mail": 1, "email": 1}, ("conflict", "email", "two columns become this field")),
        ({"name": "Ada", "tags": "a, b"}, ("invalid_json", "tags", "neither an object nor its JSON text")),
        ({"name": "Ada", "extra": {"a": {1, 2}}}, NOT_JSON),
        ({"name": "Ada", "extra": {"a": object()}}, NOT_JSON),
        ({"name": "Ada", "extra": {"a": 10**5000}}, NOT_JSON),
        (
            {"name": "Ada", "extra": {"a": "\udfff"}},
            ("invalid_text", None, "a text holds a lone surrogate, which UTF-8 cannot carry"),
        ),
    ],
    ids=lambda _: "",
)
def test_our_own_reasons_are_told_in_words(row: dict[str, Any], said: tuple[str, str | None, str]) -> None:
    result = mapper(field_map={"mail": "email"}).prepare(3, plain_row(row))
    assert isinstance(result, InvalidRecord)
    assert result.errors == (said,)


FIELDS = (
    "['address', 'age', 'born', 'email', 'extra', 'extra.*', 'first_name', 'last_name', "
    "'name', 'note', 'seen', 'tags', 'uid']"
)
WAYS = 'name them in field_map, leave them out, or set unmapped="ignore"'
CASE = 'only the case differs: name them in field_map, or give them lower-case aliases in quotes (AS "first_name")'


@pytest.mark.parametrize(
    ("options", "columns", "said"),
    [
        (
            {"field_map": {"a": "x", "b": "name"}},
            None,
            f"field_map names no field of Fake: ['x'] (there are {FIELDS})",
        ),
        (
            {"field_map": {"a": "frist_name"}},
            None,
            "field_map names no field of Fake: ['frist_name'] (did you mean 'first_name' instead of 'frist_name'?)",
        ),
        (
            {"sync_key": ("id",)},
            ["name"],
            "sync_key names columns ['id'] that the source does not have (there are ['name'])",
        ),
        (
            {"sync_key": ("id",)},
            ["ID", "name"],
            (
                "sync_key names columns ['id'] that the source does not have (did you mean 'ID' instead of 'id'?)"
                "; only the case differs"
            ),
        ),
        (
            {"field_map": {"full": "name"}},
            ["id", "name"],
            "field_map names columns ['full'] that the source does not have (there are ['id', 'name'])",
        ),
        ({"field_map": {"full": "name"}}, ["full", "name"], "more than one column becomes the field ['name'] of Fake"),
        (
            {"sync_key": ("id",)},
            ["id", "name", "colour"],
            f"columns ['colour'] are no fields of Fake (there are {FIELDS}): {WAYS}",
        ),
        (
            {"sync_key": ("id",)},
            ["id", "frist_name", "NAME"],
            (
                "columns ['frist_name', 'NAME'] are no fields of Fake (did you mean 'first_name' instead of "
                f"'frist_name'? did you mean 'name' instead of 'NAME'?): {WAYS}"
            ),
        ),
        (
            {"sync_key": ("ID",)},
            ["ID", "NAME"],
            f"columns ['NAME'] are no fields of Fake (did you mean 'name' instead of 'NAME'?): {CASE}",
        ),
        (
            {"sync_key": ("ID",), "unmapped": "ignore"},
            ["ID", "NAME", "SHOE"],
            f"no column is a field of Fake (did you mean 'name' instead of 'NAME'?): {CASE}",
        ),
    ],
)
def test_a_configuration_error_says_what_is_allowed(
    options: dict[str, Any], columns: list[str] | None, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        mapper(**options).check(columns)
    assert str(caught.value) == said


def test_a_column_that_is_left_out_for_its_case_alone_is_told(caplog: pytest.LogCaptureFixture) -> None:
    mapper(unmapped="ignore").check(["name", "EMAIL", "shoe"])
    (text,) = [record.getMessage() for record in caplog.records]
    assert text == f"unmapped=\"ignore\" leaves out columns ['EMAIL']: {CASE}"


def test_many_columns_are_not_all_told() -> None:
    with pytest.raises(ConfigError) as caught:
        mapper().check([f"column_{n}" for n in range(500)])
    assert "'column_19'] and 480 more are no fields of Fake" in str(caught.value)
    assert len(str(caught.value)) < 1500


def test_an_unknown_column_of_a_record_is_told_what_was_meant() -> None:
    result = mapper().prepare(3, {"name": "Ada", "frist_name": "Ada"})
    assert isinstance(result, InvalidRecord)
    assert result.errors == (("unknown_field", "frist_name", "not a field of Fake; did you mean 'first_name'?"),)


def test_a_key_column_that_is_a_field_too_is_told_with_the_way_out() -> None:
    result = mapper(sync_key=("uid",)).prepare(3, {"name": "Ada", "uid": 17})
    assert isinstance(result, InvalidRecord)
    ((code, where, text),) = result.errors
    assert (code, where) == ("wrong_type", "uid")
    assert text is not None
    assert text.endswith(
        "; the sync_key's column 'uid' is a field of Fake, too: give the key another name (SELECT uid AS contact_uid)"
    )


# The destination is the push's, not the record's.


def named(destination: Mapping[str, Any]) -> Payload:
    """Name the destination by one field; the other settings are in the path."""
    return {"note": destination["note"]}


PLACED = replace(
    VENDOR,
    destination=DestinationForm(
        settings=tuple(Setting(name=name, label="", description="") for name in ("age", "email", "note"))
    ),
    destination_fields=named,
)


def placed(row: Mapping[str, Any]) -> Prepared | InvalidRecord:
    return Mapper(vendor=PLACED, destination={"note": "List-A", "age": 7}, sync_id="sync").prepare(3, plain_row(row))


@pytest.mark.parametrize("repeated", [{}, {"note": "list-a"}, {"note": None}, {"note": "List-A", "age": None}])
def test_a_record_may_repeat_its_destination(repeated: dict[str, Any]) -> None:
    result = placed({"name": "Ada", **repeated})
    assert isinstance(result, Prepared)
    assert result.payload == {"name": "Ada", "note": "List-A"}
    assert json.loads(result.body) == result.payload
    # What is remembered of a record does not depend on whether it repeats its destination.
    assert result.payload_hash == prepared({"name": "Ada"}).payload_hash


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"note": "list-b"}, ("conflict", "note", "differs from the destination")),
        ({"age": 7}, ("not_allowed", "age", "set it in the destination, not in the record")),
        ({"email": "a@b.example"}, ("not_allowed", "email", "set it in the destination, not in the record")),
    ],
)
def test_a_record_cannot_choose_another_destination(other: dict[str, Any], said: tuple[str, str, str]) -> None:
    result = placed({"name": "Ada", **other})
    assert isinstance(result, InvalidRecord)
    assert result.errors == (said,)


def test_a_given_none_names_no_destination() -> None:
    nowhere = Mapper(vendor=replace(PLACED, destination_fields=VENDOR.destination_fields), destination={}, sync_id="s")
    result = nowhere.prepare(3, {"name": "Ada", "note": None})
    assert isinstance(result, Prepared)
    assert result.payload == {"name": "Ada"}
    assert errors({"name": "Ada", "note": "x", "age": None}, nowhere) == [("not_allowed", "note")]
