"""From a row to what is sent: payload, bytes, identifier and digest, or every reason against it."""

from __future__ import annotations

import json
import math
from collections import ChainMap, UserDict
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pandas as pd  # noqa: TID253  # its missing values are what is tested
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from airflow_provider_contacts.records.keys import CANONICAL, digest
from airflow_provider_contacts.records.mapper import MOST_COLUMNS, Mapper
from airflow_provider_contacts.records.record import Record
from airflow_provider_contacts.sources.plain_values import plain_row
from airflow_provider_contacts.vendor_kit.contract import RecordContract, field_of
from airflow_provider_contacts.vendor_kit.fields import Number, number_of_text, reader_of_text
from airflow_provider_contacts.vendor_kit.forms import DestinationForm, Setting
from airflow_provider_contacts.vendor_kit.shorthands import Shorthand
from airflow_provider_contacts.vendor_kit.vendor import Payload, Vendor
from airflow_provider_contacts.vendors import load, names
from tests.support.fake_vendor import VENDOR
from tests.support.vendors import DESTINATIONS, PEOPLE


def generated(payload: Payload, sync_id: str, identifier: str) -> Payload:
    return {} if "uid" in payload else {"uid": f"made-from-{sync_id}-{identifier}"}


ADDING = replace(VENDOR, destination_fields=lambda found: {"extra": {"list": found["list_id"]}}, generated=generated)


def mapper(vendor: Vendor = VENDOR, **options: Any) -> Mapper:
    return Mapper(vendor=vendor, destination={"list_id": 7}, sync_id="sync", **options)


def prepared(row: Any, found: Mapper | None = None) -> Record:
    result = (found or mapper()).prepare(3, plain_row(row))
    assert not result.errors, result.errors
    return result


def invalid(row: Any, found: Mapper | None = None) -> Record:
    result = (found or mapper()).prepare(3, plain_row(row))
    assert result.errors, result
    return result


def errors(row: Any, found: Mapper | None = None) -> list[tuple[str, str | None]]:
    return [(code, where) for code, where, _ in invalid(row, found).errors]


# What is sent.


class Word(StrEnum):
    NAME = "name"


MOMENTS = {"born": date(2026, 1, 2), "seen": datetime(2026, 1, 2, tzinfo=UTC), "uid": UUID(int=1)}
MOMENT_TEXTS = {
    "born": "2026-01-02",
    "seen": "2026-01-02T00:00:00+00:00",
    "uid": "00000000-0000-0000-0000-000000000001",
}
RENAMED = {"full": "name", "mail": "email"}
GAPS: list[Any] = [{}, None, None]


@pytest.mark.parametrize(
    ("row", "options", "payload"),
    [
        ({"name": " Zoë ", "age": 7, "email": "A@b.example"}, {}, {"name": " Zoë ", "age": 7, "email": "A@b.example"}),
        ({"full": "Ada", "mail": "a@b.c"}, {"field_map": RENAMED}, {"name": "Ada", "email": "a@b.c"}),
        (
            {"name": "Ada", "note": "Bob"},
            {"field_map": {"name": "note", "note": "name"}},
            {"name": "Bob", "note": "Ada"},
        ),
        ({"name": "Ada", "note": None, "email": None}, {}, {"name": "Ada", "note": None}),
        ({"name": "Ada", "note": math.nan, "email": math.nan}, {}, {"name": "Ada"}),
        ({"name": "Ada", "note": "", "email": "", "tags": ""}, {}, {"name": "Ada"}),
        ({"name": "Ada", "address": {"city": None, "zip": "1"}}, {}, {"name": "Ada", "address": {"zip": "1"}}),
        ({"name": "Ada", "extra": {"a": [{"b": math.nan}, None, pd.NaT]}}, {}, {"name": "Ada", "extra": {"a": GAPS}}),
        ({"first_name": "Ada", "last_name": "L", "extra.x": 1}, {}, {"name": "Ada L", "extra": {"x": 1}}),
        ({"name": "Ada", "extra.y.z": "2"}, {}, {"name": "Ada", "extra": {"y.z": "2"}}),
        ({"first_name": "Ada", "name": None}, {}, {"name": "Ada"}),
        ({"name": "Ada", "tags": '["a", "b"]'}, {}, {"name": "Ada", "tags": ["a", "b"]}),
        (
            {"name": "Ada", "address": b'{"city": "Riga", "zip": null}'},
            {},
            {"name": "Ada", "address": {"city": "Riga"}},
        ),
        ({"name": "Ada", "tags": "null", "extra": '{"n": NaN, "m": 1.5}'}, {}, {"name": "Ada", "extra": {"m": 1.5}}),
        ({"name": "Ada", **MOMENTS}, {}, {"name": "Ada", **MOMENT_TEXTS}),
        ({"name": "Ada", "colour": "red"}, {"unmapped": "ignore"}, {"name": "Ada"}),
        ({"name": "Ada", "custom": 1}, {"unmapped": "ignore"}, {"name": "Ada"}),
        ({Word.NAME: "Ada", "age": 7}, {}, {"name": "Ada", "age": 7}),
    ],
    ids=lambda _: "",
)
def test_a_row_becomes_a_payload(row: dict[str, Any], options: dict[str, Any], payload: Payload) -> None:
    result = prepared(row, mapper(**options))
    assert result.payload == payload
    assert result.row_index == 3
    text = CANONICAL.encode(payload).encode()
    assert result.body == text
    assert result.payload_hash == f"v1:{digest(text)}"
    assert result.record_identifier == f"sha256:{digest(text)}"


