from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from airflow_provider_contacts.simulator.talkdesk import CODES
from tests.support.simulated import RECORD, At

talkdesk = partial(At, "talkdesk")
TOKEN = {"grant_type": "client_credentials", "scope": "record-lists:manage"}


def record(number: Any = "+351929312319", **more: Any) -> dict[str, Any]:
    numbers = [{"phone_number": number, "phone_type": "MOBILE"}]
    made = {**RECORD, "phone_numbers": numbers, **more}
    return {name: value for name, value in made.items() if value != "absent"}


def errors(answer: Any) -> list[list[str]]:
    assert answer.status_code == 201
    return [one["errors"] for one in answer.json()["_embedded"]["records"]]


CASES = [
    ("PHONE_NUMBER_MISSING", record(phone_numbers=[])),
    ("PHONE_NUMBER_MISSING", record(phone_numbers="absent")),
    ("PHONE_NUMBER_INVALID", record("not a number")),
    ("PHONE_NUMBER_INVALID", record("+35192931231935192931")),
    ("PHONE_NUMBER_INVALID", record(phone_numbers=[{"phone_number": "+351929312319", "phone_type": "mobile"}])),
    ("FIRST_NAME_MISSING", record(first_name="")),
    ("FIRST_NAME_INVALID", record(first_name="é" * 81)),
    ("LAST_NAME_MISSING", record(last_name="absent")),
    ("LAST_NAME_INVALID", record(last_name="x" * 81)),
    ("TIMEZONE_INVALID", record(timezone="Mars/Olympus")),
    ("TIMEZONE_INVALID", record(timezone=None)),
    ("PRIORITY_INVALID", record(priority=11)),
    ("PRIORITY_INVALID", record(priority=0)),
    ("PRIORITY_INVALID", record(priority=True)),
    ("PRIORITY_INVALID", record(priority="7")),
]


@pytest.mark.parametrize(("code", "sent"), CASES)
def test_one_record_has_this_error_and_the_other_is_created(code: str, sent: dict[str, Any]) -> None:
    simulator = talkdesk()
    answer = simulator.create(sent, record("+351 929 312 318", first_name="é" * 80, timezone="GMT", priority=10))
    assert errors(answer) == [[code], []]
    body = answer.json()
    assert (body["has_error"], body["total_errors"], body["total_created"]) == (True, 1, 1)
    assert [("id" in one) for one in body["_embedded"]["records"]] == [False, True]
    assert len(simulator.stored) == 1


def test_the_other_codes_come_from_lists_knobs_and_capacity() -> None:
    simulator = talkdesk(timezone_required=True, timezone_match=True)
    assert errors(simulator.create(record())) == [["TIMEZONE_MISSING"]]
    assert errors(simulator.create(record(timezone="Asia/Tokyo"))) == [["TIMEZONE_UNMATCHED"]]
    fresh = talkdesk(list_capacity=1)
    assert errors(fresh.create(record(), record())) == [[], ["OTHER"]]
    assert errors(fresh.create(record(), record(), place="demo-phone")) == [[], ["PHONE_NUMBER_NOT_UNIQUE"]]
    assert errors(fresh.create(record(), place="demo-external")) == [["EXTERNAL_REF_MISSING"]]
    referred = record(external_provider="crm", external_id="1")
    assert errors(fresh.create(referred, referred, place="demo-external")) == [
        [],
        ["EXTERNAL_ID_AND_PROVIDER_NOT_UNIQUE"],
    ]
    made = {code for code, _ in CASES} | {"TIMEZONE_MISSING", "TIMEZONE_UNMATCHED", "OTHER", "EXTERNAL_REF_MISSING"}
    assert made | {"PHONE_NUMBER_NOT_UNIQUE", "EXTERNAL_ID_AND_PROVIDER_NOT_UNIQUE"} == set(CODES)


def test_a_record_may_have_several_errors_and_total_errors_counts_them_all() -> None:
    simulator = talkdesk()
    answer = simulator.create(record("x", first_name="", priority=99))
    assert errors(answer) == [["PHONE_NUMBER_INVALID", "FIRST_NAME_MISSING", "PRIORITY_INVALID"]]
    assert answer.json()["total_errors"] == 3
    simulator.set(total_errors="records")
    assert simulator.create(record("x", first_name="")).json()["total_errors"] == 1


def test_a_list_of_unique_numbers_refuses_a_second_sending() -> None:
    simulator = talkdesk()
    assert errors(simulator.create(record(), place="demo-phone")) == [[]]
    assert errors(simulator.create(record(), place="demo-phone")) == [["PHONE_NUMBER_NOT_UNIQUE"]]
    assert errors(simulator.create(record(), record())) == [[], []]
    assert simulator.own.count_by_place == {"demo-phone": 1, "demo-list": 2}


def test_a_hundred_and_one_records_are_too_many_and_none_too_few() -> None:
    simulator = talkdesk()
    assert simulator.create(*[record()] * 100).json()["total_created"] == 100
    assert simulator.create(*[record()] * 101).status_code == 400
    simulator.set(oversize_status=413)
    assert simulator.create(*[record()] * 101).status_code == 413
    empty: list[Any] = [[], "text"]
    for none in empty:
        assert simulator.create(json={"records": none}).json()["fields"][0]["name"] == "records"


