"""Dex, read back: by id, by email, by name, and how much each proves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.vendor_kit.reads import Contact, Page, Question
from airflow_provider_contacts.vendor_kit.vendor import Request
from tests.support.reading_back import at, create, more_of, payloads, read_all, verdicts, words
from tests.support.vendors import answer, each

VENDOR = vendors.load("dex")
READING = words(VENDOR)
ID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
OTHER_ID = "11111111-2222-4333-8444-555555555555"
THEN = "2026-01-02T03:04:05.678Z"

ROWS: list[dict[str, Any]] = [
    {"full_name": "Ann Ames", "email": "Ann@Example.com", "company": "Acme", "birthday": "1990-05-01", "starred": True},
    {
        "first_name": "Bob",
        "last_name": "van Bell",
        "contact_emails": [{"email": "bob@example.com", "label": "work"}, {"email": "b@example.org"}],
        "linkedin": "https://www.linkedin.com/in/bob/",
        "phone_number": "+1 (650) 555-1212",
    },
    {"id": ID, "full_name": "Cat Cole", "email": "cat@example.com"},
    {"first_name": "Dot", "last_name": "Dee", "job_title": "Dentist", "phone_number": "+1 650 555 1213"},
    {"id": OTHER_ID, "full_name": "Eve Ek"},
]
ANN, BOB, CAT, DOT, EVE = SENT = payloads(VENDOR, {}, ROWS)
FAY, GUS, HAL = payloads(VENDOR, {}, [{"first_name": "Fay"}, {"phone_number": "+1 650 555 1214"}, {"id": ID}])


def shown(payload: dict[str, Any], id_: Any = "c1", **more: Any) -> dict[str, Any]:
    blank = dict.fromkeys(["full_name", "first_name", "last_name", "company", "job_title"])
    return {**blank, "contact_emails": [], **payload, "id": id_, "created_at": THEN, **more}


def question_of(payload: dict[str, Any], start: str) -> Question:
    """Return the question about a record whose path begins so."""
    return next(one for one in READING.questions([payload], {}) if one.request.path.startswith(start))


def by_emails(data: Any, payload: dict[str, Any] = ANN, *, error: Any = False) -> Page:
    return READING.read(answer({"error": error, "data": data}), question_of(payload, "/v1/contacts/by-emails"))


def by_name(data: Any, payload: dict[str, Any] = DOT, *, error: Any = False) -> Page:
    [question] = READING.questions([payload], {})
    return READING.read(answer({"error": error, "data": data}), question)


def by_id(body: Any, payload: dict[str, Any] = CAT, status: int = 200) -> Page:
    return READING.read(answer(body, status), question_of(payload, f"/v1/contacts/{payload['id']}"))


class TestQuestions:
    def test_by_id_by_email_and_one_for_all_names(self) -> None:
        asked = [(one.request.method, one.request.path, one.about) for one in READING.questions(SENT, {})]
        assert asked == [
            ("GET", f"/v1/contacts/{ID}", (2,)),
            ("GET", f"/v1/contacts/{OTHER_ID}", (4,)),
            ("POST", "/v1/contacts/by-emails", (0,)),
            ("POST", "/v1/contacts/by-emails", (1,)),
            ("POST", "/v1/contacts/by-emails", (1,)),
            ("POST", "/v1/contacts/by-emails", (2,)),
            ("GET", "/v1/contacts", (3, 4)),
        ]

    def test_a_look_up_by_email_creates_nothing(self) -> None:
        bodies = [json.loads(one.request.body or b"") for one in READING.questions([ANN, BOB], {})]
        switches = {"createFromGoogleContacts": False, "createFromOAuthInteractions": False}
        assert bodies == [
            {"emails": ["Ann@Example.com", "ann@example.com"], **switches},
            {"emails": ["bob@example.com"], **switches},
            {"emails": ["b@example.org"], **switches},
        ]

    def test_records_of_one_email_share_the_question(self) -> None:
        [question] = READING.questions([ANN, {**ANN, "contact_emails": [{"email": "ann@EXAMPLE.com"}]}], {})
        assert question.about == (0, 1)
        assert json.loads(question.request.body or b"")["emails"] == [
            "Ann@Example.com",
            "ann@example.com",
            "ann@EXAMPLE.com",
        ]

    def test_half_a_name_a_number_or_an_id_twice_are_not_asked_about(self) -> None:
        assert READING.questions([FAY, GUS], {}) == []
        assert READING.questions([CAT, {**EVE, "id": ID.upper()}], {}) == []


class TestById:
    @pytest.mark.parametrize("form", ["data", "contact", "bare"])
    def test_the_very_contact(self, form: str) -> None:
        one = shown(CAT, ID.upper())
        body = {
            "data": {"error": False, "data": one},
            "contact": {"error": False, "data": {"contact": one}},
            "bare": one,
        }
        page = by_id(body[form])
        [contact] = page.contacts
        # Found whenever it was created, and never proof of absence.
        assert (contact.id, contact.fields["id"], contact.created_at) == (ID.upper(), ID.upper(), None)
        assert not page.whole
        assert page.more is None

    @pytest.mark.parametrize(
        "body",
        [
            *each([b"", None, [], {}, shown(CAT, OTHER_ID), shown(CAT, None), {"error": True, "data": shown(CAT, ID)}]),
            *each([{"error": "false", "data": shown(CAT, ID)}, {"data": shown(CAT, ID)}]),
            *each([{"error": False, "data": None}, {"error": False, "data": [shown(CAT, ID)]}]),
            *each([{"error": False, "data": {"id": ID}}, {"error": False, "data": {"contact": None}}]),
            {"error": False, "data": shown(CAT, ID, contact_emails=[7])},
        ],
    )
    def test_anything_else(self, body: Any) -> None:
        with pytest.raises(UnreadableError):
            by_id(body)

    def test_not_found_proves_nothing_alone(self) -> None:
        assert by_id({"error": True}, CAT, status=404) == Page(contacts=())
        assert by_id({"error": True}, HAL, status=404) == Page(contacts=(), whole=False)


class TestByEmails:
    @pytest.mark.parametrize("data", [[], {}, {"ann@example.com": None}, {"contacts": []}, {"Ann@example.com": []}])
    def test_none_is_proof(self, data: Any) -> None:
        assert by_emails(data) == Page(contacts=())

    def test_not_found_is_no_proof(self) -> None:
        assert READING.absent_statuses == {404}
        for asked in (question_of(ANN, "/v1/contacts/by-emails"), question_of(DOT, "/v1/contacts")):
            with pytest.raises(UnreadableError):
                READING.read(answer({}, 404), asked)

    @pytest.mark.parametrize(
        "data",
        [
            *each([[shown(ANN)], {"items": [shown(ANN)]}, {"ann@example.com": shown(ANN)}]),
            {"ANN@example.com": [shown(ANN)]},
            [shown(ANN, birthday="1990-05-01T00:00:00.000Z")],
            [shown(ANN, contact_emails=None, emails=["x@example.com", "ann@example.com"])],
            *each([[shown(ANN, contact_emails=None)], {"ann@example.com": shown(ANN, contact_emails=[])}]),
        ],
    )
    def test_what_is_shown_may_be_ours_and_may_hide_ours(self, data: Any) -> None:
        assert {contact.id for contact in by_emails(data).contacts} == {"c1"}
        found = read_all(VENDOR, lambda _: answer({"error": False, "data": data}), {}, [ANN])
        assert verdicts(VENDOR, [ANN], found) == ["c1"]
        older = [shown({**ANN, "full_name": "Someone Else"})]
        said = read_all(VENDOR, lambda _: answer({"error": False, "data": older}), {}, [ANN])
        assert verdicts(VENDOR, [ANN], said) == ["incomplete"]

    def test_an_email_that_an_older_contact_has_hides_ours(self) -> None:
        simulator = Simulator({"dex.by_emails_shape": "map"})
        create(simulator, VENDOR, {}, [{**ANN, "full_name": "Ann Before"}, ANN])
        found = read_all(VENDOR, at(simulator, VENDOR), {}, [ANN])
        assert verdicts(VENDOR, [ANN], found) == ["incomplete"]

    @pytest.mark.parametrize("error", [True, None, "false", 0])
    def test_the_flag_must_say_so(self, error: Any) -> None:
        with pytest.raises(UnreadableError):
            by_emails([], error=error)

    @pytest.mark.parametrize(
        "data",
        [
            *each([None, 7, "none", [None], [shown(ANN), 7], {"other@example.com": None}, {"ann@example.com": 7}]),
            *each([{"ann@example.com": [None]}, {"contacts": {}}, [shown(ANN, None)]]),
            *each([[shown(ANN, contact_emails=[{"email": "other@example.com"}])], [shown(ANN, contact_emails=[None])]]),
            [shown(ANN), shown(ANN, full_name="Ann Other")],
            [{"id": "c1", "contact_emails": [{"email": "ann@example.com"}]}],
        ],
    )
    def test_anything_else(self, data: Any) -> None:
        with pytest.raises(UnreadableError):
            by_emails(data)


class TestByName:
    @pytest.mark.parametrize("key", ["items", "contacts"])
    def test_the_pages_of_all(self, key: str) -> None:
        page = by_name({key: [shown(DOT), shown(ANN, "c2")], "nextCursor": "c2", "count": 3})
        assert [one.id for one in page.contacts] == ["c1", "c2"]
        more = more_of(page)
        assert more.request == Request("GET", "/v1/contacts", query=(("cursor", "c2"),))
        last = READING.read(answer({"error": False, "data": {key: [shown(BOB, "c3")], "count": 3}}), more)
        assert (len(last.contacts), last.more) == (1, None)
        with pytest.raises(UnreadableError):
            READING.read(answer({"error": False, "data": {key: [shown(BOB, "c3")], "count": 4}}), more)

    def test_the_older_cursor(self) -> None:
        more = more_of(by_name({"contacts": [], "pagination": {"nextCursor": 7}}))
        assert more.request.query == (("cursor", "7"),)

    def test_a_full_page_must_say_that_it_is_the_last(self) -> None:
        items = [shown(DOT, f"c{number}") for number in range(500)]
        assert by_name({"items": items[1:]}).more is None
        assert by_name({"items": items, "nextCursor": None}).more is None
        with pytest.raises(UnreadableError):
            by_name({"items": items})

    @pytest.mark.parametrize(
        "data",
        [
            *each([None, [], {}, {"items": None}, {"items": {}}, {"items": [None]}]),
            *each([{"items": [shown(DOT), shown(ANN)]}, {"items": [shown(DOT, None)]}]),
            {"items": [shown(DOT, created_at=None)]},
            {"items": [shown(DOT, created_at="2026-01-02T03:04:05")]},
            *each([{"items": [{"id": "c1", "created_at": THEN}]}, {"items": [shown(DOT)], "count": 0}]),
            *each([{"items": [shown(DOT)], "count": 2}, {"items": [shown(DOT)], "nextCursor": {}}]),
            *each([{"items": [shown(DOT)], "nextCursor": True}, {"items": [shown(DOT)], "nextCursor": "\ud800"}]),
        ],
    )
    def test_anything_else(self, data: Any) -> None:
        with pytest.raises(UnreadableError):
            by_name(data)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({}, "c1"),
            ({"first_name": None, "last_name": None, "full_name": "dot  DEE"}, "c1"),
            ({"full_name": "Dot Dee"}, "c1"),
            ({"first_name": "Dorothy"}, "like"),
            ({"job_title": "Doctor"}, "like"),
            ({"first_name": None, "last_name": None, "full_name": "Dot Doe"}, "absent"),
            ({"last_name": "Doe", "contact_phone_numbers": []}, "absent"),
        ],
    )
    def test_a_namesake_is_never_somebody_else(self, change: dict[str, Any], said: str) -> None:
        contact = shown(DOT, **change)
        if said == "absent":
            del contact["contact_phone_numbers"]
        data = {"items": [contact], "nextCursor": None}
        found = read_all(VENDOR, lambda _: answer({"error": False, "data": data}), {}, [DOT])
        assert verdicts(VENDOR, [DOT], found) == [said]


def test_a_name_in_one_piece_is_shown_in_every_way_to_part_it() -> None:
    def names(page: Page) -> list[tuple[Any, Any, Any]]:
        return [tuple(one.fields[name] for name in ("full_name", "first_name", "last_name")) for one in page.contacts]

    whole = {"first_name": None, "last_name": None}
    assert names(by_name({"items": [shown(DOT, **whole, full_name="Mary Ann Lee")]})) == [
        ("Mary Ann Lee", "Mary", "Ann Lee"),
        ("Mary Ann Lee", "Mary Ann", "Lee"),
    ]
    assert names(by_name({"items": [shown(DOT, **whole, full_name="Cher")]})) == [
        ("Cher", None, "Cher"),
        ("Cher", "Cher", None),
    ]
    assert names(by_name({"items": [shown(DOT, **whole, full_name=None)]})) == [(None, None, None)]
    assert names(by_name({"items": [shown(DOT)]})) == [("Dot Dee", "Dot", "Dee")]


def test_only_an_id_that_a_record_brought_is_compared() -> None:
    both: list[Contact] = []
    for id_ in (ID, "c1"):
        both.extend(by_emails([shown(CAT, id_)], CAT).contacts)
    assert ["id" in contact.fields for contact in both] == [True, False]