@pytest.mark.parametrize("nothing", [None, math.nan, pd.NaT, pd.NA, Decimal("NaN"), Decimal("sNaN"), ""])
def test_missing_values_are_left_out(nothing: Any) -> None:
    assert prepared({"name": "Ada", "email": nothing, "tags": nothing, "extra.x": nothing}).payload == {"name": "Ada"}


@pytest.mark.parametrize("kind", [dict, MappingProxyType, ChainMap, UserDict])
def test_a_mapping_that_is_no_dict_is_a_record(kind: Any) -> None:
    row = kind({"name": "Ada", "address": kind({"city": "Riga", "zip": None})})
    assert prepared(row) == prepared({"name": "Ada", "address": {"city": "Riga"}})
    assert invalid(kind({"name": 7})) == invalid({"name": 7})


def test_json_text_for_null_is_null_where_null_is_documented() -> None:
    @with_config(ConfigDict(extra="forbid"))
    class Nullable(TypedDict, total=False):
        tags: list[str] | None

    found = mapper(replace(VENDOR, contract=RecordContract(record=Nullable)))
    assert prepared({"tags": "null"}, found).payload == {"tags": None}


def test_a_shorthand_of_its_own_name_is_no_conflict() -> None:
    own = Shorthand({"name": "name"}, lambda _record: None)
    found = mapper(replace(VENDOR, contract=replace(VENDOR.contract, flat=(*VENDOR.contract.flat, own))))
    assert prepared({"name": "Ada"}, found).payload == {"name": "Ada"}
    assert errors({"name": "Ada", "first_name": "Ada"}, found) == [("conflict", "first_name")]


def test_more_sets_of_columns_than_are_remembered_are_read_alike() -> None:
    ignoring, strict = mapper(unmapped="ignore"), mapper()
    for _ in range(2):
        for index in range(MOST_COLUMNS + 5):
            row = {f"x{index}": 1, "first_name": "Ada", "extra.n": index}
            assert prepared(row, ignoring).payload == {"name": "Ada", "extra": {"n": index}}
            assert errors(row, strict) == [("unknown_field", f"x{index}")]
    assert len(ignoring._columns) == len(strict._columns) == MOST_COLUMNS


# What is not, and why.

