from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from airflow_provider_contacts.simulator.apptoto import normalised
from tests.support.simulated import At

apptoto = partial(At, "apptoto")


def contact(name: str = "Ann Lee", **more: Any) -> dict[str, Any]:
    made = {"name": name, "address_book_id": 1, **more}
    return {key: value for key, value in made.items() if value != "absent"}


def test_a_contact_comes_back_normalised() -> None:
    simulator = apptoto()
    [shown] = simulator.create(contact(phone="650-555-1212", email="a@b.example", external_id="e1")).json()["contacts"]
    assert shown["phone_numbers"][0]["normalized"] == "+16505551212"
    assert (shown["name"], shown["address_book_id"], shown["external_id"]) == ("Ann Lee", 1, "e1")
    assert shown["email_addresses"][0]["address"] == "a@b.example"
    [hidden] = apptoto(echo_external_id=False).create(contact(external_id="e1")).json()["contacts"]
    assert "external_id" not in hidden


@pytest.mark.parametrize(
    ("number", "country", "wanted"),
    [("(650) 555-1212", "US", "+16505551212"), ("1 650 555 1212", "US", "+16505551212"),
     ("+44 7911 123456", "US", "+447911123456"), ("07911 123456", "GB", "+447911123456"),
     ("030 1234567", "DE", "+49301234567"), ("none", "US", None), ("12345678901234", "US", None)],
)  # fmt: skip
def test_numbers_are_normalised_by_country(number: str, country: str, wanted: str | None) -> None:
    assert normalised(number, country) == wanted


def test_first_and_last_name_do_and_name_wins() -> None:
    answer = apptoto().create(contact(name="absent", first_name="A", last_name="B"), contact(first_name="X"))
    assert [one["name"] for one in answer.json()["contacts"]] == ["A B", "Ann Lee"]


def test_books_are_made_by_a_typo() -> None:
    simulator = apptoto()
    named = contact(address_book_id="absent", address_book="Dmeo")
    assert [one["address_book_id"] for one in simulator.create(named, named).json()["contacts"]] == [2, 2]
    books = simulator.read("v1/address_books").json()["address_books"]
    assert [(book["id"], book["name"]) for book in books] == [(1, "Demo"), (2, "Dmeo")]
    assert apptoto(auto_create_books=False).create(named).status_code == 400
    assert apptoto().create(contact(address_book_id=9)).status_code == 404
    both = contact(address_book="Other")
    assert apptoto().create(both).json()["contacts"][0]["address_book_id"] == 1
    assert apptoto(both_books="name").create(both).json()["contacts"][0]["address_book_id"] == 2
    assert apptoto(both_books="400").create(both).status_code == 400


@pytest.mark.parametrize(("form", "status", "stored"), [("400", 400, 0), ("422", 422, 0), ("drop", 200, 2)])
def test_the_ways_to_say_no(form: str, status: int, stored: int) -> None:
    simulator = apptoto(reject="name~bad", reject_form=form)
    answer = simulator.create(contact("A"), contact("bad"), contact("B"))
    assert answer.status_code == status
    assert len(answer.json().get("contacts", [])) == len(simulator.stored) == stored


def test_contacts_may_be_dropped_by_chance_and_batches_half_stored() -> None:
    simulator = apptoto(drop_contacts=0.5)
    returned = simulator.create(*[contact()] * 100).json()["contacts"]
    assert 30 < len(returned) < 70
    assert len(simulator.stored) == len(returned)
    simulator = apptoto(reject="name~bad", atomic=False)
    assert simulator.create(contact("A"), contact("bad"), contact("B")).status_code == 400
    assert [one["name"] for one in simulator.stored] == ["A"]


@pytest.mark.parametrize(("stores", "stored"), [("all", 4), ("none", 0), ("half", 2)])
def test_a_large_batch_ends_at_the_gateway(stores: str, stored: int) -> None:
    simulator = apptoto(gateway_limit=3, gateway_stores=stores)
    answer = simulator.create(*[contact()] * 4)
    assert (answer.status_code, "<html>" in answer.text) == (502, True)
    assert len(simulator.stored) == stored
    assert simulator.create(*[contact()] * 3).status_code == 200


def test_an_external_id_that_exists() -> None:
    def twice(**knobs: Any) -> tuple[list[int], int, str]:
        simulator = apptoto(**knobs)
        statuses = [simulator.create(contact(name, external_id="e1")).status_code for name in ("A", "B")]
        return statuses, len(simulator.stored), simulator.read("v1/contact?external_id=e1").json()["name"]

    assert twice() == ([200, 200], 2, "A")
    assert twice(known_external_id="update") == ([200, 200], 1, "B")
    assert twice(known_external_id="reject") == ([200, 400], 1, "A")


def test_a_look_up_tells_absent_apart_from_broken() -> None:
    simulator = apptoto()
    assert simulator.read("v1/contact?external_id=e1").status_code == 404
    simulator.create(contact(external_id="e1"))
    found = simulator.read("v1/contact?external_id=e1").json()
    assert found["external_id"] == "e1"
    assert simulator.read(f"v1/contact?id={found['id']}").json() == found
    simulator.set(**{"read.http_500": "next:1"})
    assert simulator.read("v1/contact?external_id=e1").status_code == 500


def test_pages_end_empty_and_the_filter_is_broken() -> None:
    simulator = apptoto()
    simulator.create(*[contact(str(number)) for number in range(5)])
    path = "v1/contacts?page_size=2&address_book_id=9&page="
    pages = [simulator.read(f"{path}{page}").json()["contacts"] for page in range(1, 5)]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    simulator.set(book_filter_works=True)
    assert simulator.read("v1/contacts?address_book_id=9").json()["contacts"] == []


def test_credentials_and_the_forms_of_a_refusal() -> None:
    assert apptoto().create(contact(), auth=("a@b.example", "")).status_code == 401
    assert apptoto(credential="a@b.example:k").create(contact()).status_code == 401
    assert apptoto(credential="a@b.example:k").create(contact(), auth=("a@b.example", "k")).status_code == 200
    broken = {"Authorization": "Basic !!!"}
    assert apptoto().create(contact(), auth=None, headers=broken).status_code == 401
    assert apptoto(error_body="message").create(7).json() == {"message": "Invalid contact"}
    assert apptoto(error_body="text").create(7).text == "Invalid contact"
    assert apptoto(max_batch=1).create(contact(), contact()).status_code == 413
    both = contact(phone="1", phone_numbers=[{"number": "6505551212"}])
    assert apptoto().create(both).status_code == 200
    assert apptoto(both_phones="400").create(both).status_code == 400
