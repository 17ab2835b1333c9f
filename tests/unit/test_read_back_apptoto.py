"""Apptoto, read back: one look-up a record, and what it proves."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.vendor_kit.reads import Page
from airflow_provider_contacts.vendor_kit.vendor import Request
from tests.support.reading_back import at, create, payloads, read_all, verdicts, words
from tests.support.vendors import answer, each

VENDOR = vendors.load("apptoto")
READING = words(VENDOR)
BOOK = {"address_book_id": 1}

ROWS: list[dict[str, Any]] = [
    {"name": "Ann Ames", "phone": "650-555-1212", "email": "Ann@Example.com", "external_id": "crm 1/ü"},
    {"first_name": "Bob", "last_name": "van Bell", "phone": "(030) 555 12 13"},
    {
        "name": "Cat",
        "phone_numbers": [
            {"number": "650-555-1214", "is_mobile": True, "type": "mobile", "is_primary": True},
            {"number": "650-555-1215", "type": "home"},
        ],
        "email_addresses": [{"address": "cat@example.com", "type": "work"}, {"address": "c@example.com"}],
    },
    {"name": "Dot"},
]
ANN, BOB, CAT, DOT = SENT = payloads(VENDOR, BOOK, ROWS)


def read(body: Any, payload: dict[str, Any] = ANN, status: int = 200) -> Page:
    [question] = READING.questions([payload], BOOK)
    return READING.read(answer(body, status), question)


def shown(payload: dict[str, Any] = ANN, **more: Any) -> dict[str, Any]:
    return {
        "id": 9001,
        "name": payload["name"],
        "address_book_id": 1,
        "external_id": payload["external_id"],
        "phone_numbers": [{"number": payload["phone"], "normalized": "+16505551212"}],
        "email_addresses": [{"address": payload["email"].lower()}],
        **more,
    }


def test_each_record_is_looked_up_by_its_own_external_id() -> None:
    first, *_, last = READING.questions(SENT, BOOK)
    assert first.request == Request("GET", "/v1/contact", query=(("external_id", "crm 1/ü"),))
    assert (first.about, last.about) == ((0,), (3,))
    assert last.request.query == (("external_id", DOT["external_id"]),)
    assert DOT["external_id"].startswith("apc-")


def test_records_of_one_external_id_or_of_none_are_not_asked_about() -> None:
    other = {**BOB, "external_id": ANN["external_id"]}
    none = {"name": "Eve", "address_book_id": 1}
    assert [question.about for question in READING.questions([ANN, other, CAT, none], BOOK)] == [(2,)]


@pytest.mark.parametrize(
    "change",
    [
        *each([{"name": "Ann Other"}, {"address_book_id": 2}, {"phone_numbers": []}, {"phone_numbers": None}]),
        {"phone_numbers": [{"number": "650-555-9999"}]},
        {"email_addresses": [{"address": "other@example.com"}]},
    ],
)
def test_a_contact_that_differs_is_like_the_record_and_no_proof_of_absence(change: dict[str, Any]) -> None:
    found = read_all(VENDOR, lambda _request: answer(shown(**change)), BOOK, [ANN])
    assert verdicts(VENDOR, [ANN], found) == ["incomplete"]
    assert len(found.contacts[0]) == 1


@pytest.mark.parametrize(
    "change",
    [
        *each([{"name": "ANN  AMES"}, {"name": None, "first_name": "Ann", "last_name": "Ames"}]),
        {"phone_numbers": [{"number": None, "normalized": "+16505551212"}]},
        {"phone_numbers": [{"number": "1"}, {"number": "+1 (650) 555-1212"}]},
        {"email_addresses": [{"address": "new@example.com"}, {"address": "ANN@example.com"}]},
        *each([{"external_id": None}, {"external_id": ""}]),
    ],
)
def test_what_the_vendor_writes_in_another_way_is_the_record(change: dict[str, Any]) -> None:
    [contact] = read(shown(**change)).contacts
    found = read_all(VENDOR, lambda _request: answer(shown(**change)), BOOK, [ANN])
    assert verdicts(VENDOR, [ANN], found) == [contact.id] == ["9001"]


def test_parts_of_a_name_and_lone_fields_are_read() -> None:
    parted = {"id": "x", "first_name": "Bob", "last_name": "van Bell", "phone": "+4930 555 1213"}
    [contact] = read(parted, BOB).contacts
    assert contact.fields == {
        "first_name": "Bob",
        "last_name": "van Bell",
        "phone": "+4930 555 1213",
        "external_id": BOB["external_id"],
    }
    [other] = read({"id": "x", "name": "Bob Bell"}, BOB).contacts
    assert (other.fields["first_name"], other.fields["last_name"]) == (None, None)
    assert read({"contact": shown()}).contacts == read(shown()).contacts


@pytest.mark.parametrize("body", [b"", b"Not Found", {"error": "Not Found"}, b" \n"])
def test_not_found_means_absent(body: Any) -> None:
    assert READING.absent_statuses == {404}
    assert read(body, status=404) == Page(contacts=())


@pytest.mark.parametrize("body", [b"<html>Not Found</html>", b"\xef\xbb\xbf\r\n<!DOCTYPE html>"])
def test_a_page_of_a_web_server_says_nothing_of_a_contact(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        read(body, status=404)


@pytest.mark.parametrize(
    "body",
    [
        *each([b"", None, [], [{"id": 1}], {}, {"contact": None}, {"contacts": []}, {"error": "Not Found"}]),
        *each([shown(id=None), shown(external_id="other"), shown(external_id="CRM 1/ü"), shown(external_id=True)]),
        *each([shown(external_id=["crm 1/ü"]), shown(name=None), shown(phone_numbers="650")]),
        shown(phone_numbers=[None]),
    ],
)
def test_what_is_not_the_contact(body: Any) -> None:
    with pytest.raises(UnreadableError):
        read(body)


def test_a_contact_of_another_book_hides_ours() -> None:
    simulator = Simulator({"apptoto.address_books": "1,2"})
    create(simulator, VENDOR, {"address_book_id": 2}, [{**ANN, "address_book_id": 2}])
    create(simulator, VENDOR, BOOK, [ANN])
    found = read_all(VENDOR, at(simulator, VENDOR), BOOK, [ANN])
    assert verdicts(VENDOR, [ANN], found) == ["incomplete"]
