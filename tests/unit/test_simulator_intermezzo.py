from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.support.simulated import BEARER, At

GOOD = {"name": "Ann Lee", "email": "Ann@example.com", "phone": {"phoneNumber": "+49 30 12345", "phoneType": "mobile"}}
BAD = {"name": "Bad Number", "phone": {"phoneNumber": "call me", "phoneType": "mobile"}}


intermezzo = partial(At, "intermezzo")


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
    simulator = intermezzo(mode=mode)
    contacts = [{**(BAD if number in {1, 3} else GOOD), "name": str(number)} for number in range(5)]
    body = simulator.create(*contacts).json()
    assert counters(body) == counts
    assert [one["name"] for one in simulator.stored] == stored
    assert [one["name"] for one in body["data"]] == stored
    assert [one["inputIndex"] for one in body["errors"]] == indices
    assert body["errors"][0]["errors"][0].keys() == {"code", "message", "field", "params"}


def test_the_form_of_errors_and_lists() -> None:
    body = intermezzo(index_base=1, reject="name~^Ann", reject_codes="X1,X2", split_errors=True).create(GOOD).json()
    assert [(one["inputIndex"], [error["code"] for error in one["errors"]]) for one in body["errors"]] == [
        (1, ["X1"]),
        (1, ["X2"]),
    ]
    assert "errors" not in intermezzo(omit_empty=True).create(GOOD).json()
    assert intermezzo(success_status=207).create(GOOD).status_code == 207
    guide = intermezzo(error_form="guide").create(GOOD, {"name": 7}).json()
    assert (guide["error"], guide["details"]["field"]) == ("validation_error", "1.name")
    shown = intermezzo(normalise=True).create(GOOD).json()["data"][0]
    assert (shown["email"], shown["phone"]["phoneNumber"]) == ("ann@example.com", "+493012345")


def test_knobs_refuse_what_is_not_known_to_be_refused() -> None:
    assert intermezzo().create({**GOOD, "x": 1}, {"name": "A", "email": None, "phone": None}).json()["succeeded"] == 2
    assert intermezzo(unknown_fields="refuse").create({**GOOD, "x": 1}).status_code == 422
    assert intermezzo(null_phone=False).create({"name": "A", "phone": None}).status_code == 422
    assert intermezzo(max_batch=1).create(GOOD, GOOD).status_code == 413
    assert intermezzo().create(json=[]).json()["total"] == 0
    assert intermezzo(empty_array="refuse").create(json=[]).status_code == 422
    assert intermezzo(duplicates="reject", mode="partial").create(GOOD, GOOD).json()["failed"] == 1
    assert intermezzo(phones="any").create(BAD).json()["succeeded"] == 1
    british = {"name": "A", "phone": {"phoneNumber": "+447911123456", "phoneType": "mobile"}}
    assert intermezzo(phones="german").create(british).json()["failed"] == 1


def test_an_object_is_not_a_list_and_bad_json_gives_a_position() -> None:
    assert intermezzo().create(json=GOOD).json()["detail"][0]["loc"] == ["body"]
    typed = {**BEARER["headers"], "Content-Type": "application/json"}
    broken = intermezzo().create(json=None, headers=typed, content=b"[1,,]")
    assert broken.json()["detail"][0]["loc"] == ["body", 3]


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
    simulator = intermezzo(token_life=30)
    answer = simulator.ask("POST", "oauth/token", json={**TOKEN, **change})
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["expires_in"] == 30
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        assert simulator.create(GOOD, headers=headers).status_code == 200
        simulator.own.reset()
        assert simulator.create(GOOD, headers=headers).status_code == 401


def test_the_token_request_may_be_a_form_and_name_no_audience() -> None:
    nowhere = {name: value for name, value in TOKEN.items() if name != "audience"}
    assert [intermezzo(audience=one).ask("POST", "oauth/token", json=nowhere).status_code for one in ("", "x")] == [
        200,
        403,
    ]
    assert intermezzo().ask("POST", "oauth/token", data=TOKEN).status_code == 400
    for encoding in ("any", "form"):
        assert intermezzo(token_body=encoding).ask("POST", "oauth/token", data=TOKEN).status_code == 200
    assert intermezzo(token_body="form").ask("POST", "oauth/token", json=TOKEN).status_code == 400
    told = intermezzo(expires_in="none")
    assert "expires_in" not in told.ask("POST", "oauth/token", json=TOKEN).json()


def test_a_missing_token_may_be_a_403() -> None:
    assert intermezzo().create(GOOD, headers={}).status_code == 401
    assert intermezzo(missing_token_status=403).create(GOOD, headers={}).status_code == 403


def test_an_organization_shows_its_contacts() -> None:
    simulator = intermezzo()
    simulator.create(GOOD, {"name": "B"})

    shown = simulator.read("organizations/org_demo").json()
    assert [one["name"] for one in shown["contacts"]] == ["Ann Lee", "B"]
    simulator.set(contacts_in_organization=False)
    assert "contacts" not in simulator.read("organizations/org_demo").json()


def test_organizations_are_read_page_by_page() -> None:
    simulator = intermezzo(organizations="org_a=A,org_b=B", paging="items")
    page = simulator.read("organizations?size=1&page=2").json()
    assert [one["name"] for one in page["items"]] == ["B"]
    assert (page["meta"]["has_next"], page["meta"]["pages"]) == (False, 2)
    assert simulator.read("organizations?size=101").status_code == 422
