from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.support import simulated as support
from tests.support.simulated import BEARER, ask

GOOD = {"name": "Ann Lee", "email": "Ann@example.com", "phone": {"phoneNumber": "+49 30 12345", "phoneType": "mobile"}}
BAD = {"name": "Bad Number", "phone": {"phoneNumber": "call me", "phoneType": "mobile"}}


simulated = partial(support.simulated, "intermezzo")


def create(simulator: Any, *contacts: Any, **more: Any) -> Any:
    return support.create(simulator, "intermezzo", **{"json": list(contacts), **more})


def counters(body: dict[str, Any]) -> tuple[int, int, int, int]:
    return body["total"], body["succeeded"], body["failed"], body["unprocessed"]


@pytest.mark.parametrize(
    ("mode", "counts", "stored", "indices"),
    [
        ("all_or_nothing", (5, 0, 2, 3), [], [1, 3]),
        ("stop_at_first", (5, 1, 1, 3), ["0"], [1]),
        ("partial", (5, 3, 2, 0), ["0", "2", "4"], [1, 3]),
    ],
)
def test_the_three_servers(mode: str, counts: tuple[int, ...], stored: list[str], indices: list[int]) -> None:
    simulator = simulated(mode=mode)
    contacts = [{**(BAD if number in {1, 3} else GOOD), "name": str(number)} for number in range(5)]
    body = create(simulator, *contacts).json()
    assert counters(body) == counts
    assert [one.received["name"] for one in simulator.intermezzo.stored] == stored
    assert [one["name"] for one in body["data"]] == stored
    assert [one["inputIndex"] for one in body["errors"]] == indices
    assert body["errors"][0]["errors"][0].keys() == {"code", "message", "field", "params"}


def test_the_form_of_errors_and_lists() -> None:
    body = create(simulated(index_base=1, reject="name~^Ann", reject_codes="X1,X2", split_errors=True), GOOD).json()
    assert [(one["inputIndex"], [error["code"] for error in one["errors"]]) for one in body["errors"]] == [
        (1, ["X1"]),
        (1, ["X2"]),
    ]
    assert "errors" not in create(simulated(omit_empty=True), GOOD).json()
    assert create(simulated(success_status=207), GOOD).status_code == 207
    shown = create(simulated(normalise=True), GOOD).json()["data"][0]
    assert (shown["email"], shown["phone"]["phoneNumber"]) == ("ann@example.com", "+493012345")


@pytest.mark.parametrize(
    ("contact", "loc"),
    [
        ({}, ["body", 1, "name"]),
        ({"name": 7}, ["body", 1, "name"]),
        ({"name": "A", "email": "nobody"}, ["body", 1, "email"]),
        ({"name": "A", "roles": "x"}, ["body", 1, "roles"]),
        ({"name": "A", "phone": "1"}, ["body", 1, "phone"]),
        ({"name": "A", "phone": {"phoneNumber": 1, "phoneType": "mobile"}}, ["body", 1, "phone", "phoneNumber"]),
        ({"name": "A", "phone": {"phoneNumber": "1", "phoneType": "home"}}, ["body", 1, "phone", "phoneType"]),
        (7, ["body", 1]),
    ],
)
def test_a_wrong_shape_refuses_the_request_and_names_the_index(contact: Any, loc: list[Any]) -> None:
    simulator = simulated(mode="partial")
    answer = create(simulator, GOOD, contact)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, loc)
    assert simulator.intermezzo.stored == []
    simulator.set("intermezzo.error_form", "guide")
    other = create(simulator, GOOD, contact).json()
    assert (other["error"], other["details"]["field"]) == ("validation_error", ".".join(map(str, loc[1:])))


