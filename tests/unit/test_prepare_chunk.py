"""Rows prepared together are what they are when prepared one by one."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_contacts.records.mapper import InvalidRecord, Mapper, Prepared
from airflow_provider_contacts.vendor_kit.vendor import Vendor
from airflow_provider_contacts.vendors import load, names
from tests.support.fake_vendor import VENDOR

VENDORS: dict[str, Vendor] = {"fake": VENDOR, **{name: load(name) for name in names()}}
DESTINATIONS: dict[str, dict[str, Any]] = {
    "apptoto": {"address_book_id": 7},
    "intermezzo": {"organization_id": "org_1"},
    "nedzo": {"contact_list_id": str(UUID(int=7))},
    "talkdesk": {"record_list_id": "l1"},
}
USUAL: dict[str, dict[str, Any]] = {
    "fake": {"name": "Ann", "email": "ann@example.com"},
    "apptoto": {"name": "Ann", "phone": "+15550100"},
    "dex": {"first_name": "Ann", "company": "Acme", "email": "ann@example.com"},
    "intermezzo": {"first_name": "Ann", "last_name": "Ames", "phone_number": "+15550100"},
    "nedzo": {"email": "ann@example.com", "first_name": "Ann"},
    "talkdesk": {"first_name": "Ann", "last_name": "Ames", "phone_number": "+15550100"},
}
TEXTS = ["", "Ada", "ë", "a\ud800", "a\x00b", "[1]", "{}", "null", '{"a": 1.5}', "a@b.example", "2026-01-02", "x" * 300]
NUMBERS = [True, 0, 7, 2**70, 1.5, 2.0, 1e22, math.nan, math.inf, Decimal("1.50"), Decimal(2)]
OTHERS = [None, b"\x01", b"x", date(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC), UUID(int=1), {1, 2}, object()]
LEAVES = st.sampled_from([*TEXTS, *NUMBERS, *OTHERS])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner), max_leaves=3
)


def mapper(name: str, **options: Any) -> Mapper:
    return Mapper(vendor=VENDORS[name], destination=DESTINATIONS.get(name, {}), sync_id="s", **options)


def both_ways(found: Mapper, rows: list[Any]) -> tuple[dict[int, Any], dict[int, Any]]:
    """Return the records by row, from the chunk and one by one."""
    batch, invalid = found.prepare_chunk(5, rows)
    assert list(batch.row_indexes) == sorted(batch.row_indexes)
    columns = (batch.identifiers, batch.row_indexes, batch.payloads, batch.bodies, batch.payload_hashes)
    sound = [
        Prepared(record_identifier=key, row_index=index, payload=payload, body=body, payload_hash=payload_hash)
        for key, index, payload, body, payload_hash in zip(*columns, strict=True)
    ]
    assert len(sound) + len(invalid) == len(rows)
    records: list[Prepared | InvalidRecord] = [*sound, *invalid]
    chunk = {record.row_index: shown(record) for record in records}
    return chunk, {index: shown(found.prepare(index, row)) for index, row in enumerate(rows, 5)}


def shown(record: Prepared | InvalidRecord) -> str:
    """Show everything, types too: a NaN is not equal to itself, nor is 1 to True."""
    return repr({name: getattr(record, name) for name in record.__struct_fields__})


@pytest.mark.parametrize("name", VENDORS)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_a_chunk_is_its_rows(name: str, data: st.DataObject) -> None:
    contract = VENDORS[name].contract
    fields = sorted({*contract.fields, *(one.replace("*", "x") for one in contract.shorthands), "id", "zzz"})
    layouts = data.draw(st.lists(st.lists(st.sampled_from(fields), unique=True, max_size=3), min_size=1, max_size=2))
    rows: list[Any] = []
    for _ in range(data.draw(st.integers(1, 6))):
        more = {field: data.draw(VALUES) for field in data.draw(st.sampled_from(layouts))}
        rows.append({"id": data.draw(LEAVES | st.just("k")), **USUAL[name], **more})
    rows += data.draw(st.lists(st.sampled_from([None, {}, {1: 2}, {"name": "Ada"}]), max_size=1))
    options: dict[str, Any] = {
        "sync_key": data.draw(st.sampled_from([(), ("id",), ("id", "name")])),
        "unmapped": data.draw(st.sampled_from(["error", "ignore"])),
        "field_map": data.draw(st.sampled_from([{}, {"id": fields[0]}])),
    }
    chunk, one_by_one = both_ways(mapper(name, **options), rows)
    assert chunk == one_by_one


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [None],
        [{}, {}],
        [{"id": "1", "name": "Ada"}, {"name": "Bob", "id": "2"}, {"id": "3", "name": "Eve", "note": None}],
        [{"id": "1", "name": "Ada"}, {"id": "1", "name": "Ada"}],
        [{"id": "1", "name": "Ada", "extra.a": "\ud800"}, {"id": "2", "name": "Ada", "extra.a": "x"}],
    ],
)
def test_a_chunk_of_unlike_rows_is_its_rows(rows: list[Any]) -> None:
    chunk, one_by_one = both_ways(mapper("fake", sync_key=("id",)), rows)
    assert chunk == one_by_one
