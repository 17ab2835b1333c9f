"""Nedzo: contract, addresses, and what its answers prove."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.records.mapper import InvalidRecord, Mapper, Prepared
from airflow_provider_contacts.sources.plain_values import plain_row
from airflow_provider_contacts.vendor_kit.answers import read_replies
from airflow_provider_contacts.vendor_kit.auth import FixedHeader
from airflow_provider_contacts.vendor_kit.forms import Account
from airflow_provider_contacts.vendor_kit.vendor import Again, Created, Doubt, Rejected, Reply, Request, Response, Stop
from airflow_provider_contacts.vendors.nedzo import VENDOR
from tests.support.answers import code_of, reasons

LIST_ID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
FIELD_ID = "0b1b7a55-6a3f-4d0e-9a3c-0d6f2f1f7a10"
CONTACT_ID = "7e6f2c50-6d4e-4a43-9a5b-0f3f5a2b9c11"
ANN = {"email": "Ann@Example.com", "first_name": "Ann"}
SHOWN = {**ANN, "id": CONTACT_ID, "subaccount_id": LIST_ID, "status": "Waiting"}
TEXT_FIELDS = [
    "first_name",
    "last_name",
    "full_name",
    "business_name",
    "full_address",
    "city",
    "country",
    "state",
    "postal_code",
    "phone",
    "job_title",
]

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([200, 401, 429, "", CONTACT_ID])
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["status_code", "message", "data", "contact", "id", "email", "detail", "loc", "msg", "type"]
            )
            | st.sampled_from(["title", "status"])
            | st.text(max_size=3),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


def prepare(record: Mapping[str, Any], destination: Mapping[str, Any] | None = None) -> Prepared | InvalidRecord:
    return Mapper(vendor=VENDOR, destination=destination or {}, sync_id="s").prepare(0, plain_row(record))


def payload_of(record: Mapping[str, Any], destination: Mapping[str, Any] | None = None) -> dict[str, Any]:
    prepared = prepare(record, destination)
    assert isinstance(prepared, Prepared), prepared
    return dict(prepared.payload)


def faults_of(record: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    unfit = prepare(record)
    assert isinstance(unfit, InvalidRecord), unfit
    return [(code, field) for code, field, _ in unfit.errors]


def answer(body: Any, status: int = 200) -> Response:
    return Response(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


def read(body: Any, status: int = 200) -> Reply:
    (reply,) = read_replies(VENDOR, answer(body, status), [ANN])
    return reply


# --- contract


@pytest.mark.parametrize(
    ("record", "payload"),
    [
        ({"email": "a@example.com"}, {"email": "a@example.com"}),
        ({"email": "a@example.com", "phone": "  +1 (2) ", "city": "ÀB c"}, None),
        ({"email": "a@example.com", "dnc": False}, None),
        ({"email": "a@example.com", "dnc": 1}, {"email": "a@example.com", "dnc": True}),
        ({"email": "a@example.com", "dnc": 0}, {"email": "a@example.com", "dnc": False}),
        ({"email": "a@example.com", "dnc": 0.0}, {"email": "a@example.com", "dnc": False}),
        ({"email": "a@example.com", "dnc": None, "phone": None}, None),
        ({"email": "a@example.com", "phone": ""}, {"email": "a@example.com"}),
        ({"email": "a@example.com", "phone": float("nan")}, {"email": "a@example.com"}),
        ({"email": "a@example.com", "custom_fields": [{"custom_field_id": FIELD_ID, "value": "7"}]}, None),
        ({"email": "a@example.com", "custom_fields": []}, None),
        ({"email": "a@example.com", "custom_fields": None}, None),
        (
            {"email": "a@example.com", "custom_fields": {FIELD_ID: "gold", LIST_ID: "x"}},
            {
                "email": "a@example.com",
                "custom_fields": [
                    {"custom_field_id": FIELD_ID, "value": "gold"},
                    {"custom_field_id": LIST_ID, "value": "x"},
                ],
            },
        ),
        (
            {"email": "a@example.com", "custom_fields": json.dumps({FIELD_ID: "gold"})},
            {"email": "a@example.com", "custom_fields": [{"custom_field_id": FIELD_ID, "value": "gold"}]},
        ),
        ({"email": "a@example.com", "custom_fields": {FIELD_ID: None}}, {"email": "a@example.com"}),
    ],
)
def test_a_record_leaves_as_it_came(record: dict[str, Any], payload: dict[str, Any] | None) -> None:
    assert payload_of(record) == (record if payload is None else payload)
    assert all(type(value) is type((payload or record)[name]) for name, value in payload_of(record).items())


@pytest.mark.parametrize(
    ("record", "faults"),
    [
        ({"first_name": "Ann"}, [("missing_field", "email")]),
        ({"email": None}, [("missing_field", "email")]),
        ({"email": ""}, [("invalid_email", "email")]),
        ({"email": "ann"}, [("invalid_email", "email")]),
        ({"email": 7}, [("wrong_type", "email")]),
        ({**ANN, "phone": 123}, [("wrong_type", "phone")]),
        ({**ANN, "contact_list_id": "3c90"}, [("invalid_uuid", "contact_list_id")]),
        ({**ANN, "dnc": 2}, [("wrong_type", "dnc")]),
        ({**ANN, "dnc": "true"}, [("wrong_type", "dnc")]),
        ({**ANN, "firstName": "Ann"}, [("unknown_field", "firstName")]),
        ({**ANN, "custom_fields": {FIELD_ID: 250}}, [("wrong_type", "custom_fields.0.value")]),
        ({**ANN, "custom_fields": {"colour": "red"}}, [("invalid_uuid", "custom_fields.0.custom_field_id")]),
        ({**ANN, "custom_fields": [{"custom_field_id": FIELD_ID}]}, [("missing_field", "custom_fields.0.value")]),
        ({**ANN, "custom_fields": [{"custom_field_id": FIELD_ID, "value": "x", "a": "b"}]}, None),
        ({**ANN, "custom_fields": "{"}, [("invalid_json", "custom_fields")]),
        ({**ANN, "custom_fields": '"x"'}, [("wrong_type", "custom_fields")]),
    ],
)
def test_a_record_that_is_broken_is_not_sent(
    record: dict[str, Any], faults: list[tuple[str, str | None]] | None
) -> None:
    assert faults_of(record) == (faults or [("unknown_field", "custom_fields.0.a")])


def test_everything_but_the_address_may_be_null() -> None:
    record = {**dict.fromkeys([*TEXT_FIELDS, "dnc", "custom_fields"]), "email": "a@example.com"}
    assert payload_of(record) == record
    assert {*record, "contact_list_id"} == {*VENDOR.contract.fields}


def test_a_record_does_not_choose_its_list() -> None:
    assert "contact_list_id" not in payload_of({"email": "a@example.com", "contact_list_id": None})
    assert faults_of({"email": "a@example.com", "contact_list_id": LIST_ID}) == [("not_allowed", "contact_list_id")]


@pytest.mark.parametrize("name", TEXT_FIELDS)
def test_a_number_is_no_text(name: str) -> None:
    assert faults_of({**ANN, name: 1}) == [("wrong_type", name)]


# --- addresses and credential


def test_the_list_goes_into_every_record_but_not_into_its_digest() -> None:
    plain, listed = prepare(ANN), prepare(ANN, {"contact_list_id": LIST_ID})
    assert isinstance(plain, Prepared)
    assert isinstance(listed, Prepared)
    assert listed.payload == {**ANN, "contact_list_id": LIST_ID}
    assert json.loads(listed.body) == listed.payload
    assert listed.payload_hash == plain.payload_hash


def test_a_list_that_is_no_uuid_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="contact_list_id"):
        VENDOR.destination_fields({"contact_list_id": "my list"})


def test_the_request_keeps_its_slash_and_holds_one_object() -> None:
    assert VENDOR.request_path({"contact_list_id": LIST_ID}) == "/v1/contact/"
    assert VENDOR.base_url(Account()) == "https://api.nedzo.ai"
    assert VENDOR.envelope == (b"", b"")
    assert VENDOR.limits.batch_size == 1
    assert VENDOR.limits.requests_per_second == 1.0
    assert VENDOR.check is not None
    assert VENDOR.check({}) == Request("GET", "/v1/workspaces")


def test_the_key_is_a_bearer_token_and_stays_out_of_repr() -> None:
    credential = VENDOR.auth.credential(Account(password="sk_test_1"))
    assert credential == FixedHeader("Bearer sk_test_1")
    assert "sk_test_1" not in repr(credential)
    with pytest.raises(ConfigError, match="API key"):
        VENDOR.auth.credential(Account(login="sk_test_1"))


# --- what an answer proves


CREATED = {"status_code": 201, "message": "Contact created", "data": {"contact": SHOWN}}


def body_with(status_code: Any, data: Any = None) -> dict[str, Any]:
    return {"status_code": status_code, "message": "words", "data": data}


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        (CREATED, Created(CONTACT_ID)),
        (body_with(200, {"contact": SHOWN}), Created(CONTACT_ID)),
        (body_with(200, {"contact": {"id": CONTACT_ID}}), Created(CONTACT_ID)),
        (body_with(200, {"contact": {"id": 17}}), Created("17")),
        (body_with(200, {"contact": {**SHOWN, "email": "ANN@example.COM"}}), Created(CONTACT_ID)),
        ({"status_code": 200, "data": {"contact": SHOWN}}, Created(CONTACT_ID)),
        (
            body_with(200, {"contact": {**SHOWN, "email": "bob@example.com"}}),
            Doubt("other_contact", "words", CONTACT_ID),
        ),
        (body_with(200, {"contact": {**SHOWN, "email": None}}), Doubt("other_contact", "words", CONTACT_ID)),
        (body_with(200, {"contact": {**SHOWN, "email": ["x"]}}), Doubt("other_contact", "words", CONTACT_ID)),
        (body_with(200), Doubt("no_id", "words")),
        ({"status_code": 200, "message": "words"}, Doubt("no_id", "words")),
        (body_with(200, {}), Doubt("no_id", "words")),
        (body_with(200, {"contact": None}), Doubt("no_id", "words")),
        (body_with(200, {"contact": ANN}), Doubt("no_id", "words")),
        (body_with(200, {"contact": {**SHOWN, "id": ""}}), Doubt("no_id", "words")),
        (body_with(200, {"contact": {**SHOWN, "id": True}}), Doubt("no_id", "words")),
        (body_with(200, {"id": CONTACT_ID}), Doubt("no_id", "words", CONTACT_ID)),
        (body_with(200, [SHOWN]), Doubt("no_id", "words")),
        (body_with(400), Rejected((RecordError("http_400", None, "words"),))),
        (body_with(422, {}), Rejected((RecordError("http_422", None, "words"),))),
        (body_with(409, {"contact": None}), Rejected((RecordError("conflict", None, "words"),))),
        ({"status_code": 400}, Rejected((RecordError("http_400"),))),
        (body_with(401), Stop("http_401", "words")),
        (body_with(403), Stop("http_403", "words")),
        (body_with(402), Stop("http_402", "words")),
        (body_with(404), Stop("http_404", "words")),
        (body_with(302), Stop("http_302", "words")),
        (body_with(429), Again("rate_limited", "words")),
        (body_with(425), Again("http_425", "words")),
        (body_with(408), Doubt("http_408", "words")),
        (body_with(500), Doubt("http_500", "words")),
        (body_with(503), Doubt("http_503", "words")),
        (body_with(0), Doubt("http_0", "words")),
        (body_with(123), Doubt("http_123", "words")),
        (body_with(10**30), Doubt("unspecified", "words")),
        (body_with(400, {"contact": SHOWN}), Doubt("contradiction", "words", CONTACT_ID)),
        (body_with(401, {"contact": SHOWN}), Doubt("contradiction", "words", CONTACT_ID)),
        (body_with(429, {"contact": SHOWN}), Doubt("contradiction", "words", CONTACT_ID)),
        (body_with(500, {"contact": SHOWN}), Doubt("contradiction", "words", CONTACT_ID)),
        (body_with(400, {"contact": ANN}), Doubt("contradiction", "words")),
        (body_with(400, {"contact": "yes"}), Doubt("contradiction", "words")),
        (body_with(400, {"id": CONTACT_ID}), Doubt("contradiction", "words", CONTACT_ID)),
        (body_with(None, {"contact": SHOWN}), Doubt("status_code_missing", "words", CONTACT_ID)),
        (body_with("200", {"contact": SHOWN}), Doubt("status_code_missing", "words", CONTACT_ID)),
        (body_with(200.0, {"contact": SHOWN}), Doubt("status_code_missing", "words", CONTACT_ID)),
        ({"status_code": True, "data": {"contact": SHOWN}}, Doubt("status_code_missing", None, CONTACT_ID)),
        (body_with(-200), Doubt("status_code_missing", "words")),
        ({"data": {"contact": SHOWN}}, Doubt("status_code_missing", None, CONTACT_ID)),
        (SHOWN, Doubt("status_code_missing")),
        (json.dumps(CREATED).encode("utf-8-sig"), Created(CONTACT_ID)),
        (json.dumps(CREATED).encode()[:-1], Doubt("unreadable")),
        (json.dumps(CREATED).encode("utf-16"), Doubt("unreadable")),
        (b"", Doubt("unreadable")),
        (b"<html>502</html>", Doubt("unreadable")),
        (b"[" * 100_000, Doubt("unreadable")),
        ([CREATED], Doubt("unreadable")),
        (None, Doubt("unreadable")),
        ({}, Doubt("unreadable")),
    ],
)
@pytest.mark.parametrize("status", [200, 201])
def test_reading(body: Any, reply: Reply, status: int) -> None:
    assert read(body, status) == reply


@pytest.mark.parametrize("count", [0, 2, 5])
def test_one_answer_says_nothing_of_several_records(count: int) -> None:
    assert list(read_replies(VENDOR, answer(CREATED), [ANN] * count)) == [Doubt("unreadable")] * count


# --- refusals


@pytest.mark.parametrize(
    ("status", "body", "errors"),
    [
        (
            422,
            {"detail": [{"loc": ["body", "email"], "msg": "field required", "type": "value_error.missing"}]},
            [RecordError("value_error.missing", "email", "field required")],
        ),
        (
            422,
            {
                "detail": [
                    {"loc": ["body", "custom_fields", 0, "value"], "msg": "text", "type": "string_type"},
                    {"loc": ["body", "dnc"], "msg": "flag", "type": "a sentence instead"},
                    {"loc": "email", "msg": 7},
                    "garbage",
                ]
            },
            [
                RecordError("string_type", "custom_fields.0.value", "text"),
                RecordError("http_422", "dnc", "flag"),
                RecordError("http_422"),
                RecordError("http_422"),
            ],
        ),
        (
            409,
            {"detail": [{"loc": ["body", "email"], "msg": "taken", "type": "x"}]},
            [RecordError("conflict", "email", "taken")],
        ),
        (409, {"detail": "a contact exists"}, [RecordError("conflict", None, "a contact exists")]),
        (400, {"status_code": 400, "message": "bad", "data": None}, [RecordError("http_400", None, "bad")]),
        (400, {"status_code": 409, "message": "there", "data": None}, [RecordError("conflict", None, "there")]),
        (400, {"status_code": 200, "message": "odd"}, [RecordError("http_400", None, "odd")]),
        (
            400,
            {
                "type": "https://api.nedzo.ai/errors/validation-error",
                "title": "Validation error",
                "status": 400,
                "detail": "workspaceId is required",
            },
            [RecordError("validation-error", None, "workspaceId is required")],
        ),
        (
            409,
            {"type": "https://api.nedzo.ai/errors/exists", "title": "Conflict", "status": 409},
            [RecordError("conflict", None, "Conflict")],
        ),
        (422, {"type": "about:blank", "title": "Unprocessable"}, [RecordError("http_422", None, "Unprocessable")]),
    ],
)
def test_each_shape_of_a_refusal(status: int, body: Any, errors: list[RecordError]) -> None:
    refusal = answer(body, status)
    assert reasons(VENDOR, refusal, [ANN]) == {0: tuple(errors)}
    assert code_of(VENDOR, refusal) == errors[0].code


@pytest.mark.parametrize("body", [b"", b"<html>", None, [], {}, {"detail": []}, {"detail": None}, 7])
def test_a_refusal_without_a_shape_names_nothing(body: Any) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert reasons(VENDOR, Response(400, {}, raw), [ANN]) == {}
    assert code_of(VENDOR, Response(400, {}, raw)) == "http_400"
    assert code_of(VENDOR, Response(409, {}, raw)) == "conflict"


# --- whatever comes


def survives(status: int, body: bytes) -> None:
    whole = Response(status, {}, body)
    for count in (0, 1, 3):
        replies = read_replies(VENDOR, whole, [ANN] * count)
        assert len(replies) == count
        assert all(isinstance(reply, Created | Rejected | Again | Doubt | Stop) for reply in replies)
        assert all(reply.errors for reply in replies if isinstance(reply, Rejected))
        named = reasons(VENDOR, whole, [ANN] * count)
        assert set(named) <= set(range(count))
        assert all(named.values())
    assert code_of(VENDOR, whole)


@settings(deadline=None)
@given(st.sampled_from([200, 201, 400, 409, 422]), st.binary(max_size=60))
def test_no_bytes_make_a_reader_fail(status: int, body: bytes) -> None:
    survives(status, body)


@settings(deadline=None)
@given(st.sampled_from([200, 201, 400, 409, 422]), JSON)
def test_no_json_makes_a_reader_fail(status: int, body: Any) -> None:
    survives(status, json.dumps(body).encode())


@settings(deadline=None)
@given(st.data())
def test_a_mutated_answer_is_never_taken_for_another_creation(data: st.DataObject) -> None:
    body = json.loads(json.dumps(CREATED))
    holder = data.draw(st.sampled_from([body, body["data"], body["data"]["contact"]]))
    name = data.draw(st.sampled_from(sorted(holder)))
    if data.draw(st.booleans()):
        del holder[name]
    else:
        holder[name] = data.draw(JSON)
    survives(200, json.dumps(body).encode())
    reply = read(json.dumps(body).encode())
    if isinstance(reply, Created):
        contact = body["data"]["contact"]
        assert 200 <= body["status_code"] < 300
        assert reply.id == str(contact["id"])
        assert contact.get("email", ANN["email"]).casefold() == ANN["email"].casefold()