def test_knobs_refuse_what_is_not_known_to_be_refused() -> None:
    assert create(simulated(), {**GOOD, "x": 1}, {"name": "A", "email": None, "phone": None}).json()["succeeded"] == 2
    assert create(simulated(unknown_fields="refuse"), {**GOOD, "x": 1}).status_code == 422
    assert create(simulated(null_phone=False), {"name": "A", "phone": None}).status_code == 422
    assert create(simulated(max_batch=1), GOOD, GOOD).status_code == 413
    assert create(simulated()).json()["total"] == 0
    assert create(simulated(empty_array="refuse")).status_code == 422
    assert create(simulated(duplicates="reject", mode="partial"), GOOD, GOOD).json()["failed"] == 1
    assert create(simulated(phones="any"), BAD).json()["succeeded"] == 1
    british = {"name": "A", "phone": {"phoneNumber": "+447911123456", "phoneType": "mobile"}}
    assert create(simulated(phones="german"), british).json()["failed"] == 1


def test_an_object_is_not_a_list_and_bad_json_gives_a_position() -> None:
    assert create(simulated(), json=GOOD).json()["detail"][0]["loc"] == ["body"]
    typed = {**BEARER["headers"], "Content-Type": "application/json"}
    broken = create(simulated(), json=None, headers=typed, content=b"[1,,]")
    assert broken.json()["detail"][0]["loc"] == ["body", 3]


def test_an_unknown_organization_is_not_found() -> None:
    simulator = simulated()
    assert create(simulator, GOOD, place="org_other").status_code == 404
    simulator.set("intermezzo.organizations", "org_other")
    assert create(simulator, GOOD, place="org_other").status_code == 200


TOKEN = {
    "client_id": "id",
    "client_secret": "secret",
    "audience": "https://api.intermezzo.ai",
    "grant_type": "client_credentials",
}


@pytest.mark.parametrize(
    ("change", "status"),
    [({}, 200), ({"client_secret": ""}, 401), ({"audience": "https://preview.intermezzo.ai"}, 403),
     ({"grant_type": "password"}, 403)],
)  # fmt: skip
def test_the_token_endpoint(change: dict[str, str], status: int) -> None:
    simulator = simulated(token_life=30)
    answer = ask(simulator, "POST", "/intermezzo/oauth/token", json={**TOKEN, **change})
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["expires_in"] == 30
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        assert create(simulator, GOOD, headers=headers).status_code == 200
        simulator.reset()
        assert create(simulator, GOOD, headers=headers).status_code == 401


def test_the_token_request_may_be_a_form() -> None:
    assert ask(simulated(), "POST", "/intermezzo/oauth/token", data=TOKEN).status_code == 400
    assert ask(simulated(token_body="any"), "POST", "/intermezzo/oauth/token", data=TOKEN).status_code == 200
    told = simulated(expires_in="none")
    assert "expires_in" not in ask(told, "POST", "/intermezzo/oauth/token", json=TOKEN).json()


def test_a_missing_token_may_be_a_403() -> None:
    assert create(simulated(), GOOD, headers={}).status_code == 401
    assert create(simulated(missing_token_status=403), GOOD, headers={}).status_code == 403


def test_an_organization_shows_its_contacts() -> None:
    simulator = simulated()
    create(simulator, GOOD, {"name": "B"})

    def read(path: str = "") -> Any:
        return support.read(simulator, "intermezzo", f"organizations/org_demo{path}")

    assert [one["name"] for one in read().json()["contacts"]] == ["Ann Lee", "B"]
    assert read("/contacts").status_code == 404
    simulator.update({"intermezzo.contacts_endpoint": True, "intermezzo.contacts_in_organization": False})
    assert "contacts" not in read().json()
    assert len(read("/contacts").json()) == 2
    simulator.set("intermezzo.paging", "items")
    page = read("/contacts?size=1&page=2").json()
    assert ([one["name"] for one in page["items"]], page["meta"]["has_next"], page["meta"]["pages"]) == (
        ["B"],
        False,
        2,
    )
    assert read("/contacts?size=101").status_code == 422