NOT_JSON = ("not_json", None, "a value cannot be written as JSON")
SURROGATE = ("invalid_text", None, "a text holds a lone surrogate, which UTF-8 cannot carry")
NO_TEXT = "Input should be a valid string, unable to parse raw data as a unicode string"
NO_JSON = ("invalid_json", "tags", "neither an object nor its JSON text")
NO_MAPPING = ("not_a_mapping", None, "a record is a mapping of column names to values")
TWICE = ("conflict", "email", "two columns become this field")
NEAR = "not a field of Fake; did you mean 'first_name'?"
TEXT, WHOLE, EXTRA = (
    "Input should be a valid string",
    "Input should be a valid integer",
    "Extra inputs are not permitted",
)


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"name": ""}, [("too_short", "name", "String should have at least 1 character")]),
        ({"name": None}, [("missing_field", "name", "Field required")]),
        ({}, [("missing_field", "name", "Field required")]),
        ({"name": 7}, [("wrong_type", "name", TEXT)]),
        ({"name": b"Ada"}, [("wrong_type", "name", TEXT)]),
        ({"name": "x" * 81}, [("too_long", "name", "String should have at most 80 characters")]),
        ({"name": "Ada", "age": 151}, [("out_of_range", "age", "Input should be less than or equal to 150")]),
        ({"name": "Ada", "age": "7"}, [("wrong_type", "age", WHOLE)]),
        ({"name": "Ada", "age": 7.0}, [("wrong_type", "age", WHOLE)]),
        ({"name": "Ada", "age": True}, [("wrong_type", "age", WHOLE)]),
        ({"name": "Ada", "email": "ada"}, [("invalid_email", "email", "not the form of an email address")]),
        ({"name": "Ada", "address": {"street": "x"}}, [("unknown_field", "address.street", EXTRA)]),
        ({"name": "Ada", "address": ["x"]}, [("wrong_type", "address", "Input should be a valid dictionary")]),
        ({"name": "Ada", "tags": ["a", 1]}, [("wrong_type", "tags.1", TEXT)]),
        ({"name": 7, "age": "x"}, [("wrong_type", "name", TEXT), ("wrong_type", "age", WHOLE)]),
        ({"name": "Ada", "phone": "1"}, [("unknown_field", "phone", "not a field of Fake")]),
        ({"name": "Ada", "frist_name": "A"}, [("unknown_field", "frist_name", NEAR)]),
        ({"name": "a\ud800"}, [("invalid_text", "name", NO_TEXT)]),
        ({"name": "Ada", "tags": "a, b"}, [NO_JSON]),
        ({"name": "Ada", "tags": "[" * 100_000}, [NO_JSON]),
        ({"name": "Ada", "extra": {"a": "\udfff"}}, [SURROGATE]),
        ({"name": "Ada", "extra": {"a": math.inf}}, [NOT_JSON]),
        ({"name": "Ada", "extra": '{"n": Infinity}'}, [NOT_JSON]),
        ({"name": "Ada", "extra": {"a": Decimal("-Infinity")}}, [NOT_JSON]),
        ({"name": "Ada", "extra": {"a": {1, 2}}}, [NOT_JSON]),
        ({"name": "Ada", "extra": {"a": object()}}, [NOT_JSON]),
        ({"name": "Ada", "extra": {"a": b"\xff"}}, [NOT_JSON]),
        ({"name": "Ada", "extra": {"a": 10**5000}}, [NOT_JSON]),
        ({"name": "Ada", "first_name": "Ada"}, [("conflict", "first_name", "given together with name")]),
        ({"name": "Ada", "extra": {"a": 1}, "extra.b": 2}, [("conflict", "extra.b", "given together with extra")]),
        ({"name": "Ada", "mail": "a@b.c", "email": "a@b.c"}, [TWICE]),
        ({"name": "Ada", "email": None, "mail": math.nan}, [TWICE]),
        *((row, [NO_MAPPING]) for row in (None, "name", 7, [("name", "Ada")], {1: "Ada"}, {"name": "Ada", None: 1})),
    ],
    ids=lambda _: "",
)
def test_a_record_that_is_refused_says_why(row: Any, found: list[tuple[str, str | None, str]]) -> None:
    assert list(invalid(row, mapper(field_map={"mail": "email"})).errors) == found


@pytest.mark.parametrize("field", ["email", "age", "born", "uid", "seen", "tags"])
def test_our_own_messages_quote_no_value(field: str) -> None:
    result = invalid({"name": "Ada", field: "secret-value"})
    assert "secret-value" not in f"{result.errors}{result!r}"


def test_nesting_without_an_end_is_one_invalid_record_that_keeps_its_key() -> None:
    circle: dict[str, Any] = {}
    circle["extra"] = circle
    deep: Any = {}
    for _ in range(10_000):
        deep = {"a": deep}
    knot: tuple[list[Any]] = ([],)
    knot[0].append(knot)
    for value in (circle, deep, knot, {"a": knot}):
        for field in ("extra", "email"):
            result = invalid({"id": 1, "name": "Ada", field: value}, mapper(sync_key=("id",)))
            assert (result.record_identifier, result.row_index) == ("1", 3)
            assert [(code, where) for code, where, _ in result.errors] == [("wrong_type", field)]


