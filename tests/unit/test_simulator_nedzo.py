from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from airflow_provider_contacts.simulator.nedzo import DEMO_LIST
from tests.support.simulated import At

ANN = {"email": "ann@example.com", "first_name": "Ann", "phone": None, "dnc": True}
UNKNOWN = "00000000-0000-4000-8000-000000000000"
nedzo = partial(At, "nedzo")


def test_a_contact_comes_back_with_its_id() -> None:
    simulator = nedzo()
    body = simulator.create({**ANN, "contact_list_id": DEMO_LIST}).json()
    contact = body["data"]["contact"]
    assert body["status_code"] == 200
    assert (contact["email"], contact["dnc"], contact["status"]) == ("ann@example.com", True, "Waiting")
    assert simulator.own.by_id[contact["id"]].place == DEMO_LIST


def test_the_email_is_the_only_required_field() -> None:
    assert nedzo().create({"email": "a@b.example"}).status_code == 200
    assert nedzo().create({"phone": "+4930123456"}).json()["detail"][0]["type"] == "missing"


def test_a_list_must_exist_unless_told_otherwise() -> None:
    contact = {**ANN, "contact_list_id": UNKNOWN}
    assert nedzo().create(contact).status_code == 404
    assert nedzo(unknown_list="422").create(contact).status_code == 422
    assert nedzo(unknown_list="accept").create(contact).status_code == 200


@pytest.mark.parametrize(
    ("knobs", "status", "code", "contact", "stored"),
    [({"body_status_code": "422"}, 200, 422, True, 1), ({"body_status_code": "500"}, 200, 500, True, 1),
     ({"body_status_code": "created"}, 200, "created", True, 1), ({"body_status_only": "429"}, 200, 429, False, 0),
     ({"body_status_only": "401"}, 200, 401, False, 0), ({"data_null": "always"}, 200, 200, False, 1),
     ({"data_without_contact": "always"}, 200, 200, False, 1), ({"success_status": 201}, 201, 201, True, 1)],
)  # fmt: skip
def test_the_second_status_may_contradict(
    knobs: dict[str, Any], status: int, code: Any, stored: int, *, contact: bool
) -> None:
    simulator = nedzo(**knobs)
    answer = simulator.create(ANN)
    body = answer.json()
    assert (answer.status_code, body["status_code"]) == (status, code)
    assert bool((body["data"] or {}).get("contact")) is contact
    assert len(simulator.stored) == stored


def test_the_contact_may_be_without_id_or_another_one() -> None:
    assert "id" not in nedzo(no_id="always").create(ANN).json()["data"]["contact"]
    assert nedzo(other_contact="always").create(ANN).json()["data"]["contact"]["email"] != ANN["email"]
    assert "status_code" not in nedzo(body_status_code="none").create(ANN).json()


def test_duplicates() -> None:
    simulator = nedzo()
    assert [simulator.create(ANN).status_code for _ in range(2)] == [200, 200]
    assert simulator.own.duplicates("email") == {"ann@example.com": 2}
    simulator = nedzo(duplicates="409")
    assert [simulator.create(ANN).status_code for _ in range(2)] == [200, 409]
    simulator = nedzo(duplicates="existing")
    assert len({simulator.create(ANN).json()["data"]["contact"]["id"] for _ in range(2)}) == 1


def test_refusals_have_every_form() -> None:
    contact = {"email": "nobody"}
    inside = nedzo(refusals_in_200=True).create(contact)
    assert (inside.status_code, inside.json()["status_code"], inside.json()["data"]) == (200, 422, None)
    own = nedzo(error_form="envelope").create(contact)
    assert (own.status_code, own.json()["status_code"]) == (422, 422)
    problem = nedzo(error_form="problem").create(contact)
    assert problem.json().keys() == {"type", "title", "status", "detail"}
    assert nedzo().create(ANN, headers={}).json()["detail"] == "Invalid or missing API key"
    assert nedzo(credential="sk_live_1").create(ANN).status_code == 401
    assert nedzo(reject="email~^ann", reject_status=409).create(ANN).status_code == 409
    assert nedzo(served=False).create(ANN).status_code == 404


def test_a_key_can_be_tried() -> None:
    assert nedzo().read("v1/workspaces").json()[0]["name"] == "Demo"
    assert nedzo(new_reads=False).read("v1/workspaces").status_code == 404