def test_the_answer_has_every_doubtful_form() -> None:
    def body(**knobs: Any) -> dict[str, Any]:
        return dict(talkdesk(**knobs).create(record(), record("bad")).json())

    assert "_embedded" not in body(embed="none")
    assert len(body(embed="created")["_embedded"]["records"]) == 1
    assert body(embed="failed")["_embedded"]["records"][0]["errors"]
    assert "errors" not in body(created_errors="absent")["_embedded"]["records"][0]
    assert all("id" in one for one in body(id_on_failed=True)["_embedded"]["records"])
    assert body(has_error_key="has_errors")["has_errors"] is True
    assert "has_error" not in body(has_error_key="")
    assert "total_errors" not in body(total_errors="absent")
    assert body()["_embedded"]["records"][0]["priority"] == 11
    simulator = talkdesk(reformat_phones=True)
    shown = simulator.create(record("+351 929-312")).json()["_embedded"]["records"][0]["phone_numbers"]
    assert shown[0]["phone_number"] == "+351929312"


def test_rejection_by_pattern_carries_the_chosen_codes() -> None:
    simulator = talkdesk(reject="last_name~^Trib", reject_codes="OTHER,LAST_NAME_INVALID")
    assert errors(simulator.create(record(), record(last_name="Doe"))) == [["OTHER", "LAST_NAME_INVALID"], []]


def token(simulator: At, **more: Any) -> Any:
    return simulator.ask("POST", "oauth/token", **{"auth": ("id", "secret"), "data": TOKEN, **more})


def test_tokens_expire() -> None:
    now = [0.0]
    simulator = talkdesk(now=lambda: now[0])
    reply = token(simulator).json()
    assert (reply["expires_in"], reply["token_type"], reply["scope"]) == (599, "Bearer", "record-lists:manage")
    headers = {"Authorization": f"Bearer {reply['access_token']}"}
    assert simulator.create(record(), headers=headers).status_code == 201
    now[0] = 598.9
    assert simulator.create(record(), headers=headers).status_code == 201
    now[0] = 599.0
    refused = simulator.create(record(), headers=headers)
    assert (refused.status_code, set(refused.json())) == (401, {"code", "message"})
    again = {"Authorization": f"Bearer {token(simulator).json()['access_token']}"}
    assert simulator.create(record(), headers=again).status_code == 201
    simulator.set(expire_token="next:1")
    assert [simulator.create(record(), headers=again).status_code for _ in range(2)] == [401, 401]


@pytest.mark.parametrize(
    ("request_", "status", "error"),
    [
        ({"auth": None}, 401, "invalid_client"),
        ({"auth": ("id", "")}, 401, "invalid_client"),
        ({"data": {"grant_type": "password"}}, 400, "unsupported_grant_type"),
        ({"data": {"grant_type": "client_credentials", "scope": "other"}}, 401, "invalid_scope"),
        ({"data": None, "json": TOKEN}, 400, "invalid_request"),
    ],
)
def test_the_token_endpoint_refuses(request_: dict[str, Any], status: int, error: str) -> None:
    answer = token(talkdesk(), **request_)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_scope_and_credential_are_checked() -> None:
    simulator = talkdesk(granted_scope="other", credential="id:secret")
    assert token(simulator, auth=("id", "wrong")).status_code == 401
    word = token(simulator, data={"grant_type": "client_credentials"}).json()["access_token"]
    assert simulator.create(record(), headers={"Authorization": f"Bearer {word}"}).status_code == 403
    assert simulator.read("record-lists", headers={"Authorization": f"Bearer {word}"}).status_code == 403
    simulator.set(write_scope="other", read_scope="other")
    assert simulator.create(record(), headers={"Authorization": f"Bearer {word}"}).status_code == 201
    assert simulator.read("record-lists", headers={"Authorization": f"Bearer {word}"}).status_code == 200
    assert simulator.create(record(), headers={"Authorization": word}).status_code == 401
    simulator.set(ready_tokens="none")
    assert simulator.create(record()).status_code == 401


def test_lists_and_records_are_read_page_by_page() -> None:
    simulator = talkdesk()
    simulator.create(*[record(first_name=f"N{number}") for number in range(100)])
    simulator.create(*[record(first_name=f"N{number}") for number in range(100, 120)])
    names: list[str] = []
    path, pages = "record-lists/demo-list/records", 0
    while path:
        page = simulator.read(path).json()
        names += [one["first_name"] for one in page["_embedded"]["records"]]
        path = page["_links"].get("next", {}).get("href", "").removeprefix("http://simulator/talkdesk/")
        pages += 1
    assert (pages, page["total_pages"]) == (3, 3)
    assert names == [f"N{number}" for number in range(120)]
    shown = simulator.read("record-lists/demo-list").json()
    assert (shown["records_count"], shown["unique_identifier_type"]) == (120, "NOTHING")
    lists = simulator.read("record-lists").json()["_embedded"]["record_lists"]
    assert [one["id"] for one in lists] == ["demo-list", "demo-phone", "demo-external"]


def test_a_full_list_may_refuse_the_whole_request() -> None:
    simulator = talkdesk(list_capacity=2, full_list="409")
    assert simulator.create(*[record()] * 3).status_code == 409
    assert simulator.stored == []