def test_an_invalid_record_keeps_what_was_read_of_it() -> None:
    found = mapper(field_map={"full": "name"}, sync_key=("id", "region"), unmapped="ignore")
    refused = invalid({"id": 1, "region": "eu", "full": 7, "email": None}, found)
    assert (refused.record_identifier, refused.row_index, refused.payload) == ('["1","eu"]', 3, {"name": 7})
    assert invalid({"id": 1, "full": "Ada"}, found).payload == {"name": "Ada"}
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    unread = invalid({"zzz": 1, "at": moment, "in": math.inf, "by": b"x", "no": math.nan})
    assert repr(unread.payload) == "{'zzz': 1, 'at': '2026-01-02T00:00:00+00:00', 'in': <float>, 'by': <bytes>}"


def test_what_is_no_record_has_no_payload_and_an_identifier_of_its_own() -> None:
    rows = [None, "name", 7, [("name", "Ada")], {1: "Ada"}, {1: "Bob"}, {"name": 7}, {"name": 8}]
    found = [mapper().prepare(3, row) for row in rows]
    assert len({one.record_identifier for one in found}) == len({one.payload_hash for one in found}) == len(rows)
    assert [one.payload for one in found] == [None] * 4 + rows[4:]


# Who a record is.


def test_a_record_is_identified_by_its_key_or_else_by_its_payload() -> None:
    found = mapper(sync_key=("id",))
    assert prepared({"id": 5.0, "name": "Ada"}, found).record_identifier == "5"
    assert (
        prepared({"email": "a@b.example", "name": "Ada"}, mapper(sync_key=("email",))).payload["email"] == "a@b.example"
    )
    keyless = invalid({"id": None, "name": "Ada"}, found)
    assert keyless.errors == (("missing_key", "id", "the sync key is empty"),)
    assert keyless.record_identifier == invalid({"name": "Ada"}, found).record_identifier
    assert keyless.record_identifier == prepared({"name": "Ada"}).record_identifier
    assert invalid({"name": "Bob"}, found).record_identifier != keyless.record_identifier
    assert errors({"name": 7, "id": 1.5}, found) == [("invalid_key", "id"), ("wrong_type", "name")]
    assert invalid({"id": 1, "name": 7}, found).record_identifier == "1"


def test_the_digest_leaves_out_what_we_add() -> None:
    result = prepared({"id": 1, "name": "Ada"}, mapper(ADDING, sync_key=("id",)))
    assert result.payload == {"name": "Ada", "extra": {"list": 7}, "uid": "made-from-sync-1"}
    assert json.loads(result.body) == result.payload
    elsewhere = Mapper(vendor=ADDING, destination={"list_id": 8}, sync_id="other", sync_key=("id",))
    assert prepared({"id": 1, "name": "Ada"}, elsewhere).payload_hash == result.payload_hash
    assert result.payload_hash == prepared({"note": math.nan, "name": "Ada"}).payload_hash
    assert result.payload_hash != prepared({"name": "Ada", "age": 2}).payload_hash
    assert prepared({"name": "Ada"}, mapper(ADDING)).body == prepared({"name": "Ada"}, mapper(ADDING)).body


def test_no_value_shows_in_a_repr() -> None:
    for row in ({"name": "Ada Secret", "id": "ada@secret.example"}, {"name": 7, "id": "ada@secret.example"}):
        assert "secret" not in repr(mapper(sync_key=("id",)).prepare(0, row)).lower()


# The destination is the push's, not the record's.

PLACED = replace(
    VENDOR,
    destination=DestinationForm(
        settings=tuple(Setting(name=name, label="", description="") for name in ("age", "email", "note"))
    ),
    # The other settings are in the path.
    destination_fields=lambda destination: {"note": destination["note"]},
)
PLACE = Mapper(vendor=PLACED, destination={"note": "List-A", "age": 7}, sync_id="sync")


@pytest.mark.parametrize("repeated", [{}, {"note": "list-a"}, {"note": None}, {"note": "List-A", "age": None}])
def test_a_record_may_repeat_its_destination(repeated: dict[str, Any]) -> None:
    result = prepared({"name": "Ada", **repeated}, PLACE)
    assert result.payload == json.loads(result.body) == {"name": "Ada", "note": "List-A"}
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
    assert invalid({"name": "Ada", **other}, PLACE).errors == (said,)


def test_a_given_none_names_no_destination() -> None:
    nowhere = Mapper(vendor=replace(PLACED, destination_fields=VENDOR.destination_fields), destination={}, sync_id="s")
    assert prepared({"name": "Ada", "note": None}, nowhere).payload == {"name": "Ada"}
    assert errors({"name": "Ada", "note": "x", "age": None}, nowhere) == [("not_allowed", "note")]


