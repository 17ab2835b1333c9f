"""Nedzo: its record, its addresses, and what its answers prove."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.vendor_kit.vendor import Again, Created, Doubt, Rejected, Reply, Stop
from airflow_provider_contacts.vendors.nedzo import VENDOR
from tests.support.vendors import Faults, answer, code_of, faults_of, payload_of, prepare, reasons, replies, typed

LIST_ID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
FIELD_ID = "0b1b7a55-6a3f-4d0e-9a3c-0d6f2f1f7a10"
CONTACT_ID = "7e6f2c50-6d4e-4a43-9a5b-0f3f5a2b9c11"
ANN = {"email": "Ann@Example.com", "first_name": "Ann"}
SHOWN = {**ANN, "id": CONTACT_ID, "subaccount_id": LIST_ID, "status": "Waiting"}
TEXTS = sorted(VENDOR.contract.fields.keys() - {"email", "contact_list_id", "dnc", "custom_fields"})
GOLD = [{"custom_field_id": FIELD_ID, "value": "gold"}]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {}),
        ({"phone": "  +1 (2) ", "city": "ÀB c"}, None),
        ({"dnc": False}, None),
        ({"custom_fields": GOLD}, None),
        ({"custom_fields": []}, None),
        ({"custom_fields": {FIELD_ID: "gold"}}, {"custom_fields": GOLD}),
        ({"custom_fields": json.dumps({FIELD_ID: "gold"})}, {"custom_fields": GOLD}),
        ({"custom_fields": {FIELD_ID: None}}, {}),
        ({"contact_list_id": None}, {}),
        (dict.fromkeys([*TEXTS, "dnc", "custom_fields"]), None),
    ],
)
def test_a_record_leaves_as_it_came(given: dict[str, Any], sent: dict[str, Any] | None) -> None:
    found = payload_of(VENDOR, {"email": "a@example.com", **given})
    assert typed(found) == typed({"email": "a@example.com", **(given if sent is None else sent)})


@pytest.mark.parametrize(
    ("record", "faults"),
    [
        ({"first_name": "Ann"}, [("missing_field", "email")]),
        ({"email": ""}, [("invalid_email", "email")]),
        ({**ANN, "contact_list_id": "3c90"}, [("invalid_uuid", "contact_list_id")]),
        ({**ANN, "contact_list_id": LIST_ID}, [("not_allowed", "contact_list_id")]),
        ({**ANN, "firstName": "Ann"}, [("unknown_field", "firstName")]),
        ({**ANN, "custom_fields": {FIELD_ID: 250}}, [("wrong_type", "custom_fields.0.value")]),
        ({**ANN, "custom_fields": {"colour": "red"}}, [("invalid_uuid", "custom_fields.0.custom_field_id")]),
        ({**ANN, "custom_fields": [{"custom_field_id": FIELD_ID}]}, [("missing_field", "custom_fields.0.value")]),
        ({**ANN, "custom_fields": [{**GOLD[0], "a": "b"}]}, [("unknown_field", "custom_fields.0.a")]),
        *(({**ANN, name: 1}, [("wrong_type", name)]) for name in TEXTS),
    ],
)
def test_a_record_that_is_broken_is_not_sent(record: dict[str, Any], faults: Faults) -> None:
    assert faults_of(VENDOR, record) == faults


def test_the_list_goes_into_every_record_but_not_into_its_digest() -> None:
    plain, listed = prepare(VENDOR, ANN), prepare(VENDOR, ANN, destination={"contact_list_id": LIST_ID})
    assert not listed.errors
    assert json.loads(listed.body) == listed.payload == {**ANN, "contact_list_id": LIST_ID}
    assert listed.payload_hash == plain.payload_hash
    with pytest.raises(ConfigError, match="contact_list_id"):
        VENDOR.destination_fields({"contact_list_id": "my list"})


def said(status_code: Any, data: Any = None) -> dict[str, Any]:
    return {"status_code": status_code, "message": "words", "data": data}


def showing(**contact: Any) -> dict[str, Any]:
    return {"contact": {**SHOWN, **contact}}


CREATED = said(201, showing())
UNREADABLE: list[Any] = [b"", b"<html>502</html>", json.dumps(CREATED).encode()[:-1], None, {}, [CREATED]]


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        (CREATED, Created(CONTACT_ID)),
        (said(200, {"contact": {"id": 17}}), Created("17")),
        (said(200, showing(email="ANN@example.COM")), Created(CONTACT_ID)),
        *(
            (said(200, showing(email=email)), Doubt("other_contact", "words", CONTACT_ID))
            for email in ("bob@example.com", None, ["x"])
        ),
        *(
            (said(200, data), Doubt("no_id", "words"))
            for data in (None, {}, [SHOWN], {"contact": None}, {"contact": ANN}, showing(id=""), showing(id=True))
        ),
        (said(200, {"id": CONTACT_ID}), Doubt("no_id", "words", CONTACT_ID)),
        (said(400), Rejected((RecordError("http_400", None, "words"),))),
        (said(422, {}), Rejected((RecordError("http_422", None, "words"),))),
        (said(409, {"contact": None}), Rejected((RecordError("conflict", None, "words"),))),
        ({"status_code": 400}, Rejected((RecordError("http_400"),))),
        *((said(status), Stop(f"http_{status}", "words")) for status in (302, 401, 402, 403, 404)),
        (said(429), Again("rate_limited", "words")),
        (said(425), Again("http_425", "words")),
        *((said(status), Doubt(f"http_{status}", "words")) for status in (0, 123, 408, 500, 503)),
        (said(10**30), Doubt("unspecified", "words")),
        # Nothing is refused that is shown.
        *((said(status, showing()), Doubt("contradiction", "words", CONTACT_ID)) for status in (400, 401, 429, 500)),
        (said(400, {"contact": "yes"}), Doubt("contradiction", "words")),
        (said(400, {"id": CONTACT_ID}), Doubt("contradiction", "words", CONTACT_ID)),
        *(
            (said(status, showing()), Doubt("status_code_missing", "words", CONTACT_ID))
            for status in (None, "200", 200.0, True, -200)
        ),
        (SHOWN, Doubt("status_code_missing")),
        *((body, Doubt("unreadable")) for body in UNREADABLE),
    ],
    ids=repr,
)
def test_what_an_answer_proves(body: Any, reply: Reply) -> None:
    assert replies(VENDOR, body, [ANN]) == [reply]


@pytest.mark.parametrize("count", [0, 2])
def test_one_answer_says_nothing_of_several_records(count: int) -> None:
    assert replies(VENDOR, CREATED, [ANN] * count) == [Doubt("unreadable")] * count


def detail(loc: Any, msg: Any = None, kind: Any = None) -> dict[str, Any]:
    return {"loc": loc, "msg": msg, "type": kind}


MISSING = detail(["body", "email"], "field required", "value_error.missing")
PROBLEM = {"type": "https://api.nedzo.ai/errors/validation-error", "title": "No", "detail": "workspaceId is required"}


@pytest.mark.parametrize(
    ("status", "body", "errors"),
    [
        (422, {"detail": [MISSING]}, [RecordError("value_error.missing", "email", "field required")]),
        # A 409 is a conflict in every shape.
        (409, {"detail": [detail(["body", "email"], "taken", "x")]}, [RecordError("conflict", "email", "taken")]),
        (409, {"detail": "a contact exists"}, [RecordError("conflict", None, "a contact exists")]),
        (409, {"type": "https://api.nedzo.ai/errors/exists", "title": "No"}, [RecordError("conflict", None, "No")]),
        (400, said(400), [RecordError("http_400", None, "words")]),
        (400, said(409), [RecordError("conflict", None, "words")]),
        (400, said(200), [RecordError("http_400", None, "words")]),
        (400, PROBLEM, [RecordError("validation-error", None, "workspaceId is required")]),
        (422, {"type": "about:blank", "title": "No"}, [RecordError("http_422", None, "No")]),
    ],
)
def test_each_shape_of_a_refusal(status: int, body: Any, errors: list[RecordError]) -> None:
    refusal = answer(body, status)
    assert reasons(VENDOR, refusal, [ANN]) == {0: tuple(errors)}
    assert code_of(VENDOR, refusal) == errors[0].code


@pytest.mark.parametrize("body", [b"", b"<html>", None, [], {}, {"detail": []}, {"detail": None}, 7])
def test_a_refusal_without_a_shape_names_nothing(body: Any) -> None:
    assert reasons(VENDOR, answer(body, 400), [ANN]) == {}
    assert (code_of(VENDOR, answer(body, 400)), code_of(VENDOR, answer(body, 409))) == ("http_400", "conflict")
