"""Intermezzo, read back: the organization's contacts, wherever they are shown."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.vendor_kit.reads import Page
from airflow_provider_contacts.vendor_kit.vendor import Request
from tests.support.reading_back import more_of, payloads, words
from tests.support.vendors import answer, each

VENDOR = vendors.load("intermezzo")
READING = words(VENDOR)
DEMO = {"organization_id": "org_demo"}

ROWS: list[dict[str, Any]] = [
    {"first_name": "Ann", "last_name": "Ames", "email": "Ann@Example.com", "phone_number": "+44 7911 123456"},
    {"name": "Bob Bell", "email": None, "phone": {"phoneNumber": "+49 30 12345678", "phoneType": "mobile"}},
    {"name": "Cat", "email": "cat@example.com", "roles": ["admin", "payroll"]},
    {"name": "Dot", "roles": []},
]
ANN, BOB, CAT, DOT = SENT = payloads(VENDOR, DEMO, ROWS)


def contact(payload: dict[str, Any], id_: Any = "cnt_1", **more: Any) -> dict[str, Any]:
    return {"email": None, "phone": None, "roles": [], **payload, "id": id_, **more}


def organization(contacts: Any, **more: Any) -> dict[str, Any]:
    return {"id": "org_demo", "legalName": "Demo", "workSites": [], "contacts": contacts, **more}


def read(body: Any) -> Page:
    [question] = READING.questions([ANN], DEMO)
    return READING.read(answer(body), question)


def test_the_organization_is_asked_once_for_all() -> None:
    [question] = READING.questions([ANN, BOB], {"organization_id": "org/1"})
    assert (question.request, question.about) == (Request("GET", "/organizations/org%2F1"), (0, 1))


ONE = organization([contact(ANN)])
OTHER = organization([contact(BOB, "cnt_9")], id="org_other")


@pytest.mark.parametrize(
    "body",
    [
        *each([ONE, {name: value for name, value in ONE.items() if name != "id"}, [ONE], [OTHER, ONE]]),
        *each([{"items": [OTHER, ONE], "meta": {"page": 1, "has_next": True}}, {"items": [ONE]}]),
        organization({"items": [contact(ANN)], "meta": {"has_next": False}}),
        organization([contact({**ANN, "phone": {"phone_number": "+44 7911 123456", "phone_type": "mobile"}})]),
    ],
)
def test_every_form_in_which_the_contacts_are_shown(body: Any) -> None:
    page = read(body)
    assert page.more is None
    [one] = page.contacts
    assert (one.id, one.created_at) == ("cnt_1", None)
    assert {name: one.fields[name] for name in ANN} == ANN


def test_none_must_be_said() -> None:
    assert read(organization([])) == Page(contacts=())
    for silent in (organization(None), {"id": "org_demo"}, [{"id": "org_demo"}]):
        page = read(silent)
        assert page.contacts == ()
        more = more_of(page)
        assert more.request == Request("GET", "/organizations", query=(("page", "1"), ("size", "100")))
        # Where the list shows none either, nothing is known.
        with pytest.raises(UnreadableError):
            READING.read(answer([silent] if isinstance(silent, dict) else silent), more)
        with pytest.raises(UnreadableError):
            READING.read(answer({"items": [{"id": "org_demo"}], "meta": {"page": 1, "has_next": True}}), more)


@pytest.mark.parametrize(
    "body",
    [
        *each([None, [], {}, "org_demo", {"detail": "Not Found"}, [None], [ONE, ONE], [OTHER], [{"contacts": []}]]),
        *each([OTHER, {**ONE, "id": None}, {"items": None}, {"items": [OTHER]}]),
        *each([{"items": [OTHER], "meta": {"has_next": "true"}}, {"items": [OTHER], "meta": {"has_next": True}}]),
        *each([organization({}), organization("cnt_1"), organization({"items": [contact(ANN)]})]),
        *each([organization({"items": [contact(ANN)], "meta": {"has_next": True}}), organization([None])]),
        *each([organization([contact(ANN), "cnt_2"]), organization([contact(ANN, None)])]),
        *each([organization([contact(ANN), contact(BOB)]), organization([contact(ANN, name=None)])]),
        *each([organization([contact(ANN, phone=7)]), organization([contact(ANN, roles="admin")])]),
    ],
)
def test_what_shows_no_contacts(body: Any) -> None:
    with pytest.raises(UnreadableError):
        read(body)


def test_pages_must_be_the_ones_asked_for() -> None:
    more = more_of(read({"id": "org_demo"}))
    following = more_of(READING.read(answer({"items": [OTHER], "meta": {"page": 1, "has_next": True}}), more))
    assert following.request.query == (("page", "2"), ("size", "100"))
    with pytest.raises(UnreadableError):
        READING.read(answer({"items": [OTHER], "meta": {"page": 1, "has_next": True}}), following)


def test_what_is_empty_is_shown_as_empty() -> None:
    [one] = read(organization([contact(DOT, phone=None, roles=None)])).contacts
    assert one.fields == {"name": "Dot", "email": None, "phone": None, "roles": []}
    [lone] = read(organization([{"id": 5, "name": "Dot", "phone": "+44"}])).contacts
    assert (lone.id, lone.fields) == ("5", {"name": "Dot", "phone": {"phoneNumber": "+44"}})
