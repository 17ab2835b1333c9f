from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from airflow_provider_contacts.simulator.apptoto import normalised
from tests.support import simulated as support

simulated = partial(support.simulated, "apptoto")


def contact(name: str = "Ann Lee", **more: Any) -> dict[str, Any]:
    made = {"name": name, "address_book_id": 1, **more}
    return {key: value for key, value in made.items() if value != "absent"}


def create(simulator: Any, *contacts: Any, **more: Any) -> Any:
    return support.create(simulator, "apptoto", *contacts, **more)


def get(simulator: Any, path: str) -> Any:
    return support.read(simulator, "apptoto", f"v1/{path}")


def test_a_contact_comes_back_normalised() -> None:
    simulator = simulated()
    [shown] = create(simulator, contact(phone="650-555-1212", email="a@b.example", external_id="e1")).json()["contacts"]
    assert shown["phone_numbers"][0]["normalized"] == "+16505551212"
    assert (shown["name"], shown["address_book_id"], shown["external_id"]) == ("Ann Lee", 1, "e1")
    assert shown["email_addresses"][0]["address"] == "a@b.example"
    [hidden] = create(simulated(echo_external_id=False), contact(external_id="e1")).json()["contacts"]
    assert "external_id" not in hidden


@pytest.mark.parametrize(
    ("number", "country", "wanted"),
    [("(650) 555-1212", "US", "+16505551212"), ("1 650 555 1212", "US", "+16505551212"),
     ("+44 7911 123456", "US", "+447911123456"), ("07911 123456", "GB", "+447911123456"),
     ("030 1234567", "DE", "+49301234567"), ("none", "US", None), ("12345678901234", "US", None)],
)  # fmt: skip
def test_numbers_are_normalised_by_country(number: str, country: str, wanted: str | None) -> None:
    assert normalised(number, country) == wanted


@pytest.mark.parametrize(
    "wrong",
    [7, contact(address_book_id="absent"), contact(address_book_id="1"), contact(address_book_id=True),
     contact(name="absent"), contact(name="", first_name="A"), contact(phone=7), contact(phone_numbers="1"),
     contact(phone_numbers=[{"type": "mobile"}]), contact(email_addresses=["a@b.example"])],
)  # fmt: skip
def test_a_wrong_shape_refuses_the_batch(wrong: Any) -> None:
    simulator = simulated()
    assert create(simulator, contact(), wrong).json() == {"error": "Invalid contact"}
    assert simulator.apptoto.stored == []
    assert "contacts[1]" in create(simulated(name_culprit=True), contact(), wrong).text


def test_first_and_last_name_do_and_name_wins() -> None:
    answer = create(simulated(), contact(name="absent", first_name="A", last_name="B"), contact(first_name="X"))
    assert [one["name"] for one in answer.json()["contacts"]] == ["A B", "Ann Lee"]


def test_books_are_made_by_a_typo() -> None:
    simulator = simulated()
    named = contact(address_book_id="absent", address_book="Dmeo")
    assert [one["address_book_id"] for one in create(simulator, named, named).json()["contacts"]] == [2, 2]
    books = get(simulator, "address_books").json()["address_books"]
    assert [(book["id"], book["name"]) for book in books] == [(1, "Demo"), (2, "Dmeo")]
    assert create(simulated(auto_create_books=False), named).status_code == 400
    assert create(simulated(), contact(address_book_id=9)).status_code == 404
    both = contact(address_book="Other")
    assert create(simulated(), both).json()["contacts"][0]["address_book_id"] == 1
    assert create(simulated(both_books="name"), both).json()["contacts"][0]["address_book_id"] == 2
    assert create(simulated(both_books="400"), both).status_code == 400


@pytest.mark.parametrize(("form", "status", "stored"), [("400", 400, 0), ("422", 422, 0), ("drop", 200, 2)])
def test_the_ways_to_say_no(form: str, status: int, stored: int) -> None:
    simulator = simulated(reject="name~bad", reject_form=form)
    answer = create(simulator, contact("A"), contact("bad"), contact("B"))
    assert answer.status_code == status
    assert len(answer.json().get("contacts", [])) == len(simulator.apptoto.stored) == stored


def test_contacts_may_be_dropped_by_chance_and_batches_half_stored() -> None:
    simulator = simulated(drop_contacts=0.5)
    returned = create(simulator, *[contact()] * 100).json()["contacts"]
    assert 30 < len(returned) < 70
    assert len(simulator.apptoto.stored) == len(returned)
    simulator = simulated(reject="name~bad", atomic=False)
    assert create(simulator, contact("A"), contact("bad"), contact("B")).status_code == 400
    assert [one.received["name"] for one in simulator.apptoto.stored] == ["A"]


@pytest.mark.parametrize(("stores", "stored"), [("all", 4), ("none", 0), ("half", 2)])
def test_a_large_batch_ends_at_the_gateway(stores: str, stored: int) -> None:
    simulator = simulated(gateway_limit=3, gateway_stores=stores)
    answer = create(simulator, *[contact()] * 4)
    assert (answer.status_code, "<html>" in answer.text) == (502, True)
    assert len(simulator.apptoto.stored) == stored
    assert create(simulator, *[contact()] * 3).status_code == 200


def test_an_external_id_that_exists() -> None:
    def twice(**knobs: Any) -> tuple[list[int], int, str]:
        simulator = simulated(**knobs)
        statuses = [create(simulator, contact(name, external_id="e1")).status_code for name in ("A", "B")]
        return statuses, len(simulator.apptoto.stored), get(simulator, "contact?external_id=e1").json()["name"]

    assert twice() == ([200, 200], 2, "A")
    assert twice(known_external_id="update") == ([200, 200], 1, "B")
    assert twice(known_external_id="reject") == ([200, 400], 1, "A")


def test_a_look_up_tells_absent_apart_from_broken() -> None:
    simulator = simulated()
    assert get(simulator, "contact?external_id=e1").status_code == 404
    create(simulator, contact(external_id="e1"))
    found = get(simulator, "contact?external_id=e1").json()
    assert found["external_id"] == "e1"
    assert get(simulator, f"contact?id={found['id']}").json() == found
    simulator.set("apptoto.read.http_500", "next:1")
    assert get(simulator, "contact?external_id=e1").status_code == 500


def test_pages_end_empty_and_the_filter_is_broken() -> None:
    simulator = simulated()
    create(simulator, *[contact(str(number)) for number in range(5)])
    pages = [
        get(simulator, f"contacts?page={page}&page_size=2&address_book_id=9").json()["contacts"] for page in range(1, 5)
    ]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    simulator.set("apptoto.book_filter_works", value=True)
    assert get(simulator, "contacts?address_book_id=9").json()["contacts"] == []


def test_credentials_and_the_forms_of_a_refusal() -> None:
    assert create(simulated(), contact(), auth=("a@b.example", "")).status_code == 401
    assert create(simulated(credential="a@b.example:k"), contact()).status_code == 401
    assert create(simulated(credential="a@b.example:k"), contact(), auth=("a@b.example", "k")).status_code == 200
    broken = {"Authorization": "Basic !!!"}
    assert create(simulated(), contact(), auth=None, headers=broken).status_code == 401
    assert create(simulated(error_body="message"), 7).json() == {"message": "Invalid contact"}
    assert create(simulated(error_body="text"), 7).text == "Invalid contact"
    assert create(simulated(max_batch=1), contact(), contact()).status_code == 413
    both = contact(phone="1", phone_numbers=[{"number": "6505551212"}])
    assert create(simulated(), both).status_code == 200
    assert create(simulated(both_phones="400"), both).status_code == 400
