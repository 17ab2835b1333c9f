"""Apptoto: its record, its address books, and what its answers prove."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.errors import ConfigError, UnreadableError
from airflow_provider_contacts.vendor_kit.vendor import Created, Doubt, Request
from airflow_provider_contacts.vendors.apptoto import VENDOR
from tests.support.vendors import Faults, answer, brief, each, faults_of, payload_of, prepare, replies

ANN: dict[str, Any] = {"name": "Ann Ames", "phone": "650-555-1212", "email": "Ann@Example.com", "external_id": "a"}
BOB: dict[str, Any] = {"first_name": "Bob", "last_name": "Bell", "phone": "(030) 555 12 13", "external_id": "b"}
CAT: dict[str, Any] = {"name": "Cat", "email_addresses": [{"address": "cat@example.com"}], "external_id": "c"}
TRIO = [ANN, BOB, CAT]


def shown(record: Mapping[str, Any], one: Any, **more: Any) -> dict[str, Any]:
    """A contact as the vendor shows it: the name in one, numbers normalized."""
    number = record.get("phone")
    digits = "".join(filter(str.isdigit, number or "")).lstrip("0")
    email = [{"address": record["email"].lower()}] if "email" in record else record.get("email_addresses", [])
    return {
        "id": one,
        "name": record.get("name") or f"{record.get('first_name')} {record.get('last_name')}",
        "external_id": record.get("external_id"),
        "phone_numbers": [{"number": number, "normalized": f"+1{digits}"}] if number else [],
        "email_addresses": email,
        **more,
    }


def silent(record: Mapping[str, Any], one: Any, **more: Any) -> dict[str, Any]:
    """The same without the echo of the external id."""
    return {name: value for name, value in shown(record, one, **more).items() if name != "external_id"}


@pytest.mark.parametrize(
    "record",
    [
        *each([{"name": " Ann "}, {"first_name": "Ann", "last_name": "Ames"}, {"name": "Ann", "first_name": "Ann"}]),
        {"name": "Ann", "phone": "650-555-1212", "email": "Ann@Example.com"},
        {"name": "Ann", "phone_numbers": [{"number": "1", "is_mobile": True, "type": "x", "is_primary": False}]},
        {"name": "Ann", "phone": "1", "email_addresses": [{"address": "a@b.example", "type": "x", "is_primary": True}]},
    ],
)
def test_a_record_leaves_as_it_came(record: dict[str, Any]) -> None:
    assert payload_of(VENDOR, {**record, "external_id": "e"}) == {**record, "external_id": "e"}


@pytest.mark.parametrize(
    ("record", "faults"),
    [
        ({"email": "a@b.example"}, [("missing_name", None)]),
        ({"first_name": "Ann", "last_name": ""}, [("missing_name", None)]),
        ({"name": "", "first_name": "Ann"}, [("missing_name", None)]),
        ({"name": "A", "email": "a at b"}, [("invalid_email", "email")]),
        ({"name": "A", "email_address": "a@b.example"}, [("unknown_field", "email_address")]),
        ({"name": "A", "address_book": "x"}, [("unknown_field", "address_book")]),
        ({"name": "A", "address_book_id": 8}, [("unknown_field", "address_book_id")]),
        ({"name": "A", "phone": "1", "phone_numbers": [{"number": "2"}]}, [("conflict", "phone_numbers")]),
        ({"name": "A", "email": "a@b.example", "email_addresses": []}, [("conflict", "email_addresses")]),
        (
            {"name": "A", "phone_numbers": [{"phone": "1"}]},
            [("missing_field", "phone_numbers.0.number"), ("unknown_field", "phone_numbers.0.phone")],
        ),
        ({"name": "A", "email_addresses": [{"address": "x"}]}, [("invalid_email", "email_addresses.0.address")]),
        ({"name": "A", "external_id": 7}, [("wrong_type", "external_id")]),
    ],
)
def test_a_record_that_is_broken_is_not_sent(record: dict[str, Any], faults: Faults) -> None:
    assert faults_of(VENDOR, record) == faults


def test_an_external_id_is_made_of_sync_and_identifier_alone() -> None:
    assert VENDOR.generated is not None
    made = VENDOR.generated({"name": "Ann"}, "dag.task@conn", "42")
    assert made == {"external_id": "apc-4247d3fe7b9b9414e0edaf00b7c13a4e"}, "it is what it always was"
    assert VENDOR.generated({}, "s", "\ud800") != VENDOR.generated({}, "s", "\ud801")
    key = {"sync_key": ("phone",)}
    one = payload_of(VENDOR, {"name": "Ann", "external_id": None, "phone": "1"}, **key)["external_id"]
    assert payload_of(VENDOR, {"name": "Bob", "phone": "1"}, **key)["external_id"] == one
    assert payload_of(VENDOR, {"name": "Ann", "phone": "2"}, **key)["external_id"] != one
    assert payload_of(VENDOR, {"name": "Ann", "phone": "1"}, sync_id="t", **key)["external_id"] != one
    assert payload_of(VENDOR, {"name": "Ann", "external_id": "mine"})["external_id"] == "mine"
    assert prepare(VENDOR, {"name": "Ann"}).payload_hash == prepare(VENDOR, {"name": "Ann"}, sync_id="t").payload_hash


def find(books: Any, name: str = "Clients") -> Mapping[str, Any]:
    assert VENDOR.lookup is not None
    return VENDOR.lookup.read(answer(books), {"address_book": name})


def test_an_address_book_is_found_by_its_name() -> None:
    assert VENDOR.lookup is not None
    assert VENDOR.lookup.request({"address_book_id": 7}) is None
    assert VENDOR.lookup.request({"address_book": "Clients"}) == Request("GET", "/v1/address_books")
    destination = find(
        {"address_books": [{"id": 1, "name": "Others"}, None, {"id": 7, "name": "Clients", "types": []}]}
    )
    assert destination == VENDOR.destination_fields(destination) == {"address_book_id": 7}


@pytest.mark.parametrize(
    ("books", "name", "text"),
    [
        *(
            ([{"id": 7, "name": "Clients"}], name, r"no Apptoto address book .* there are: 'Clients'$")
            for name in ("clients", "Clients ", "Client")
        ),
        ([], "Clients", r"there are: none$"),
        ([{"id": number, "name": f"no. {number:02}"} for number in range(25)], "x", r"'no. 19', and 5 more$"),
        ([{"id": 7, "name": "Clients"}] * 2, "Clients", r"2 Apptoto address books .* address_book_id"),
    ],
)
def test_a_name_that_is_no_one_books_is_a_configuration_error(books: list[Any], name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        find({"address_books": books}, name)


@pytest.mark.parametrize(
    "books",
    [b"<html>", None, [], {}, {"address_books": None}, {"address_books": {}}]
    + [{"address_books": [{"name": "Clients", "id": one}]} for one in (None, "7", True)],
)
def test_what_is_no_list_of_books_is_unreadable(books: Any) -> None:
    with pytest.raises(UnreadableError):
        find(books)


TWINS = [{"name": "Ann", "external_id": "a"}, {"name": "Ann", "external_id": "b"}]
FIXED = [{**ANN, "email": "x@example.com"}, {"name": "Ann Ames", "phone": "650-555-9999", "external_id": "n"}]
MAILED = [{"name": "Ann", "email": "1@example.com"}, {"name": "Ann", "email": "2@example.com"}]
NUMBERED = {"name": "Ann", "phone_numbers": [{"number": "030 5551212"}, {"number": "0170 5551313"}]}
STRANGER = {**ANN, "external_id": "zzz"}


@pytest.mark.parametrize(
    ("contacts", "sent", "proven"),
    [
        ([shown(CAT, 3), shown(ANN, 1)], TRIO, "+1 ?not_returned +3"),
        ([shown(STRANGER, 1), shown(BOB, 2)], TRIO, "?not_returned +2 ?not_returned"),
        # More than were sent: the echo of an id proves, content does not.
        ([shown(ANN, 1), shown(CAT, 9), shown(BOB, 2)], [ANN, BOB], "+1 +2"),
        ([silent(ANN, 1), silent(CAT, 9)], [ANN], "?not_returned"),
        ([{"id": 1, "external_id": 12}], [{"name": "Ann", "external_id": "12"}], "+1"),
        # One external id on two contacts, or given twice; one id of two contacts, or none.
        ([shown(ANN, 1), shown(ANN, 2)], [ANN], "?not_returned"),
        ([shown(ANN, 1)], [ANN, ANN], "?not_returned ?not_returned"),
        ([shown(ANN, 1), shown(BOB, 1), shown(CAT, 3)], TRIO, "?not_returned ?not_returned +3"),
        *(
            ([shown(ANN, one), shown(BOB, 2)], [ANN, BOB], "?not_returned +2")
            for one in each([None, "", True, 1.5, [], {}])
        ),
        # Without an echo: by order, by content.
        ([{"id": 1, "name": "Ann"}, {"id": 2, "name": "ann "}], TWINS, "+1 +2"),
        ([silent(BOB, 2)], TRIO, "?not_returned +2 ?not_returned"),
        ([silent(ANN, 1), silent({"name": "Zoe"}, 2), silent(CAT, 3)], TRIO, "+1 ?not_returned +3"),
        ([silent(FIXED[1], 2)], FIXED, "?not_returned +2"),
        ([silent(FIXED[1], 2), silent(FIXED[0], 1)], FIXED, "+1 +2"),
        ([silent(MAILED[1], 2)], MAILED, "?not_returned +2"),
        ([{"id": 1, "name": "Ann"}], TWINS, "?not_returned ?not_returned"),
        ([silent({**ANN, "phone": "650-555-0000"}, 1)], [ANN], "?not_returned"),
        ([{"id": 1, "name": "Ann", "phone_numbers": [{"number": "+491705551313"}]}], [NUMBERED], "+1"),
        ([silent(ANN, 1), shown(BOB, 2)], TRIO, "+1 +2 ?not_returned"),
        ([shown(STRANGER, 1), silent(BOB, 2)], [ANN, BOB], "?not_returned +2"),
        ([{"id": 1}], [ANN], "?not_returned"),
    ],
)
def test_who_is_who(contacts: list[Any], sent: list[dict[str, Any]], proven: str) -> None:
    assert brief(VENDOR, {"contacts": contacts}, sent) == proven


@pytest.mark.parametrize("body", [None, [], {}, 7, {"contacts": None}, {"contacts": {}}, {"contacts": "x"}])
def test_an_answer_without_contacts_proves_nothing(body: Any) -> None:
    assert brief(VENDOR, body, TRIO[:1]) == "?contacts_missing"


@given(
    st.lists(st.tuples(st.sampled_from(["Ann", "ANN", "Bob"]), st.sampled_from(["", "1", "2"])), max_size=6),
    st.sets(st.integers(0, 5)),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.randoms(use_true_random=False),
)
def test_no_claim_is_false(
    people: list[tuple[str, str]], lost: set[int], echoing: float, chooser: random.Random
) -> None:
    """Whatever part of a batch is taken, echoed and in whatever order, an outcome never claims what is not so."""
    sent = [
        {"name": name, "external_id": f"e{number}", **({"phone": f"0650-555121{last}"} if last else {})}
        for number, (name, last) in enumerate(people)
    ]
    created = [index for index in range(len(sent)) if index not in lost]
    contacts = [(shown if chooser.random() < echoing else silent)(sent[index], index) for index in created]
    chooser.shuffle(contacts)
    found = replies(VENDOR, {"contacts": contacts}, sent)
    ids = [reply.id for reply in found if isinstance(reply, Created)]
    assert len(set(ids)) == len(ids)
    for index, reply in enumerate(found):
        if isinstance(reply, Created):
            assert index in created
            other = sent[int(reply.id or -1)]
            assert other["name"].casefold() == sent[index]["name"].casefold()
            assert echoing < 1.0 or other is sent[index]
        else:
            assert isinstance(reply, Doubt)
            assert echoing < 1.0 or index not in created
