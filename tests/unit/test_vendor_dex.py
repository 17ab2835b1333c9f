"""Dex: its record, and what its answers prove."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.vendor_kit.vendor import Created, Doubt
from airflow_provider_contacts.vendors.dex import VENDOR
from tests.support.vendors import Faults, brief, each, faults_of, payload_of, replies, typed

ANN: dict[str, Any] = {"full_name": "Ann Ames", "company": "Acme"}
BOB: dict[str, Any] = {"first_name": "Bob", "last_name": "Bell"}
CAT: dict[str, Any] = {"contact_emails": [{"email": "cat@example.com"}]}
TRIO = [ANN, BOB, CAT]
ID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
OTHER_ID = "11111111-2222-4333-8444-555555555555"
MOMENT = datetime(1990, 2, 3, tzinfo=UTC)
PLACE = {"operation": "set", "data": {"latitude": 52, "longitude": 13.5}}


@pytest.mark.parametrize(
    ("record", "payload"),
    [
        ({"full_name": " Ann "}, None),
        ({"email": "Ann@Example.com"}, {"contact_emails": [{"email": "Ann@Example.com"}]}),
        ({"phone_number": "+49 30 1"}, {"contact_phone_numbers": [{"phone_number": "+49 30 1"}]}),
        ({"id": ID.upper(), "company": "Acme"}, None),
        ({"id": UUID(ID)}, {"id": ID}),
        ({"source": "anything", "frequency": "7 days"}, None),
        ({"birthday": date(1990, 2, 3)}, {"birthday": "1990-02-03"}),
        ({"birthday": "1990-02-03", "birthday_year": 1990.0}, {"birthday": "1990-02-03", "birthday_year": 1990}),
        ({"last_seen_at": MOMENT}, {"last_seen_at": "1990-02-03T00:00:00+00:00"}),
        ({"coordinates": typed(PLACE)}, {"coordinates": PLACE}),
        ({"linkedin_data": {"a": [1, None, "x"]}}, None),
        ({"tags_contacts": f'[{{"tag_id": "{ID}"}}]'}, {"tags_contacts": [{"tag_id": ID}]}),
        ({"groups_contacts": [{"group_id": ID}]}, None),
        ({"custom_fields": [{"id": ID, "type": "datepicker", "text_value": "x", "custom_field": {"a": 1}}]}, None),
        ({"contact_birthdays": {"contact_id": ID, "last_dismissal_year": 2000}}, None),
        (
            {"related_contacts": [{"destination": ID, "source_contact": None, "destination_contact": 1}]},
            {"related_contacts": [{"destination": ID, "destination_contact": 1}]},
        ),
        (
            {"contact_emails": [{"email": "a@b.example", "label": "work", "ranking": 1.0}]},
            {"contact_emails": [{"email": "a@b.example", "label": "work", "ranking": 1}]},
        ),
        ({"legacy_contact_addresses": [{"formatted": "x"}]}, None),
    ],
)
def test_a_record_leaves_as_it_came(record: dict[str, Any], payload: dict[str, Any] | None) -> None:
    assert typed(payload_of(VENDOR, record)) == typed(record if payload is None else payload)


@pytest.mark.parametrize(
    ("record", "faults"),
    [
        ({}, [("empty_record", None)]),
        ({"full_name": None, "email": ""}, [("empty_record", None)]),
        ({"nickname": "A"}, [("unknown_field", "nickname")]),
        ({"company": True}, [("wrong_type", "company")]),
        ({"email": "ann at example"}, [("invalid_email", "contact_emails.0.email")]),
        ({"phone_number": 49301}, [("wrong_type", "contact_phone_numbers.0.phone_number")]),
        ({"email": "a@b.example", "contact_emails": []}, [("conflict", "email")]),
        ({"phone_number": "1", "contact_phone_numbers": []}, [("conflict", "phone_number")]),
        ({"id": "1"}, [("invalid_uuid", "id")]),
        ({"birthday": "3.2.1990"}, [("invalid_date", "birthday")]),
        *(({"last_seen_at": at}, [("invalid_datetime", "last_seen_at")]) for at in ("now", "2026-01-02T03:04:05")),
        ({"coordinates": {"data": {"latitude": "52"}}}, [("wrong_type", "coordinates.data.latitude")]),
        ({"linkedin_data": "[]"}, [("wrong_type", "linkedin_data")]),
        ({"tags_contacts": {"append": [ID]}}, [("wrong_type", "tags_contacts")]),
        ({"tags_contacts": [{"tag_id": "vip"}]}, [("invalid_uuid", "tags_contacts.0.tag_id")]),
        ({"contact_emails": [{"address": "x"}]}, [("unknown_field", "contact_emails.0.address")]),
    ],
)
def test_a_record_that_is_broken_is_not_sent(record: dict[str, Any], faults: Faults) -> None:
    assert faults_of(VENDOR, record) == faults


def body_of(*contacts: Any, error: Any = False) -> dict[str, Any]:
    return {"error": error, "data": {"contacts": list(contacts)}}


def shown(record: Mapping[str, Any], one: Any) -> dict[str, Any]:
    names = ("full_name", "first_name", "last_name", "company", "birthday", "linkedin")
    return {**{name: record.get(name) for name in names}, "id": one, "is_archived": False}


OWN = {**ANN, "id": ID}
ANYBODY = {"full_name": "Ann Ames"}
OTHER = {**ANN, "company": "Other"}


@pytest.mark.parametrize(
    ("body", "sent", "proven"),
    [
        # A name that we did not give is no contradiction, and one may be told whole or in parts.
        (body_of(shown({"full_name": "Cat"}, "c")), [CAT], "+c"),
        (body_of(shown({"first_name": "Ann", "last_name": "Ames", "company": "ACME"}, "a")), [ANN], "+a"),
        (body_of(shown({"full_name": "Bob Bell"}, "b")), [BOB], "+b"),
        (body_of(shown(CAT, "c"), shown(BOB, "b"), shown(ANN, "a")), TRIO, "+a +b ?unmatched"),
        (body_of(shown(OTHER, "a")), [ANN], "?unmatched"),
        (body_of(shown(ANYBODY, "a")), [ANN], "+a"),
        (body_of(shown({"full_name": "Zoe"}, "z")), [ANN], "?unmatched"),
        # Fewer than were sent.
        (body_of(shown(BOB, "b")), TRIO, "?not_returned +b ?not_returned"),
        (body_of(shown(BOB, "b")), [BOB, BOB, ANN], "?not_returned ?not_returned ?not_returned"),
        (body_of(shown(BOB, "b"), shown(BOB, "c")), [BOB, ANN, BOB], "+b ?not_returned +c"),
        (body_of(shown(OTHER, "o")), [ANN, OTHER], "?not_returned +o"),
        (body_of(shown({"company": "Acme"}, "x")), [{"company": "Acme"}, BOB], "+x ?not_returned"),
        (body_of(shown(ANN, "a")), [ANYBODY, ANN], "?not_returned +a"),
        (body_of(shown(ANYBODY, "a")), [ANYBODY, ANN, BOB], "?not_returned ?not_returned ?not_returned"),
        (body_of(shown(ANYBODY, "a"), shown(ANYBODY, "b")), [ANYBODY, ANN, BOB], "+a +b ?not_returned"),
        (body_of(shown(ANYBODY, "a"), shown(ANN, "b")), [ANYBODY, ANN, BOB], "+a +b ?not_returned"),
        # A company of somebody else among the namesakes: any of them may be missing.
        (body_of(shown(ANYBODY, "a"), shown(OTHER, "b")), [ANYBODY, ANN], "?unmatched ?unmatched"),
        (body_of(shown({}, "c")), [CAT, CAT], "?not_returned ?not_returned"),
        # More than were sent.
        (body_of(shown(ANN, "a"), shown(BOB, "b")), [ANN], "?contacts_disagree"),
        (body_of(shown(BOB, "b"), shown(BOB, "c"), shown(ANN, ID)), [OWN, BOB], f"+{ID} ?contacts_disagree"),
        (body_of(shown(ANN, "a"), shown(BOB, "A")), [ANN, BOB], "?contacts_disagree ?contacts_disagree"),
        # A record's own id.
        (body_of(shown(BOB, "b"), shown(ANN, ID.upper())), [OWN, BOB], f"+{ID.upper()} +b"),
        (body_of(shown(ANN, OTHER_ID)), [OWN], f"+{OTHER_ID}"),
        (body_of(shown({}, ID)), [{"id": ID}, {"id": ID}], "?not_returned ?not_returned"),
        (body_of(shown({}, ID), shown({}, ID)), [{"id": ID}, {"id": ID}], "?contacts_disagree ?contacts_disagree"),
        (body_of(shown({}, "x"), shown({}, ID)), [{**CAT, "id": ID}, CAT], f"+{ID} ?unmatched"),
        # The flag.
        ({"error": True}, [ANN], "?error_flag"),
        ({"error": True, "data": None}, [ANN], "?error_flag"),
        (body_of(error=True), [ANN], "?error_flag"),
        (body_of(shown(ANN, ID), shown(BOB, "b"), error=True), [OWN, BOB], f"+{ID} ?error_flag"),
        *(
            (body_of(shown(ANN, "a"), error=flag), [ANN], "?error_flag_missing")
            for flag in each([None, "false", "true", 0, 1, "", {}, []])
        ),
        *((body, [ANN], "?error_flag_missing") for body in each([{}, [], None, 7, "x", [{"error": False}]])),
        *(
            ({"error": False, "data": data}, [ANN], "?contacts_missing")
            for data in each([None, [], {}, {"contacts": None}, {"contacts": {}}, 7])
        ),
        # A contact without an id proves nothing.
        *(
            (body_of(shown(ANN, one), shown(BOB, "b")), [ANN, BOB], "?unmatched +b")
            for one in each([None, "", True, 1.5, []])
        ),
        (body_of(None, 7, shown(BOB, "b")), TRIO, "?unmatched +b ?unmatched"),
    ],
)
def test_what_an_answer_proves(body: Any, sent: list[dict[str, Any]], proven: str) -> None:
    assert brief(VENDOR, body, sent) == proven


@given(
    st.lists(st.tuples(st.sampled_from(["Ann", "ANN", "Bob", "Cat"]), st.sampled_from(["", "Acme", "Other"]))),
    st.sets(st.integers(0, 6)),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_no_claim_is_false(
    people: list[tuple[str, str]], lost: set[int], company_shown: bool, chooser: random.Random
) -> None:
    """Whatever part of a batch is taken and in whatever order it is shown, an outcome never claims what is not so."""
    sent = [{"full_name": name, **({"company": company} if company else {})} for name, company in people]
    created = [index for index in range(len(sent)) if index not in lost]
    contacts = [shown(sent[i] if company_shown else {"full_name": sent[i]["full_name"]}, f"c{i}") for i in created]
    chooser.shuffle(contacts)
    found = replies(VENDOR, body_of(*contacts), sent)
    ids = [reply.id for reply in found if isinstance(reply, Created)]
    assert len(set(ids)) == len(ids)
    for index, reply in enumerate(found):
        if isinstance(reply, Created):
            assert index in created
            other = sent[int((reply.id or "")[1:])]
            assert other["full_name"].casefold() == sent[index]["full_name"].casefold()
        else:
            assert isinstance(reply, Doubt)