# Many rows at once are what they are one by one, whatever is in them.

VENDORS: dict[str, Vendor] = {"fake": ADDING, **{name: load(name) for name in names()}}
PLACES = {"fake": {"list_id": 7}, **DESTINATIONS, "nedzo": {"contact_list_id": str(UUID(int=7))}}
USUAL = {"fake": {"name": "Ann", "email": "ann@example.com"}, **PEOPLE}
TEXTS = ["", "Ada", "ë", "a\ud800", "a\x00b", "[1]", "{}", "null", '{"a": 1.5}', "a@b.example", "2026-01-02", "x" * 300]
NUMBERS = [True, 0, 7, 2**70, 1.5, 2.0, 1e22, math.nan, math.inf, Decimal("1.50"), Decimal(2)]
OTHERS = [None, b"\x01", b"x", date(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC), UUID(int=1), {1, 2}, object(), pd.NA]
LEAVES = st.sampled_from([*TEXTS, *NUMBERS, *OTHERS])
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.lists(inner, max_size=2).map(tuple),
        st.dictionaries(st.sampled_from("ab") | st.integers(0, 1), inner, max_size=2),
    ),
    max_leaves=3,
)
ODD_ROWS: list[Any] = [None, {}, {1: 2}, {"name": "Ada"}, {"\ud800": 1}, "text", [1]]


def shown(record: Record) -> str:
    """Show everything, types too: a NaN is not equal to itself, and 1 is equal to True."""
    return repr({name: getattr(record, name) for name in record.__struct_fields__})


@pytest.mark.parametrize("name", VENDORS)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_a_chunk_is_its_rows(name: str, data: st.DataObject) -> None:
    contract = VENDORS[name].contract
    fields = sorted({*contract.fields, *(one.replace("*", "x") for one in contract.shorthands), "id", "zzz"})
    columns = data.draw(st.lists(st.lists(st.sampled_from(fields), unique=True, max_size=3), min_size=1, max_size=2))
    rows: list[Any] = []
    for _ in range(data.draw(st.integers(1, 6))):
        more = {field: data.draw(VALUES) for field in data.draw(st.sampled_from(columns))}
        rows.append({"id": data.draw(LEAVES | st.just("k")), **USUAL[name], **more})
    rows = list(map(plain_row, data.draw(st.permutations([*rows, data.draw(st.sampled_from(ODD_ROWS))]))))
    found = Mapper(
        vendor=VENDORS[name],
        destination=PLACES.get(name, {}),
        sync_id="s",
        sync_key=data.draw(st.sampled_from([(), ("id",), ("id", "name")])),
        unmapped=data.draw(st.sampled_from(["error", "ignore"])),
        field_map=data.draw(st.sampled_from([{}, {"id": fields[0]}])),
    )
    batch, refused = found.prepare_chunk(5, rows)
    sound = [batch.record(place) for place in range(len(batch))]
    for part in (sound, refused):
        assert [one.row_index for one in part] == sorted(one.row_index for one in part)
    chunk = {record.row_index: shown(record) for record in [*sound, *refused]}
    assert chunk == {index: shown(found.prepare(index, row)) for index, row in enumerate(rows, 5)}
    for one in [*sound, *refused]:
        assert 0 < len(one.record_identifier) <= 255
        one.record_identifier.encode()
        if not one.errors:
            assert json.loads(one.body) == one.payload
            added = VENDORS[name].destination_fields(found.destination)
            if not added and VENDORS[name].generated is None:
                assert one.body == CANONICAL.encode(one.payload).encode()
                assert one.payload_hash == f"v1:{digest(one.body)}"
        else:
            assert one.errors


