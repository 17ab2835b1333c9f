from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from airflow_provider_contacts.simulator.nedzo import DEMO_LIST
from tests.support import simulated as support

ANN = {"email": "ann@example.com", "first_name": "Ann", "phone": None, "dnc": True}
UNKNOWN = "00000000-0000-4000-8000-000000000000"
simulated = partial(support.simulated, "nedzo")


def create(simulator: Any, contact: Any = ANN, **more: Any) -> Any:
    return support.create(simulator, "nedzo", contact, **more)


def test_a_contact_comes_back_with_its_id() -> None:
    simulator = simulated()
    body = create(simulator, {**ANN, "contact_list_id": DEMO_LIST}).json()
    contact = body["data"]["contact"]
    assert body["status_code"] == 200
    assert (contact["email"], contact["dnc"], contact["status"]) == ("ann@example.com", True, "Waiting")
    assert simulator.nedzo.by_id[contact["id"]].place == DEMO_LIST


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": None}, "email"),
        ({"first_name": 7}, "first_name"),
        ({"contact_list_id": "7"}, "contact_list_id"),
        ({"dnc": "yes"}, "dnc"),
        ({"custom_fields": {"a": "b"}}, "custom_fields"),
        ({"custom_fields": [{"custom_field_id": DEMO_LIST, "value": 7}]}, "custom_fields"),
        ({"custom_fields": [{"value": "x"}]}, "custom_fields"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], field: str) -> None:
    simulator = simulated()
    answer = create(simulator, {**ANN, **change})
    assert (answer.status_code, answer.json()["detail"][0]["loc"][:2]) == (422, ["body", field])
    assert simulator.nedzo.stored == []


def test_the_email_is_the_only_required_field() -> None:
    assert create(simulated(), {"email": "a@b.example"}).status_code == 200
    assert create(simulated(), {"phone": "+4930123456"}).json()["detail"][0]["type"] == "missing"


def test_a_list_must_exist_unless_told_otherwise() -> None:
    contact = {**ANN, "contact_list_id": UNKNOWN}
    assert create(simulated(), contact).status_code == 404
    assert create(simulated(unknown_list="422"), contact).status_code == 422
    assert create(simulated(unknown_list="accept"), contact).status_code == 200


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
    simulator = simulated(**knobs)
    answer = create(simulator)
    body = answer.json()
    assert (answer.status_code, body["status_code"]) == (status, code)
    assert bool((body["data"] or {}).get("contact")) is contact
    assert len(simulator.nedzo.stored) == stored


def test_the_contact_may_be_without_id_or_another_one() -> None:
    assert "id" not in create(simulated(no_id="always")).json()["data"]["contact"]
    assert create(simulated(other_contact="always")).json()["data"]["contact"]["email"] != ANN["email"]
    assert "status_code" not in create(simulated(body_status_code="none")).json()


def test_duplicates() -> None:
    simulator = simulated()
    assert [create(simulator).status_code for _ in range(2)] == [200, 200]
    assert simulator.nedzo.duplicates("email") == {"ann@example.com": 2}
    simulator = simulated(duplicates="409")
    assert [create(simulator).status_code for _ in range(2)] == [200, 409]
    simulator = simulated(duplicates="existing")
    assert len({create(simulator).json()["data"]["contact"]["id"] for _ in range(2)}) == 1


def test_refusals_have_every_form() -> None:
    contact = {"email": "nobody"}
    inside = create(simulated(refusals_in_200=True), contact)
    assert (inside.status_code, inside.json()["status_code"], inside.json()["data"]) == (200, 422, None)
    own = create(simulated(error_form="envelope"), contact)
    assert (own.status_code, own.json()["status_code"]) == (422, 422)
    problem = create(simulated(error_form="problem"), contact)
    assert problem.json().keys() == {"type", "title", "status", "detail"}
    assert create(simulated(), headers={}).json()["detail"] == "Invalid or missing API key"
    assert create(simulated(credential="sk_live_1")).status_code == 401
    assert create(simulated(reject="email~^ann", reject_status=409)).status_code == 409
    assert create(simulated(served=False)).status_code == 404


def test_the_reads_of_both_generations() -> None:
    simulator = simulated()
    for number in range(25):
        create(simulator, {"email": f"{number}@b.example", "contact_list_id": DEMO_LIST})

    def read(path: str) -> Any:
        return support.read(simulator, "nedzo", f"v1/{path}")

    assert len(read("contacts").json()) == 20
    assert [one["email"] for one in read("contacts?limit=2&offset=3").json()] == ["3@b.example", "4@b.example"]
    id_ = read("contacts").json()[0]["id"]
    assert read(f"contacts/{id_}").json()["email"] == "0@b.example"
    assert read(f"contacts/{UNKNOWN}").status_code == 404
    assert (read("contact/").status_code, read(f"contact/{id_}").status_code) == (405, 404)
    simulator.update({"nedzo.contact_reads": True, "nedzo.new_reads": False})
    assert len(read("contact/?limit=30").json()) == 25
    assert read(f"contact/{id_}").json()["data"]["contact"]["email"] == "0@b.example"
    assert read("workspaces").status_code == 404
