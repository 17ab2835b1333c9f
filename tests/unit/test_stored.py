"""Payloads out of the outcome table are what was sent, under the identifier and digest that they had."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace as changed

from airflow_provider_contacts import vendors
from airflow_provider_contacts.ledgers.sql.lookups import parsed
from airflow_provider_contacts.ledgers.sql.rows import errors_json, payload_json
from airflow_provider_contacts.ledgers.sql.selection import reasons_of
from airflow_provider_contacts.outcome import RecordError, Status
from airflow_provider_contacts.records.keys import rough_digest
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.record import Record
from airflow_provider_contacts.records.record_state import RecordState
from airflow_provider_contacts.records.stored_payloads import ReadyMapper, Stored, StoredPayload, restore
from airflow_provider_contacts.sources.plain_values import plain_row
from tests.support.fake_vendor import VENDOR

LIST = "11111111-2222-4333-8444-555555555555"
PLACES: dict[str, list[dict[str, Any]]] = {
    "apptoto": [{"address_book_id": 7}],
    "dex": [{}],
    "intermezzo": [{"organization_id": "org"}],
    "nedzo": [{}, {"contact_list_id": LIST}],
    "talkdesk": [{"record_list_id": "list"}],
}
ROWS: dict[str, list[dict[str, Any]]] = {
    "apptoto": [{"name": "Ada L", "email": "ada@example.com"},
        {"first_name": "Ada", "last_name": "L", "phone": "+15550100", "external_id": "mine"},
        {"name": "Ada", "phone_numbers": [{"number": "+15550100"}]}],
    "dex": [{"email": "ada@example.com", "phone_number": "+15550100", "first_name": "Ada", "last_name": None},
        {"contact_emails": '[{"email": "ada@example.com"}]', "birthday": "1990-01-31"}],
    "intermezzo": [{"first_name": "Ada", "last_name": "L", "email": None, "phone_number": "+15550100"},
        {"name": "Ada", "email": "ada@example.com", "phone": {"phoneNumber": "+15550100", "phoneType": "work"}}],
    "nedzo": [{"email": "ada@example.com", "first_name": None, "city": "K\u00f6ln \U0001f600"},
        {"email": "ada@example.com", "custom_fields": {LIST: "x"}}],
    "talkdesk": [{"first_name": "A", "last_name": "B", "phone_number": "+15550100", "extra_data.company": "C"},
        {"first_name": "A", "last_name": "B",
        "phone_numbers": [{"phone_number": "+15550100", "phone_type": "MOBILE"}]}],
}  # fmt: skip
CASES = [
    pytest.param(name, place, row, key, id=f"{name}-{p}-{n}-{'keyed' if key else 'digest'}")
    for name in ROWS
    for p, place in enumerate(PLACES[name])
    for n, row in enumerate(ROWS[name])
    for key in ((), ("key",))
]


def mapper_of(name: str, place: dict[str, Any], key: tuple[str, ...] = ()) -> Mapper:
    return Mapper(vendor=vendors.load(name), destination=place, sync_id="s", sync_key=key)


def as_stored(record: Record, status: Status, **changes: Any) -> Stored:
    """Return a record as it comes back from the table."""
    errors = record.errors
    first = errors[0] if errors else (None, None, None)
    standing = RecordState(
        record_identifier=record.record_identifier,
        status=status,
        batch_id="t.1",
        payload_hash=record.payload_hash,
        error_code=first[0],
        error_field=first[1],
        status_message=first[2],
    )
    payload = parsed(payload_json(record.payload))
    return Stored(state=changed(standing, **changes), reasons=errors, payload=payload)


def prepared(record: Record | None) -> Record:
    assert record is not None
    assert not record.errors, record
    return record


def refused(record: Record | None) -> Record:
    assert record is not None
    assert record.errors
    return record


def test_every_vendor_is_here() -> None:
    assert set(ROWS) == set(PLACES) == set(vendors.names())


@pytest.mark.parametrize(("name", "place", "row", "key"), CASES)
def test_what_is_restored_is_what_was_sent(
    name: str, place: dict[str, Any], row: dict[str, Any], key: tuple[str, ...]
) -> None:
    mapper = mapper_of(name, place, key)
    sent = prepared(mapper.prepare(0, {**row, "key": "k-1"} if key else row))
    again = prepared(restore(mapper, as_stored(sent, Status.REJECTED)))
    assert (again.record_identifier, again.payload_hash) == (sent.record_identifier, sent.payload_hash)
    assert (again.payload, again.body) == (sent.payload, sent.body)
    assert isinstance(again.payload, StoredPayload)
    assert again.payload.batch_id == "t.1"


def test_the_destination_is_todays_and_no_part_of_the_digest() -> None:
    sent = prepared(mapper_of("nedzo", {"contact_list_id": LIST}).prepare(0, ROWS["nedzo"][0]))
    assert sent.payload["contact_list_id"] == LIST
    again = prepared(restore(mapper_of("nedzo", {}), as_stored(sent, Status.FAILED)))
    assert "contact_list_id" not in again.payload
    assert again.payload_hash == sent.payload_hash
    vendor = replace(VENDOR, destination_fields=lambda destination: {"note": destination["note"]})
    mapper = Mapper(vendor=vendor, destination={"note": "list-a"}, sync_id="s")
    sent = prepared(mapper.prepare(4, {"name": "Ada"}))
    again = prepared(restore(mapper, as_stored(sent, Status.FAILED)))
    assert sent.payload == again.payload == {"name": "Ada", "note": "list-a"}
    assert (again.payload_hash, again.row_index) == (sent.payload_hash, 0)


@pytest.mark.parametrize("text", [None, "[]", '"text"', "5", "{broken"])
def test_no_payload_is_no_payload(text: str | None) -> None:
    assert not isinstance(parsed(text), dict)
    stored = Stored(state=RecordState(record_identifier="a", status=Status.FAILED), payload=None)
    assert restore(mapper_of("dex", {}), stored) is None


# Records that our own check refused.

CALL: dict[str, Any] = {"first_name": "A", "last_name": "B", "phone_number": "+15550100"}


def refused_call(row: dict[str, Any]) -> tuple[Mapper, Stored]:
    mapper = mapper_of("talkdesk", {"record_list_id": "list"}, ("key",))
    found = mapper.prepare(0, plain_row(row))
    assert found.errors
    errors = errors_json([RecordError(*one) for one in found.errors], messages=True)
    return mapper, replace(as_stored(found, Status.INVALID), reasons=reasons_of(parsed(errors)))


@pytest.mark.parametrize(
    "row",
    [
        {"key": "a", "first_name": "A"},
        {"key": "a", **CALL, "shoe_size": 41},
        {"key": "a", **CALL, "phone_numbers": []},
        {**CALL, "key": None},
        {**CALL, "key": 1.5},
        # What the table shows as text was none, and text would pass.
        {"key": "a", **CALL, "first_name": Decimal(5)},
        {"key": "a", **CALL, "last_name": b"bytes"},
        {"key": "a", **CALL, "first_name": "half \ud800 sign"},
    ],
    ids=["incomplete", "unknown field", "conflict", "no key", "inexact key", "decimal", "bytes", "surrogate"],
)
def test_what_was_refused_stays_refused_in_its_own_words(row: dict[str, Any]) -> None:
    mapper, stored = refused_call(row)
    again = refused(restore(mapper, stored))
    assert again.errors == stored.reasons
    assert (again.record_identifier, again.payload_hash) == (stored.state.record_identifier, stored.state.payload_hash)


def test_two_columns_for_one_field_are_not_taken_for_two_fields() -> None:
    place = {"address_book_id": 7}
    mapper = replace(mapper_of("apptoto", place), field_map={"name": "first_name"})
    found = mapper.prepare(0, {"name": "Ada", "first_name": "Bo", "last_name": "L", "email": "ada@example.com"})
    assert found.errors
    assert refused(restore(mapper, as_stored(found, Status.INVALID))).errors == found.errors


def test_what_our_check_takes_by_now_is_sent_under_its_identifier() -> None:
    # An earlier version's check may have been stricter: this record would pass it today.
    strict = Record(
        record_identifier="a",
        row_index=0,
        errors=(("invalid_format", "first_name", None),),
        payload=CALL,
        payload_hash=f"v1:{rough_digest(CALL)}",
    )
    again = prepared(restore(mapper_of("talkdesk", {"record_list_id": "list"}), as_stored(strict, Status.INVALID)))
    assert (again.record_identifier, again.payload["first_name"]) == ("a", "A")


def test_a_sent_payload_that_was_changed_by_hand_is_checked() -> None:
    mapper = mapper_of("talkdesk", {"record_list_id": "list"})
    stored = as_stored(mapper.prepare(0, CALL), Status.REJECTED)
    payload: Any = dict(stored.payload or {})
    corrected = prepared(restore(mapper, replace(stored, payload={**payload, "first_name": "New"})))
    assert corrected.payload_hash != stored.state.payload_hash
    wrong = refused(restore(mapper, replace(stored, payload={**payload, "phone_numbers": 5})))
    assert (wrong.record_identifier, wrong.row_index) == (stored.state.record_identifier, 0)
    assert wrong.payload == {**payload, "phone_numbers": 5}
    assert [(code, where) for code, where, _ in wrong.errors] == [("wrong_type", "phone_numbers")]


def test_text_that_the_table_had_to_change_is_no_payload() -> None:
    mapper = mapper_of("talkdesk", {"record_list_id": "list"})
    for text, there in (("a\x00b", False), ("a\ufffdb", True), ("ab", True)):
        stored = as_stored(mapper.prepare(0, {**CALL, "first_name": text}), Status.REJECTED)
        assert (restore(mapper, stored) is not None) is there, text


def test_a_ready_record_is_taken_as_it_is() -> None:
    mapper = mapper_of("dex", {})
    ready = ReadyMapper(**{one.name: getattr(mapper, one.name) for one in fields(Mapper) if one.init})
    records = [
        changed(prepared(mapper.prepare(0, ROWS["dex"][0])), row_index=9),
        changed(prepared(mapper.prepare(0, ROWS["dex"][1])), row_index=8),
        mapper.prepare(7, {"phone": 1}),
    ]
    batch, invalid = ready.prepare_chunk(3, records)
    assert invalid == records[2:]
    assert list(batch.row_indexes) == [8, 9]
    assert list(batch.payloads) == [records[1].payload, records[0].payload]


# What a row gives that is not sent.


@pytest.mark.parametrize(
    ("code", "reasons", "said"),
    [
        ("bad", (("worse", None, None), ("bad", "name", "no")), (("worse", None, None), ("bad", "name", "no"))),
        ("bad", (), (("bad", "name", "no"),)),
        (None, (), (("", "name", "no"),)),
    ],
)
@pytest.mark.parametrize("payload_hash", ["v1:h", None])
def test_a_refused_row_is_refused_as_it_says(
    code: str | None, reasons: Any, said: Any, payload_hash: str | None
) -> None:
    standing = RecordState(
        record_identifier="k",
        status=Status.INVALID,
        payload_hash=payload_hash,
        error_code=code,
        error_field="name",
        status_message="no",
    )
    stored = Stored(state=standing, reasons=reasons, payload={"name": ""})
    assert restore(Mapper(vendor=VENDOR, destination={}, sync_id="s"), stored) == Record(
        record_identifier="k", row_index=0, errors=said, payload={"name": ""}, payload_hash=payload_hash or ""
    )
