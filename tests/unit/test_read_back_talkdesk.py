"""Talkdesk, read back: the list, its pages, and what they prove."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.vendor_kit.reads import Page, Question
from airflow_provider_contacts.vendor_kit.vendor import Request
from tests.support.reading_back import more_of, payloads, words
from tests.support.vendors import answer, each

VENDOR = vendors.load("talkdesk")
READING = words(VENDOR)
DEMO = {"record_list_id": "demo-list"}
RECORDS = "/record-lists/demo-list/records"

ROWS: list[dict[str, Any]] = [
    {"first_name": "Joey", "last_name": "Tribbiani", "phone_number": "+351 929-312-319", "timezone": "Europe/Lisbon",
        "priority": 7, "external_provider": "crm", "external_id": "1", "external_url": "https://crm.example/1",
        "sync_external_id": True, "extra_data.plan": "gold", "extra_data.years": 3},
    {"first_name": "Zoé", "last_name": "Ames",
        "phone_numbers": [{"phone_number": "+351929312320", "phone_type": "HOME"},
        {"phone_number": "+351929312321", "phone_type": "MOBILE"}], "external_provider": "crm", "external_id": "2"},
    {"first_name": "Bob", "last_name": "Bell", "phone_number": "+351929312322", "extra_data": {"a": {"b": [1, "x"]}}},
]  # fmt: skip
JOEY, ZOE, BOB = payloads(VENDOR, DEMO, ROWS)


def records_question() -> Question:
    """Return the question for the first page of the list."""
    [first] = READING.questions([JOEY], DEMO)
    return more_of(READING.read(answer({"id": "demo-list"}), first))


def record(payload: dict[str, Any], id_: Any, **more: Any) -> dict[str, Any]:
    return {**payload, "id": id_, "record_list_id": "demo-list", "created_at": "2026-01-02T03:04:05Z", **more}


def page(*records: Any, **more: Any) -> dict[str, Any]:
    return {"_embedded": {"records": list(records)}, "_links": {}, **more}


def read(body: Any) -> Page:
    return READING.read(answer(body), records_question())


def test_the_list_is_asked_first_and_then_its_records_without_any_parameter() -> None:
    [first] = READING.questions([JOEY, BOB], {"record_list_id": "a/b c"})
    assert (first.request, first.about) == (Request("GET", "/record-lists/a%2Fb%20c"), (0, 1))
    shown = READING.read(answer({"id": "a/b c", "unique_identifier_type": "NOTHING"}), first)
    assert shown.contacts == ()
    more = more_of(shown)
    assert (more.request, more.about) == (Request("GET", "/record-lists/a%2Fb%20c/records"), (0, 1))


@pytest.mark.parametrize(
    "body",
    [
        *each([None, [], {}, {"name": "another"}, {"id": "other-list", "unique_identifier_type": "NOTHING"}]),
        {"id": "list", "unique_identifier_type": "NOTHING"},
    ],
)
def test_what_is_not_the_list(body: Any) -> None:
    [first] = READING.questions([JOEY], DEMO)
    with pytest.raises(UnreadableError):
        READING.read(answer(body), first)


@pytest.mark.parametrize(
    "body",
    [
        *each([None, [], {}, {"records": []}, {"_embedded": {}}, {"_embedded": None, "total": 1}]),
        *each([{"_embedded": {"records": None}, "count": "0"}, {"_embedded": {"records": {}}, "total": 0}]),
        {"_embedded": [], "total": 0},
        *each([{"_embedded": None, "total": 0, "_links": {"next": {"href": "?page=2"}}}, page(record(JOEY, None))]),
        *each([page(record(JOEY, "")), page(record(JOEY, id_=True)), page(record(JOEY, "j"), None)]),
        *each([page(record(JOEY, "j"), record(BOB, "j")), page(record(JOEY, "j", record_list_id="other"))]),
        *each([page(record(JOEY, "j", phone_numbers=None)), page(record(JOEY, "j", phone_numbers=[]))]),
        page(record(JOEY, "j", phone_numbers={"phone_number": "+351"})),
        page(record(JOEY, "j", phone_numbers=[{"phone_type": "HOME"}])),
        *each([page(record(JOEY, "j"), count=2, total=3), page(record(JOEY, "j"), count=0, total=1)]),
        *each([page(record(JOEY, "j"), total=2), page(record(JOEY, "j"), total=0), page(record(JOEY, "j"), count=5)]),
        *each([page(record(JOEY, "j"), page=1, total_pages=2), page(record(JOEY, "j"), _links=[])]),
        *each([page(record(JOEY, "j"), _links={"next": 7}), page(record(JOEY, "j"), _links={"next": {"href": 7}})]),
        page(record(JOEY, "j"), _links={"next": {"href": RECORDS}}),
        page(record(JOEY, "j"), _links={"next": {"href": "/record-lists/other/records?page=2"}}),
        page(record(JOEY, "j"), _links={"next": {"href": "https://evil.example/?page=2"}}),
        page(record(JOEY, "j"), _links={"next": {"href": f"file://{RECORDS}?page=2"}}),
        page(record(JOEY, "j"), _links={"next": {"href": f"http://[{RECORDS}?page=2"}}),
        page(record(JOEY, "j"), _links={"next": {"href": "?page=\ud800"}}),
    ],
)
def test_what_is_no_whole_page(body: Any) -> None:
    with pytest.raises(UnreadableError):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        *each([{"_embedded": {"records": []}}, {"_embedded": {}, "total": 0}]),
        *each([{"_embedded": None, "count": 0, "_links": None}, {"total": 0, "count": 0}, page(_links={"next": None})]),
        *each([page(_links={"next": {"href": None}}), page(_links={"next": {"href": ""}})]),
    ],
)
def test_an_empty_page_says_so(body: Any) -> None:
    assert read(body) == Page(contacts=())


@pytest.mark.parametrize(
    ("href", "query"),
    [
        ("?page=2", (("page", "2"),)),
        (f"{RECORDS}?page=2&per_page=50", (("page", "2"), ("per_page", "50"))),
        (f"https://api.talkdeskapp.com{RECORDS}?page=2", (("page", "2"),)),
        (f"http://127.0.0.1:8780/talkdesk{RECORDS}?cursor=a%2Bb%20c&empty=", (("cursor", "a+b c"), ("empty", ""))),
        ("record-lists/demo-list/records?after=x", (("after", "x"),)),
        # No byte goes there: only what stands behind the question mark is taken.
        (f"https://elsewhere.example{RECORDS}?page=2", (("page", "2"),)),
    ],
)
def test_of_the_next_address_only_the_query_is_taken(href: str, query: tuple[tuple[str, str], ...]) -> None:
    more = more_of(read(page(record(JOEY, "j"), _links={"next": {"href": href}})))
    assert more.request == Request("GET", RECORDS, query=query)
    assert read(page(record(JOEY, "j"), _links={"next": href})).more == more


def test_a_list_that_shrinks_between_two_pages_is_not_whole_and_one_that_grows_is() -> None:
    link = {"next": {"href": "?page=2"}}
    for later, whole in ((2, False), (3, True), (4, False)):
        second = more_of(read(page(record(JOEY, "1"), record(BOB, "2"), total=3, _links=link)))
        body = page(record(ZOE, "3"), total=later)
        if whole:
            assert READING.read(answer(body), second).more is None
        else:
            with pytest.raises(UnreadableError):
                READING.read(answer(body), second)
    second = more_of(read(page(record(JOEY, "1"), record(BOB, "2"), total=3, _links=link)))
    # One record less, and the one behind the edge of the page has moved past us: the sum is right all the same.
    with pytest.raises(UnreadableError):
        READING.read(answer(page(record(ZOE, "4"), total=2, _links={"next": {"href": "?page=3"}})), second)
    grown = page(record(BOB, "2"), record(ZOE, "3"), total=4)
    assert len(READING.read(answer(grown), second).contacts) == 2


def test_a_record_with_errors_is_like_ours_and_is_not_ours() -> None:
    [sound] = read(page(record(JOEY, "j", errors=[]))).contacts
    assert sound.fields["first_name"] == "Joey"
    [wrong] = read(page(record(JOEY, "j", errors=["OTHER"]))).contacts
    assert (wrong.fields["first_name"], wrong.fields["phone_numbers"]) == (None, JOEY["phone_numbers"])


def test_older_forms_are_read() -> None:
    single = {name: value for name, value in JOEY.items() if name != "phone_numbers"}
    shown = record({**single, "phone_number": "+351929312319"}, 7, external_id=1, created_at="yesterday")
    [contact] = read(page(shown)).contacts
    assert contact.id == "7"
    assert contact.fields["phone_numbers"] == [{"phone_number": "+351929312319"}]
    assert contact.fields["external_id"] == "1"
    assert contact.created_at is None
    [dated] = read(page(record(JOEY, "j"))).contacts
    assert dated.created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