def divide(payload: Payload, *_: str) -> Payload:
    return {"uid": str(1 // (payload["name"] != "Bob"))}


def incoherent(payload: Payload) -> None:
    divide(payload)


@pytest.mark.parametrize(
    "vendor",
    [replace(VENDOR, generated=divide), replace(VENDOR, contract=replace(VENDOR.contract, coherent=incoherent))],
)
def test_a_vendor_whose_own_functions_raise_spoils_one_record_and_tells_nothing_of_it(vendor: Vendor) -> None:
    rows = [{"id": number, "name": name} for number, name in enumerate(["Ada", "Bob", "Cyd"])]
    batch, (refused,) = mapper(vendor, sync_key=("id",)).prepare_chunk(0, rows)
    assert list(batch.identifiers) == ["0", "2"]
    assert (refused.record_identifier, refused.row_index) == ("1", 1)
    assert refused.errors == (("invalid_value", None, "a value raises ZeroDivisionError when it is read"),)


def test_an_empty_chunk_is_empty() -> None:
    batch, refused = mapper().prepare_chunk(0, [])
    assert (len(batch), refused) == (0, [])


class Hostile(Mapping[str, Any]):
    """Cannot be read at all."""

    def fail(self, *_: object) -> Any:
        raise ZeroDivisionError("canary")

    __getitem__ = __iter__ = __len__ = __repr__ = __eq__ = __hash__ = fail


@pytest.mark.parametrize("row", [Hostile(), {"id": Hostile()}, {"id": 1, "name": Hostile()}, {"extra": [Hostile()]}])
def test_even_without_a_source_a_hostile_row_is_one_invalid_record(row: Any) -> None:
    batch, refused = mapper(sync_key=("id",)).prepare_chunk(0, [{"id": 1, "name": "Ada"}, row])
    assert (len(batch), len(refused)) == (1, 1)
    assert "canary" not in str(refused[0].errors)


# What is read from texts alone.

UNTYPED = [
    ("dex", "starred", {"true": True, "FALSE": False, "1": True, "0": False}, ["yes", "t", "2", "007", " true"]),
    (
        *("dex", "birthday_year"),
        {"1990": 1990, "1990.0": 1990, "-0": 0, "1.99e3": 1990},
        ["007", "+5", " 5", "5.5", "1_0", "٣", "NaN", "1e9999", "9" * 200, "5,0"],
    ),
    ("dex", "last_name", {"007": "007", "1e5": "1e5", "true": "true", "null": "null"}, []),
    ("nedzo", "dnc", {"True": True}, ["no"]),
    ("talkdesk", "priority", {"7": 7}, ["7.5", "high", "11"]),
    ("talkdesk", "extra_data.score", {"7": "7", "true": "true"}, []),
    ("talkdesk", "extra_data", {'{"score": 7}': {"score": 7}}, ["7"]),
]


@pytest.mark.parametrize(("name", "field", "read", "refused"), UNTYPED)
def test_a_text_without_a_type_is_a_number_or_a_flag_where_the_field_is_one(
    name: str, field: str, read: dict[str, Any], refused: list[str]
) -> None:
    found = Mapper(vendor=load(name), destination=DESTINATIONS.get(name, {}), sync_id="s", untyped=True)
    person = {key: value for key, value in PEOPLE[name].items() if type(value) is str}
    column = field.partition(".")[0]
    for text, value in read.items():
        payload = prepared({**person, field: text}, found).payload
        assert payload is not None
        got = payload[column] if column == field else payload[column][field.partition(".")[2]]
        assert (type(got), got) == (type(value), value)
        # A source with types has meant a text.
        if type(value) in {int, bool}:
            assert errors({**person, field: text}, replace(found, untyped=False)) == [("wrong_type", field)]
    for text in refused:
        (code, where), *_ = errors({**person, field: text}, found)
        assert where == field, (code, text)
    # In one column, in one chunk.
    batch, invalid_ones = found.prepare_chunk(0, [{**person, field: text} for text in ("", *read, *refused)])
    assert (len(batch), len(invalid_ones)) == (len(read) + 1, len(refused))
    assert column not in batch.payloads[0]


def test_a_decimal_number_is_the_float_of_the_same_digits() -> None:
    assert [number_of_text(text) for text in ("5.5", "1e-5", "5.0", "-0.10")] == [
        *(Decimal("5.5"), Decimal("0.00001"), 5, Decimal("-0.10"))
    ]
    assert [reader_of_text(kinds) for kinds in ({float}, {int, str}, {str}, {Any})] == [
        number_of_text,
        None,
        None,
        None,
    ]
    assert field_of(Number).from_text is number_of_text


def test_an_empty_text_is_missing_where_there_are_no_types() -> None:
    assert errors({"name": ""}, mapper(untyped=True)) == errors({}, mapper()) != errors({"name": ""}, mapper())
    assert errors({"key": "", "name": "Ada", "email": "a@b.example"}, mapper(untyped=True, sync_key=("key",))) == [
        ("missing_key", "key")
    ]
