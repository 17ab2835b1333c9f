from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.support import simulated as support

ID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
simulated = partial(support.simulated, "dex")


def create(simulator: Any, *contacts: Any, **more: Any) -> Any:
    return support.create(simulator, "dex", *contacts, **more)


def get(simulator: Any, path: str) -> Any:
    return support.read(simulator, "dex", f"v1/{path}").json()


def post(simulator: Any, path: str, body: Any) -> Any:
    return support.ask(simulator, "POST", f"/dex/v1/{path}", **support.BEARER, json=body).json()


def test_a_contact_comes_back_with_21_fields_and_no_email() -> None:
    sent = {
        "first_name": "Ann",
        "last_name": "Lee",
        "linkedin": "https://www.linkedin.com/in/annlee/",
        "contact_emails": [{"email": "ann@example.com"}],
    }
    simulator = simulated()
    body = create(simulator, sent).json()
    [contact] = body["data"]["contacts"]
    assert body["error"] is False
    assert len(contact) == 21
    assert (contact["full_name"], contact["linkedin"], contact["company"]) == ("Ann Lee", "annlee", None)
    assert simulator.dex.stored[0].received == sent
    kept = create(simulated(linkedin_handle=False), sent).json()["data"]["contacts"][0]
    assert kept["linkedin"] == sent["linkedin"]


@pytest.mark.parametrize(
    "contact",
    [7, {"id": None}, {"id": "x"}, {"full_name": 7}, {"starred": "yes"}, {"birthday": "2000-01-01T00:00:00Z"},
     {"birthday": 7}, {"tags_contacts": {"append": []}}, {"contact_emails": ["a@b.example"]}],
)  # fmt: skip
def test_a_wrong_shape_refuses_the_batch(contact: Any) -> None:
    simulator = simulated()
    answer = create(simulator, {"full_name": "Good"}, contact)
    assert (answer.status_code, answer.json()) == (400, {"error": True, "message": "Invalid contact"})
    assert simulator.dex.stored == []
    assert "contacts[1]" in create(simulated(name_culprit=True), {"full_name": "Good"}, contact).text


@pytest.mark.parametrize(
    ("form", "status", "error", "returned", "stored"),
    [("400", 400, True, 0, 0), ("flag", 200, True, 0, 0), ("flag_stored", 200, True, 2, 2),
     ("left_out", 200, False, 2, 2)],
)  # fmt: skip
def test_the_ways_to_say_no(form: str, status: int, returned: int, stored: int, *, error: bool) -> None:
    simulator = simulated(reject="full_name~bad", reject_form=form)
    answer = create(simulator, {"full_name": "A"}, {"full_name": "bad"}, {"full_name": "B"})
    body = answer.json()
    assert (answer.status_code, body["error"]) == (status, error)
    assert len(body.get("data", {}).get("contacts", [])) == returned
    assert len(simulator.dex.stored) == stored


def test_a_refused_batch_may_have_stored_a_part() -> None:
    simulator = simulated(reject="full_name~bad", atomic=False)
    assert create(simulator, {"full_name": "A"}, {"full_name": "bad"}, {"full_name": "B"}).status_code == 400
    assert [one.received["full_name"] for one in simulator.dex.stored] == ["A"]


def test_the_flag_may_lie() -> None:
    simulator = simulated(error_flag="nth:1", error_flag_stored="nth:2")
    first, second = create(simulator, {"full_name": "A"}).json(), create(simulator, {"full_name": "A"}).json()
    assert (first["error"], first["data"]["contacts"]) == (True, [])
    assert (second["error"], len(second["data"]["contacts"]), len(simulator.dex.stored)) == (True, 1, 1)
    assert create(simulated(error_value="text"), {}).json()["error"] == "false"
    assert create(simulated(error_value="null"), {}).json()["error"] is None
    assert "error" not in create(simulated(error_value="absent"), {}).json()


