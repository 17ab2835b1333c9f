"""A contact of a wrong shape refuses the whole request at every vendor, and the refusal names the place."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_contacts.simulator.nedzo import DEMO_LIST
from tests.support.simulated import CASES, RECORD, At

BOOK = {"name": "Ann Lee", "address_book_id": 1}
MAIL = {"email": "ann@example.com"}


def phone(number: Any, kind: str = "mobile") -> dict[str, Any]:
    return {"name": "A", "phone": {"phoneNumber": number, "phoneType": kind}}


def numbers(*entries: Any) -> dict[str, Any]:
    return {**RECORD, "phone_numbers": list(entries)}


DEX: list[Any] = [
    7, {"id": None}, {"id": "x"}, {"full_name": 7}, {"starred": "yes"}, {"birthday": "2000-01-01T00:00:00Z"},
    {"birthday": 7}, {"tags_contacts": {"append": []}}, {"contact_emails": ["a@b.example"]},
]  # fmt: skip
APPTOTO: list[Any] = [
    7, {"name": "A"}, {"address_book_id": 1}, {**BOOK, "address_book_id": "1"}, {**BOOK, "address_book_id": True},
    {**BOOK, "name": "", "first_name": "A"}, {**BOOK, "phone": 7}, {**BOOK, "phone_numbers": "1"},
    {**BOOK, "phone_numbers": [{"type": "mobile"}]}, {**BOOK, "email_addresses": ["a@b.example"]},
]  # fmt: skip
# Contacts that are wrong behind a good one (alone at Nedzo), and how the answer names what is wrong.
WRONG: dict[str, list[tuple[Any, str]]] = {
    "intermezzo": [
        ({}, '["body",1,"name"]'), ({"name": 7}, '["body",1,"name"]'), (7, '["body",1]'),
        ({"name": "A", "email": "nobody"}, '["body",1,"email"]'), ({"name": "A", "roles": "x"}, '["body",1,"roles"]'),
        ({"name": "A", "phone": "1"}, '["body",1,"phone"]'), (phone(1), '["body",1,"phone","phoneNumber"]'),
        (phone("1", "home"), '["body",1,"phone","phoneType"]'),
    ],
    "nedzo": [
        ({"email": "nobody"}, '["body","email"]'), ({"email": None}, '["body","email"]'),
        ({**MAIL, "first_name": 7}, '["body","first_name"]'),
        ({**MAIL, "contact_list_id": "7"}, '["body","contact_list_id"]'), ({**MAIL, "dnc": "yes"}, '["body","dnc"]'),
        ({**MAIL, "custom_fields": {"a": "b"}}, '["body","custom_fields"]'),
        ({**MAIL, "custom_fields": [{"custom_field_id": DEMO_LIST, "value": 7}]}, '["body","custom_fields",0,"value"]'),
        ({**MAIL, "custom_fields": [{"value": "x"}]}, '["body","custom_fields",0,"custom_field_id"]'),
    ],
    "dex": [(one, "contacts[1]") for one in DEX],
    "apptoto": [(one, "contacts[1]") for one in APPTOTO],
    "talkdesk": [
        (7, '"records[1]"'), ({**RECORD, "first_name": 7}, '"records[1].first_name"'),
        ({**RECORD, "extra_data": []}, '"records[1].extra_data"'),
        ({**RECORD, "sync_external_id": "yes"}, '"records[1].sync_external_id"'),
        ({**RECORD, "phone_numbers": "1"}, '"records[1].phone_numbers"'),
        (numbers(7), '"records[1].phone_numbers[0]"'),
        (numbers({"phone_number": 7}), '"records[1].phone_numbers[0].phone_number"'),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("vendor", "wrong", "place"), [(name, *one) for name, some in WRONG.items() for one in some])
def test_a_wrong_shape_refuses_the_request_and_is_named(vendor: str, wrong: Any, place: str) -> None:
    names_by_knob = vendor in {"dex", "apptoto"}
    simulator = At(vendor)
    if names_by_knob:
        simulator.set(name_culprit=True)
    good = [] if vendor == "nedzo" else CASES[vendor].records(CASES[vendor].place)[:1]
    answer = simulator.create(*good, wrong)
    assert answer.status_code == (422 if place.startswith("[") else 400)
    assert place in answer.text
    assert simulator.stored == []
    if names_by_knob:
        simulator.set(name_culprit=False)
        assert "Invalid contact" in simulator.create(*good, wrong).text
