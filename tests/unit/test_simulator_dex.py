from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.support.simulated import BEARER, At

ID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
dex = partial(At, "dex")


def post(simulator: At, path: str, body: Any) -> Any:
    return simulator.ask("POST", f"v1/{path}", **BEARER, json=body).json()


def test_a_contact_comes_back_with_21_fields_and_no_email() -> None:
    sent = {
        "first_name": "Ann",
        "last_name": "Lee",
        "linkedin": "https://www.linkedin.com/in/annlee/",
        "contact_emails": [{"email": "ann@example.com"}],
    }
    simulator = dex()
    body = simulator.create(sent).json()
    [contact] = body["data"]["contacts"]
    assert body["error"] is False
    assert len(contact) == 21
    assert (contact["full_name"], contact["linkedin"], contact["company"]) == ("Ann Lee", "annlee", None)
    assert simulator.stored[0] == sent
    kept = dex(linkedin_handle=False).create(sent).json()["data"]["contacts"][0]
    assert kept["linkedin"] == sent["linkedin"]


@pytest.mark.parametrize(
    ("form", "status", "error", "returned", "stored"),
    [("400", 400, True, 0, 0), ("flag", 200, True, 0, 0), ("flag_stored", 200, True, 2, 2),
     ("left_out", 200, False, 2, 2)],
)  # fmt: skip
def test_the_ways_to_say_no(form: str, status: int, returned: int, stored: int, *, error: bool) -> None:
    simulator = dex(reject="full_name~bad", reject_form=form)
    answer = simulator.create({"full_name": "A"}, {"full_name": "bad"}, {"full_name": "B"})
    body = answer.json()
    assert (answer.status_code, body["error"]) == (status, error)
    assert len(body.get("data", {}).get("contacts", [])) == returned
    assert len(simulator.stored) == stored


def test_a_refused_batch_may_have_stored_a_part() -> None:
    simulator = dex(reject="full_name~bad", atomic=False)
    assert simulator.create({"full_name": "A"}, {"full_name": "bad"}, {"full_name": "B"}).status_code == 400
    assert [one["full_name"] for one in simulator.stored] == ["A"]


def test_the_flag_may_lie() -> None:
    simulator = dex(error_flag="nth:1", error_flag_stored="nth:2")
    first, second = simulator.create({"full_name": "A"}).json(), simulator.create({"full_name": "A"}).json()
    assert (first["error"], first["data"]["contacts"]) == (True, [])
    assert (second["error"], len(second["data"]["contacts"]), len(simulator.stored)) == (True, 1, 1)
    assert dex(error_value="text").create({}).json()["error"] == "false"
    assert dex(error_value="null").create({}).json()["error"] is None
    assert "error" not in dex(error_value="absent").create({}).json()


def test_client_ids() -> None:
    contact = {"id": ID, "full_name": "A"}

    def twice(**knobs: Any) -> tuple[list[int], list[str], int]:
        simulator = dex(**knobs)
        answers = [simulator.create(contact) for _ in range(2)]
        ids = [one["id"] for answer in answers for one in answer.json().get("data", {}).get("contacts", [])]
        return [answer.status_code for answer in answers], ids, len(simulator.stored)

    assert twice() == ([200, 409], [ID], 1)
    assert twice(known_id="existing") == ([200, 200], [ID, ID], 1)
    assert twice(known_id="duplicate") == ([200, 200], [ID, ID], 2)
    statuses, ids, stored = twice(client_ids="ignore")
    assert (statuses, ID in ids, stored) == ([200, 200], False, 2)


def test_limits_and_credentials() -> None:
    assert dex().create(*[{}] * 101).status_code == 400
    assert dex(max_batch=0).create(*[{}] * 101).status_code == 200
    assert dex(empty_contact="refuse").create({}).status_code == 400
    assert dex().create(json={"contacts": []}).status_code == 400
    assert dex().create({}, headers={"Authorization": "Bearer other"}).status_code == 401
    assert dex(credential="dex_1").create({}).status_code == 401
    text = dex(error_body="text").create({}, headers={})
    assert (text.status_code, text.text) == (401, "Unauthorized")


def test_a_look_up_by_emails_creates_when_its_switches_say_so() -> None:
    simulator = dex()
    simulator.create({"full_name": "A", "contact_emails": [{"email": "A@x.example"}]})
    wanted = {"emails": ["a@x.example", "new@x.example"]}
    off = {"createFromGoogleContacts": False, "createFromOAuthInteractions": False}
    assert [one["full_name"] for one in post(simulator, "contacts/by-emails", {**wanted, **off})["data"]] == ["A"]
    assert len(simulator.stored) == 1
    assert len(post(simulator, "contacts/by-emails", {**wanted, "createFromGoogleContacts": True})["data"]) == 2
    assert len(simulator.stored) == 2
    simulator.set(by_emails_shape="map", by_emails_creates=True)
    assert post(simulator, "contacts/by-emails", {"emails": ["third@x.example"]})["data"].keys() == {"third@x.example"}
    assert len(simulator.stored) == 3


def test_pages_follow_the_cursor_alone() -> None:
    simulator = dex(page_size=2)
    simulator.create(*[{"full_name": str(number)} for number in range(5)])
    assert len(simulator.read("v1/contacts?limit=1&offset=4&page=2").json()["data"]["items"]) == 2
    names, cursor = [], ""
    while cursor is not None:
        data = simulator.read(f"v1/contacts?cursor={cursor}").json()["data"]
        names += [one["full_name"] for one in data["items"]]
        cursor = data["nextCursor"]
    assert names == ["0", "1", "2", "3", "4"]
    simulator.set(endless_cursor=True, page_key="contacts")
    assert simulator.read("v1/contacts?cursor=c4").json()["data"]["nextCursor"] == "c0"


def test_single_reads() -> None:
    simulator = dex()
    [first] = simulator.create({"full_name": "A"}).json()["data"]["contacts"]
    assert simulator.read(f"v1/contacts/{first['id']}").json()["data"]["full_name"] == "A"
    assert simulator.read(f"v1/contacts/{ID}").json()["error"] is True
    simulator.set(one_shape="contact")
    assert simulator.read(f"v1/contacts/{first['id']}").json()["data"]["contact"]["full_name"] == "A"
    assert simulator.read("v1/users/me").json()["data"]["plan"] == "professional"