def test_client_ids() -> None:
    contact = {"id": ID, "full_name": "A"}

    def twice(**knobs: Any) -> tuple[list[int], list[str], int]:
        simulator = simulated(**knobs)
        answers = [create(simulator, contact) for _ in range(2)]
        ids = [one["id"] for answer in answers for one in answer.json().get("data", {}).get("contacts", [])]
        return [answer.status_code for answer in answers], ids, len(simulator.dex.stored)

    assert twice() == ([200, 409], [ID], 1)
    assert twice(known_id="existing") == ([200, 200], [ID, ID], 1)
    assert twice(known_id="duplicate") == ([200, 200], [ID, ID], 2)
    statuses, ids, stored = twice(client_ids="ignore")
    assert (statuses, ID in ids, stored) == ([200, 200], False, 2)


def test_limits_and_credentials() -> None:
    assert create(simulated(), *[{}] * 101).status_code == 400
    assert create(simulated(max_batch=0), *[{}] * 101).status_code == 200
    assert create(simulated(empty_contact="refuse"), {}).status_code == 400
    assert create(simulated(), json={"contacts": []}).status_code == 400
    assert create(simulated(), {}, headers={"Authorization": "Bearer other"}).status_code == 401
    assert create(simulated(credential="dex_1"), {}).status_code == 401
    text = create(simulated(error_body="text"), {}, headers={})
    assert (text.status_code, text.text) == (401, "Unauthorized")


def test_a_look_up_by_emails_creates_when_its_switches_say_so() -> None:
    simulator = simulated()
    create(simulator, {"full_name": "A", "contact_emails": [{"email": "A@x.example"}]})
    wanted = {"emails": ["a@x.example", "new@x.example"]}
    off = {"createFromGoogleContacts": False, "createFromOAuthInteractions": False}
    assert [one["full_name"] for one in post(simulator, "contacts/by-emails", {**wanted, **off})["data"]] == ["A"]
    assert len(simulator.dex.stored) == 1
    assert len(post(simulator, "contacts/by-emails", {**wanted, "createFromGoogleContacts": True})["data"]) == 2
    assert len(simulator.dex.stored) == 2
    simulator.update({"dex.by_emails_shape": "map", "dex.by_emails_creates": True})
    assert post(simulator, "contacts/by-emails", {"emails": ["third@x.example"]})["data"].keys() == {"third@x.example"}
    assert len(simulator.dex.stored) == 3


def test_pages_follow_the_cursor_alone() -> None:
    simulator = simulated(page_size=2)
    create(simulator, *[{"full_name": str(number)} for number in range(5)])
    assert len(get(simulator, "contacts?limit=1&offset=4&page=2&take=1")["data"]["items"]) == 2
    names, cursor = [], ""
    while cursor is not None:
        data = get(simulator, f"contacts?cursor={cursor}")["data"]
        names += [one["full_name"] for one in data["items"]]
        cursor = data["nextCursor"]
    assert names == ["0", "1", "2", "3", "4"]
    simulator.update({"dex.endless_cursor": True, "dex.page_key": "contacts"})
    assert get(simulator, "contacts?cursor=c4")["data"]["nextCursor"] == "c0"
    simulator.update({"dex.endless_cursor": False, "dex.honours_take": True})
    assert len(get(simulator, "contacts?take=1")["data"]["contacts"]) == 1


def test_filters_and_single_reads() -> None:
    simulator = simulated()
    first, second = create(simulator, {"full_name": "A"}, {}).json()["data"]["contacts"]
    by_id = post(simulator, "contacts/filter", {"where": {"in": [second["id"]]}})
    assert [one["id"] for one in by_id["data"]["items"]] == [second["id"]]
    named = post(simulator, "contacts/filter", {"where": {"has_name": True, "has_created_at": {"gte": "2000-01-01"}}})
    assert [one["id"] for one in named["data"]["items"]] == [first["id"]]
    old = post(simulator, "contacts/filter", {"where": {"has_created_at": {"lte": "2000-01-01"}}})
    assert old["data"]["items"] == []
    assert get(simulator, f"contacts/{first['id']}")["data"]["full_name"] == "A"
    assert get(simulator, f"contacts/{ID}")["error"] is True
    simulator.set("dex.one_shape", "contact")
    assert get(simulator, f"contacts/{first['id']}")["data"]["contact"]["full_name"] == "A"
    assert get(simulator, "users/me")["data"]["plan"] == "professional"
