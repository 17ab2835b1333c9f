"""Talkdesk: contract, addresses, and what its answers prove."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_contacts.errors import ConfigError, InvalidRecordError
from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.records.mapper import InvalidRecord, Mapper, Prepared
from airflow_provider_contacts.sources.plain_values import plain_row
from airflow_provider_contacts.vendor_kit.answers import read_replies
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials, FixedHeader
from airflow_provider_contacts.vendor_kit.forms import Account
from airflow_provider_contacts.vendor_kit.vendor import Again, Created, Doubt, Rejected, Reply, Request, Response, Stop
from airflow_provider_contacts.vendors.talkdesk import VENDOR
from tests.support.answers import code_of, reasons


def person(first: str, phone: str, **more: Any) -> dict[str, Any]:
    numbers = [{"phone_number": phone, "phone_type": "MOBILE"}]
    return {"phone_numbers": numbers, "first_name": first, "last_name": "Ames", **more}


ANN = person("Ann", "+351929312319")
BOB = person("Bob", "+351929312318")
CAT = person("Cat", "+351929312317")
TRIO = [ANN, BOB, CAT]
NOT_CREATED = Rejected((RecordError("not_created"),))

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 4)
    | st.floats()
    | st.sampled_from(["", "Ann", "r1", "OTHER"])
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["has_error", "has_errors", "total_errors", "total_created", "_embedded", "records", "id", "errors"]
            )
            | st.sampled_from(["first_name", "last_name", "phone_numbers", "phone_number", "external_id", "extra_data"])
            | st.sampled_from(["code", "message", "fields", "name", "description"])
            | st.text(max_size=3),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


def prepare(record: Mapping[str, Any]) -> Prepared | InvalidRecord:
    return Mapper(vendor=VENDOR, destination={"record_list_id": "l1"}, sync_id="s").prepare(0, plain_row(record))


def payload_of(record: Mapping[str, Any]) -> dict[str, Any]:
    prepared = prepare(record)
    assert isinstance(prepared, Prepared), prepared
    return dict(prepared.payload)


def faults_of(record: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    unfit = prepare(record)
    assert isinstance(unfit, InvalidRecord), unfit
    return [(code, field) for code, field, _ in unfit.errors]


def answer(body: Any, status: int = 201) -> Response:
    return Response(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


def shows(*records: Any, **more: Any) -> dict[str, Any]:
    return {"_embedded": {"records": list(records)}, **more}


def read(body: Any, sent: Sequence[dict[str, Any]], status: int = 201) -> list[Reply]:
    return list(read_replies(VENDOR, answer(body, status), sent))


def rejected(*codes: str, field: str | None = None) -> Rejected:
    return Rejected(tuple(RecordError(code, field) for code in codes))


# --- contract

FLAT = {"first_name": "Ann", "last_name": "Ames", "phone_number": "+351929312319"}


@pytest.mark.parametrize(
    ("record", "payload"),
    [
        (ANN, ANN),
        (FLAT, ANN),
        (
            {**FLAT, "phone_type": "HOME"},
            {**ANN, "phone_numbers": [{"phone_number": "+351929312319", "phone_type": "HOME"}]},
        ),
        ({**FLAT, "phone_type": None}, ANN),
        ({**ANN, "phone_numbers": json.dumps(ANN["phone_numbers"])}, ANN),
        ({**ANN, "phone_numbers": ANN["phone_numbers"] * 2}, {**ANN, "phone_numbers": ANN["phone_numbers"] * 2}),
        ({**FLAT, "extra_data.job": "Actor", "extra_data.a.b": 1}, {**ANN, "extra_data": {"job": "Actor", "a.b": 1}}),
        ({**FLAT, "extra_data.job": None, "extra_data.city": ""}, ANN),
        ({**FLAT, "extra_data": '{"job": "Actor"}'}, {**ANN, "extra_data": {"job": "Actor"}}),
        ({**ANN, "priority": 10.0}, {**ANN, "priority": 10}),
        ({**ANN, "priority": Decimal(1)}, {**ANN, "priority": 1}),
        ({**ANN, "sync_external_id": 1}, {**ANN, "sync_external_id": True}),
        ({**ANN, "sync_external_id": False}, {**ANN, "sync_external_id": False}),
        ({**ANN, "timezone": None, "external_id": ""}, ANN),
        ({**ANN, "first_name": "Ä" * 80, "timezone": "z" * 35}, {**ANN, "first_name": "Ä" * 80, "timezone": "z" * 35}),
        ({**ANN, "external_provider": "crm", "external_id": " 7 ", "external_url": "u"}, None),
    ],
)
def test_a_record_leaves_as_it_came(record: dict[str, Any], payload: dict[str, Any] | None) -> None:
    sent = payload_of(record)
    assert sent == (record if payload is None else payload)
    assert all(type(value) is type((payload or record)[name]) for name, value in sent.items())


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("x", "x"),
        ("", ""),
        (True, True),
        (250, 250),
        (1.5, 1.5),
        ({"a": [1, None, {"b": "c"}]}, {"a": [1, None, {"b": "c"}]}),
        (date(2026, 2, 1), "2026-02-01"),
        (datetime(2026, 2, 1, 12, tzinfo=UTC), "2026-02-01T12:00:00+00:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_extra_data_holds_any_json(value: Any, sent: Any) -> None:
    assert payload_of({**ANN, "extra_data": {"key": value}}) == {**ANN, "extra_data": {"key": sent}}


def contract_faults_of(record: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Ask the contract alone, for values that may be refused before it is asked."""
    with pytest.raises(InvalidRecordError) as caught:
        VENDOR.contract.check(VENDOR.contract.shape(record))
    assert "19.90" not in str([message for _, _, message in caught.value.errors])
    return [(code, field) for code, field, _ in caught.value.errors]


@pytest.mark.parametrize(
    "value", [Decimal("19.90"), float("inf"), [float("nan")], b"x", {1: 2}, {"a": {7}}, object(), 1j]
)
def test_extra_data_holds_nothing_that_json_cannot_say(value: Any) -> None:
    assert contract_faults_of({**ANN, "extra_data": {"key": value}}) == [("not_json", "extra_data.key")]
    assert contract_faults_of({**FLAT, "extra_data.key": value}) == [("not_json", "extra_data.key")]


@pytest.mark.parametrize("value", [float("inf"), float("nan"), Decimal("NaN"), Decimal("1.5")])
def test_priority_is_a_whole_number(value: Any) -> None:
    assert contract_faults_of({**ANN, "priority": value}) == [("wrong_type", "priority")]


def test_a_member_of_extra_data_has_a_name() -> None:
    with pytest.raises(InvalidRecordError) as caught:
        VENDOR.contract.shape({**ANN, "extra_data.": "x"})
    assert [error[:2] for error in caught.value.errors] == [("unknown_field", "extra_data.")]


@pytest.mark.parametrize(
    ("record", "faults"),
    [
        ({}, [("missing_field", "phone_numbers"), ("missing_field", "first_name"), ("missing_field", "last_name")]),
        ({"first_name": "A", "last_name": "B", "phone_type": "HOME"}, [("missing_field", "phone_numbers")]),
        ({**FLAT, "phone_number": None}, [("missing_field", "phone_numbers")]),
        ({**FLAT, "last_name": ""}, [("too_short", "last_name")]),
        ({**FLAT, "last_name": None}, [("missing_field", "last_name")]),
        ({**FLAT, "first_name": "a" * 81}, [("too_long", "first_name")]),
        ({**FLAT, "first_name": 7}, [("wrong_type", "first_name")]),
        ({**FLAT, "phone_number": "1" * 21}, [("too_long", "phone_numbers.0.phone_number")]),
        ({**FLAT, "phone_number": 351929312319}, [("wrong_type", "phone_numbers.0.phone_number")]),
        ({**FLAT, "phone_type": "mobile"}, [("not_allowed", "phone_numbers.0.phone_type")]),
        ({**FLAT, "phone_numbers": []}, [("conflict", "phone_number")]),
        ({**ANN, "phone_type": "HOME"}, [("conflict", "phone_type")]),
        ({**ANN, "phone_numbers": []}, [("too_short", "phone_numbers")]),
        ({**ANN, "phone_numbers": [{"phone_number": "1"}]}, [("missing_field", "phone_numbers.0.phone_type")]),
        ({**ANN, "phone_numbers": [{"phone_type": "HOME"}]}, [("missing_field", "phone_numbers.0.phone_number")]),
        ({**ANN, "phone_numbers": "+351"}, [("invalid_json", "phone_numbers")]),
        ({**ANN, "phone_numbers": {"phone_number": "1"}}, [("wrong_type", "phone_numbers")]),
        ({**ANN, "timezone": "z" * 36}, [("too_long", "timezone")]),
        ({**ANN, "priority": 0}, [("out_of_range", "priority")]),
        ({**ANN, "priority": 11}, [("out_of_range", "priority")]),
        ({**ANN, "priority": 1.5}, [("wrong_type", "priority")]),
        ({**ANN, "priority": "5"}, [("wrong_type", "priority")]),
        ({**ANN, "priority": True}, [("wrong_type", "priority")]),
        ({**ANN, "external_id": 7}, [("wrong_type", "external_id")]),
        ({**ANN, "sync_external_id": 2}, [("wrong_type", "sync_external_id")]),
        ({**ANN, "extra_data": []}, [("wrong_type", "extra_data")]),
        ({**ANN, "extra_data": {}, "extra_data.a": 1}, [("conflict", "extra_data.a")]),
        ({**ANN, "id": "r1"}, [("unknown_field", "id")]),
    ],
)
def test_a_record_that_is_broken_is_not_sent(record: dict[str, Any], faults: list[tuple[str, str | None]]) -> None:
    assert faults_of(record) == faults


def test_every_type_of_number_is_taken() -> None:
    for kind in ("HOME", "OFFICE", "MOBILE", "EXTRA_1", "EXTRA_2", "EXTRA_3"):
        assert payload_of({**FLAT, "phone_type": kind})["phone_numbers"][0]["phone_type"] == kind


# --- addresses and credential


@pytest.mark.parametrize(
    ("extra", "url"),
    [
        ({}, "https://api.talkdeskapp.com"),
        ({"region": "us"}, "https://api.talkdeskapp.com"),
        ({"region": "eu"}, "https://api.talkdeskapp.eu"),
        ({"region": "ca"}, "https://api.talkdeskappca.com"),
    ],
)
def test_the_region_decides_the_host(extra: dict[str, str], url: str) -> None:
    assert VENDOR.base_url(Account(extra=extra)) == url


@pytest.mark.parametrize(
    ("extra", "url"),
    [
        ({"account": "acme"}, "https://acme.talkdeskid.com/oauth/token"),
        ({"account": "acme", "region": "eu"}, "https://acme.talkdeskid.eu/oauth/token"),
        ({"account": "acme-2", "region": "ca"}, "https://acme-2.talkdeskidca.com/oauth/token"),
        ({"token_url": "https://t.example/token"}, "https://t.example/token"),
        ({"token_url": "https://t.example/token", "account": "acme"}, "https://t.example/token"),
    ],
)
def test_a_client_id_asks_for_tokens(extra: dict[str, str], url: str) -> None:
    credential = VENDOR.auth.credential(Account(login="me", password="secret", extra=extra))
    assert credential == ClientCredentials(
        token_url=url,
        client_id="me",
        client_secret="secret",
        method="client_secret_basic",
        encoding="form",
        scope="record-lists:manage",
    )
    assert "secret" not in repr(credential).replace("client_secret_basic", "")


def test_the_scope_can_be_another() -> None:
    account = Account(login="me", password="secret", extra={"account": "acme", "scope": "a b"})
    credential = VENDOR.auth.credential(account)
    assert isinstance(credential, ClientCredentials)
    assert credential.scope == "a b"


def test_without_a_client_id_the_password_is_a_token() -> None:
    assert VENDOR.auth.credential(Account(password="t0k")) == FixedHeader("Bearer t0k")


@pytest.mark.parametrize(
    ("account", "named"),
    [
        (Account(), "password"),
        (Account(login="me"), "password"),
        (Account(login="me", password="s"), "account"),
        (Account(login="me", password="s", extra={"account": "evil.example/"}), "account"),
        (Account(login="me", password="s", extra={"account": "-a"}), "account"),
    ],
)
def test_what_is_missing_is_a_configuration_error(account: Account, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        VENDOR.auth.credential(account)


def test_paths() -> None:
    assert VENDOR.request_path({"record_list_id": "a b/c"}) == "/record-lists/a%20b%2Fc/records/bulks"
    assert VENDOR.check is not None
    assert VENDOR.check({}) == Request("GET", "/record-lists")
    assert VENDOR.check({"record_list_id": "l1"}) == Request("GET", "/record-lists/l1")
    for climbing in ("..", ".", ""):
        with pytest.raises(ConfigError, match="record_list_id"):
            VENDOR.request_path({"record_list_id": climbing})


def test_the_declared_limits() -> None:
    assert VENDOR.limits.batch_size == 100
    assert VENDOR.envelope == (b'{"records":[', b"]}")
    assert VENDOR.again_statuses == {409}
    assert VENDOR.destination.required == ("record_list_id",)
    assert not any(field.nullable for field in VENDOR.contract.fields.values())


# --- what an answer proves: the error words


CODES = {
    "PHONE_NUMBER_INVALID": "phone_numbers",
    "PHONE_NUMBER_MISSING": "phone_numbers",
    "PHONE_NUMBER_NOT_UNIQUE": "phone_numbers",
    "FIRST_NAME_INVALID": "first_name",
    "FIRST_NAME_MISSING": "first_name",
    "LAST_NAME_INVALID": "last_name",
    "LAST_NAME_MISSING": "last_name",
    "TIMEZONE_INVALID": "timezone",
    "TIMEZONE_MISSING": "timezone",
    "TIMEZONE_UNMATCHED": "timezone",
    "PRIORITY_INVALID": "priority",
    "EXTERNAL_REF_MISSING": "external_id,external_provider",
    "EXTERNAL_ID_AND_PROVIDER_NOT_UNIQUE": "external_id,external_provider",
    "OTHER": None,
    "SOMETHING_NEW": None,
}


@pytest.mark.parametrize(("code", "field"), CODES.items())
def test_each_word_is_a_rejection_with_its_field(code: str, field: str | None) -> None:
    body = shows({**BOB, "errors": [code]}, {**ANN, "id": "r1", "errors": []}, has_error=True, total_created=1)
    assert read(body, [ANN, BOB]) == [Created("r1"), rejected(code, field=field)]


@pytest.mark.parametrize(
    ("errors", "reply"),
    [
        (["PRIORITY_INVALID", "OTHER"], Rejected((RecordError("PRIORITY_INVALID", "priority"), RecordError("OTHER")))),
        ("OTHER", rejected("OTHER")),
        (["OTHER", None, 7], rejected("OTHER")),
        (["no, +351929312319 is taken"], Rejected((RecordError("unspecified", None, "no, +351929312319 is taken"),))),
        (["351929312319"], Rejected((RecordError("unspecified", None, "351929312319"),))),
        (None, Doubt("no_id")),
        ([], Doubt("no_id")),
        ("", Doubt("no_id")),
        ([None], Doubt("errors_unreadable")),
        ([""], Doubt("errors_unreadable")),
        ({}, Doubt("errors_unreadable")),
        ({"code": "OTHER"}, Doubt("errors_unreadable")),
        (False, Doubt("errors_unreadable")),
        (0, Doubt("errors_unreadable")),
    ],
)
def test_errors_of_every_form(errors: Any, reply: Reply) -> None:
    assert read(shows({**ANN, "errors": errors}), [ANN]) == [reply]


@pytest.mark.parametrize("errors", [None, [], ""])
def test_an_id_without_errors_is_a_creation(errors: Any) -> None:
    assert read(shows({**ANN, "id": "r1", "errors": errors}), [ANN]) == [Created("r1")]
    assert read(shows({**ANN, "id": 17}), [ANN]) == [Created("17")]


# --- what an answer proves: the table


def fine(record: dict[str, Any], id_: str) -> dict[str, Any]:
    return {**record, "id": id_, "errors": [], "record_list_id": "l1", "created_at": "2026-02-01T00:00:00Z"}


def refused(record: dict[str, Any], *codes: str) -> dict[str, Any]:
    return {**record, "errors": list(codes)}


UNMATCHED = Doubt("unmatched")
TABLE: list[tuple[str, Any, list[dict[str, Any]], list[Reply]]] = [
    ("all", shows(fine(ANN, "a"), fine(BOB, "b"), fine(CAT, "c"), has_error=False), TRIO, [Created(x) for x in "abc"]),
    ("reordered", shows(fine(CAT, "c"), fine(ANN, "a"), fine(BOB, "b")), TRIO, [Created(x) for x in "abc"]),
    ("short", shows(fine(CAT, "c"), fine(ANN, "a"), total_created=2), TRIO, [Created("a"), UNMATCHED, Created("c")]),
    ("flag without errors", shows(fine(ANN, "a"), BOB, has_error=True), [ANN, BOB], [Created("a"), Doubt("no_id")]),
    ("flag of the other name", shows(fine(ANN, "a"), has_errors=True), [ANN], [Created("a")]),
    ("errors and an id", shows({**fine(ANN, "a"), "errors": ["OTHER"]}), [ANN], [Doubt("contradiction", id="a")]),
    ("id and garbage", shows({**fine(ANN, "a"), "errors": 1}), [ANN], [Doubt("errors_unreadable", id="a")]),
    ("one id twice", shows(fine(ANN, "a"), fine(BOB, "a")), [ANN, BOB], [Doubt("id_twice", id="a")] * 2),
    ("strangers", shows(fine(CAT, "c"), fine(BOB, "b")), [ANN, BOB], [UNMATCHED, Created("b")]),
    ("stranger in place", shows(fine(ANN, "a"), fine(CAT, "c")), [ANN, BOB], [Created("a"), UNMATCHED]),
    ("too many", shows(fine(ANN, "a"), fine(ANN, "x"), fine(BOB, "b")), [ANN, BOB], [UNMATCHED, Created("b")]),
    (
        "fewer counted than shown",
        shows(fine(ANN, "a"), fine(BOB, "b"), total_created=1),
        [ANN, BOB],
        [Doubt("counters_disagree", id="a"), Doubt("counters_disagree", id="b")],
    ),
    (
        "more counted than can be",
        shows(fine(ANN, "a"), refused(BOB, "OTHER"), total_created=2),
        [ANN, BOB],
        [Created("a"), Doubt("counters_disagree")],
    ),
    ("counter is no number", shows(refused(ANN, "OTHER"), total_created=True), [ANN], [rejected("OTHER")]),
    ("errors counted twice", shows(refused(ANN, "OTHER", "X"), total_errors=2), [ANN], [rejected("OTHER", "X")]),
    (
        "equals, one refused",
        shows(fine(ANN, "a"), refused(ANN, "PHONE_NUMBER_NOT_UNIQUE"), fine(BOB, "b")),
        [ANN, ANN, BOB],
        [Created("a"), rejected("PHONE_NUMBER_NOT_UNIQUE", field="phone_numbers"), Created("b")],
    ),
    (
        "equals, one missing",
        shows(fine(ANN, "a"), fine(BOB, "b")),
        [ANN, ANN, BOB],
        [UNMATCHED, UNMATCHED, Created("b")],
    ),
    ("nothing but ids", shows({"id": "a"}, {"id": "b"}), [ANN, BOB], [UNMATCHED] * 2),
    ("nothing but an id, alone", shows({"id": "a"}), [ANN], [Created("a")]),
    ("no objects", shows(None, "x", 7), TRIO, [UNMATCHED] * 3),
    ("no object, alone", shows(None), [ANN], [Doubt("no_id")]),
    ("one object for two", shows({"id": "a"}), [ANN, BOB], [UNMATCHED] * 2),
]


@pytest.mark.parametrize(("body", "sent", "replies"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_embedded_records(body: Any, sent: list[dict[str, Any]], replies: list[Reply]) -> None:
    assert read(body, sent) == replies


NUMBER = "phone_numbers"


@pytest.mark.parametrize(
    ("name", "sent", "shown", "replies"),
    [
        (
            "written differently",
            [ANN, BOB],
            [
                {"id": "b", "first_name": " BOB", "last_name": "ames", NUMBER: [{"phone_number": "(351) 929-312-318"}]},
                {"id": "a", "first_name": "ann", "last_name": "Ames ", NUMBER: [{"phone_number": "351 929 312 319"}]},
            ],
            [Created("a"), Created("b")],
        ),
        (
            "with the country",
            [person("Ann", "0929312319"), person("Ann", "0929312318")],
            [fine(person("Ann", "+351929312318"), "b"), fine(person("Ann", "+351929312319"), "a")],
            [Created("a"), Created("b")],
        ),
        (
            "the deprecated number",
            [ANN, BOB],
            [
                {"id": "b", "first_name": "Bob", "last_name": "Ames", "phone_number": "+351929312318"},
                {"id": "a", "first_name": "Ann", "last_name": "Ames", "phone_number": "+351929312319"},
            ],
            [Created("a"), Created("b")],
        ),
        (
            "by external reference",
            [person("Ann", "1", external_id="1"), person("Ann", "1", external_id="2")],
            [
                {"id": "b", "first_name": "Ann", "external_id": "2"},
                {"id": "a", "first_name": "Ann", "external_id": "1"},
            ],
            [Created("a"), Created("b")],
        ),
        (
            "the reference of another provider",
            [person("Ann", "1", external_id="1", external_provider="crm")],
            [{"id": "a", "first_name": "Ann", "external_id": "1", "external_provider": "erp"}],
            [UNMATCHED],
        ),
        (
            "the reference under another name",
            [person("Ann", "1", external_id="1"), BOB],
            [{"id": "a", "first_name": "Zoe", "external_id": "1"}, fine(BOB, "b")],
            [UNMATCHED, Created("b")],
        ),
        (
            "one person twice, told by extra data",
            [{**ANN, "extra_data": {"n": 1}}, {**ANN, "extra_data": {"n": 2}}],
            [refused({**ANN, "extra_data": {"n": 2}}, "OTHER"), fine({**ANN, "extra_data": {"n": 1}}, "a")],
            [Created("a"), rejected("OTHER")],
        ),
        (
            "one person twice, told by nothing, one fate",
            [{**ANN, "extra_data": {"n": 1}}, {**ANN, "extra_data": {"n": 2}}],
            [fine(ANN, "a"), fine(ANN, "b")],
            [Created("a"), Created("b")],
        ),
        (
            "one person twice, told by nothing, two fates",
            [{**ANN, "extra_data": {"n": 1}}, {**ANN, "extra_data": {"n": 2}}],
            [fine(ANN, "a"), refused(ANN, "OTHER")],
            [UNMATCHED, UNMATCHED],
        ),
        (
            "in place, the number left out",
            [ANN, BOB, CAT],
            [
                fine(ANN, "a"),
                {"first_name": "Bob", "last_name": "Ames", "phone_numbers": None, "errors": ["PHONE_NUMBER_INVALID"]},
                fine(CAT, "c"),
            ],
            [Created("a"), rejected("PHONE_NUMBER_INVALID", field="phone_numbers"), Created("c")],
        ),
        (
            "out of place, the number left out",
            [ANN, BOB, CAT],
            [
                fine(CAT, "c"),
                {"first_name": "Bob", "last_name": "Ames", "errors": ["PHONE_NUMBER_INVALID"]},
                fine(ANN, "a"),
            ],
            [Created("a"), UNMATCHED, Created("c")],
        ),
        (
            "in place, two who agree, one fate",
            [ANN, person("Ann", "1")],
            [{"id": "a", "first_name": "Ann"}, {"id": "b", "first_name": "Ann"}],
            [Created("a"), Created("b")],
        ),
        (
            "in place, two who agree, two fates",
            [ANN, person("Ann", "1")],
            [{"id": "a", "first_name": "Ann"}, {"errors": ["OTHER"], "first_name": "Ann"}],
            [UNMATCHED, UNMATCHED],
        ),
        ("alone, with another number", [ANN], [fine(person("Ann", "+351999999999"), "a")], [UNMATCHED]),
        ("alone, with another name", [ANN], [{"id": "a", "last_name": "Bell"}], [UNMATCHED]),
        ("alone, with a name that is none", [ANN], [{"id": "a", "last_name": 7}], [UNMATCHED]),
        ("priority beyond ten is theirs", [ANN], [fine({**ANN, "priority": 11}, "a")], [Created("a")]),
    ],
)
def test_who_is_who(name: str, sent: list[dict[str, Any]], shown: list[Any], replies: list[Reply]) -> None:
    assert read(shows(*shown), sent) == replies, name


# --- what an answer proves: counters without records


@pytest.mark.parametrize("empty", [{}, {"_embedded": None}, {"_embedded": {}}, {"_embedded": {"records": []}}])
@pytest.mark.parametrize(
    ("counters", "reply"),
    [
        ({"total_created": 3, "has_error": False}, Created(None)),
        ({"total_created": 3}, Created(None)),
        ({"total_created": 3, "has_error": None, "total_errors": 0}, Created(None)),
        ({"total_created": 3, "has_error": True}, Doubt("counters_disagree")),
        ({"total_created": 3, "has_errors": True}, Doubt("counters_disagree")),
        ({"total_created": 3, "has_error": "false"}, Doubt("counters_disagree")),
        ({"total_created": 3, "total_errors": 1}, Doubt("counters_disagree")),
        ({"total_created": 0}, NOT_CREATED),
        ({"total_created": 0, "has_error": True, "total_errors": 3}, NOT_CREATED),
        ({"total_created": 0, "has_errors": True, "total_errors": 7}, NOT_CREATED),
        ({"total_created": 0, "has_error": False}, Doubt("counters_disagree")),
        ({"total_created": 0, "has_error": True, "has_errors": False}, Doubt("counters_disagree")),
        ({"total_created": 0, "total_errors": 0}, Doubt("counters_disagree")),
        ({"total_created": 1}, UNMATCHED),
        ({"total_created": 2, "has_error": True, "total_errors": 1}, UNMATCHED),
        ({"total_created": 4}, Doubt("counters_disagree")),
        ({"total_created": 3, "total_errors": "0"}, Doubt("counters_missing")),
        ({"total_created": "3"}, Doubt("counters_missing")),
        ({"total_created": 3.0}, Doubt("counters_missing")),
        ({"total_created": True}, Doubt("counters_missing")),
        ({"total_created": -1}, Doubt("counters_missing")),
        ({"total_created": None}, Doubt("counters_missing")),
        ({"has_error": False}, Doubt("counters_missing")),
        ({}, Doubt("counters_missing")),
    ],
)
def test_counters_alone(empty: dict[str, Any], counters: dict[str, Any], reply: Reply) -> None:
    assert read({**empty, **counters}, TRIO) == [reply] * 3


def test_an_accepted_request_is_no_created_record() -> None:
    assert read({"total_created": 3}, TRIO, status=200) == [Created()] * 3
    assert read({"total_created": 3}, TRIO, status=202) == [Doubt("counters_missing")] * 3
    assert read({"total_created": 0}, TRIO, status=202) == [Doubt("counters_missing")] * 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>bad gateway</html>",
        json.dumps(shows(fine(ANN, "a"))).encode()[:-2],
        b"[" * 100_000,
        b"\xff\xfe",
        None,
        [],
        [fine(ANN, "a")],
        "text",
        7,
        {"_embedded": []},
        {"_embedded": "x", "total_created": 3},
        {"_embedded": {"records": {"0": fine(ANN, "a")}}, "total_created": 3},
        {"_embedded": {"records": "x"}, "total_created": 3},
    ],
)
def test_garbage_is_doubt(body: Any) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert list(read_replies(VENDOR, Response(201, {}, raw), TRIO)) == [Doubt("unreadable")] * 3


# --- refusals


def refusal(*names: Any, **more: Any) -> Response:
    fields = [{"name": name, "description": "why"} for name in names]
    return answer({"code": "0010005", "message": "bad data", "fields": fields, **more}, 400)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("records[1].first_name", "first_name"),
        ("records[1].phone_numbers[0].phone_number", "phone_numbers.0.phone_number"),
        ("records.1.first_name", "first_name"),
        ("/records/1/first_name", "first_name"),
        ("$.records[1].first_name", "first_name"),
        ("body.records[1].first_name", "first_name"),
        ("records[1]", None),
        ("records[1].a sentence about Ann", None),
    ],
)
def test_a_named_record(name: str, field: str | None) -> None:
    assert reasons(VENDOR, refusal(name), TRIO) == {1: (RecordError("0010005", field, "why"),)}


def test_several_named_records() -> None:
    named = reasons(VENDOR, refusal("records[0].first_name", "other", "records[2].last_name", "records[0].x"), TRIO)
    assert {index: [error.field for error in errors] for index, errors in named.items()} == {
        0: ["first_name", "x"],
        2: ["last_name"],
    }


@pytest.mark.parametrize(
    "name", ["records", "first_name", "records[-1].x", "records[x].y", "records[0]x", "xrecords[0].y", None, 7, ""]
)
def test_a_name_without_an_index_names_nobody(name: Any) -> None:
    assert reasons(VENDOR, refusal(name), TRIO) == {}


def test_an_index_out_of_range_discredits_the_others() -> None:
    assert reasons(VENDOR, refusal("records[1].first_name", "records[3].first_name"), TRIO) == {}


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        (refusal("records[0].first_name"), [RecordError("0010005", "first_name", "why")]),
        (refusal("records[7].first_name"), [RecordError("0010005", "first_name", "why")]),
        (refusal("first_name"), [RecordError("0010005", "first_name", "why")]),
        (refusal(), [RecordError("0010005", None, "bad data")]),
        (refusal(fields=None), [RecordError("0010005", None, "bad data")]),
        (refusal("first_name", code="a sentence about Ann"), [RecordError("http_400", "first_name", "why")]),
        (refusal(code=10005, message=None), [RecordError("10005")]),
        (answer({"fields": [{"name": "priority"}]}, 400), [RecordError("http_400", "priority")]),
    ],
)
def test_a_lone_record_is_meant(given: Response, errors: list[RecordError]) -> None:
    assert reasons(VENDOR, given, [ANN]) == {0: tuple(errors)}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"code": "bad_request"}, "bad_request"),
        ({"code": 10005}, "10005"),
        ({"code": "351929312319"}, "http_400"),
        ({"code": "not so short a word"}, "http_400"),
        ({"code": None}, "http_400"),
        ({"message": "x"}, "http_400"),
        ([], "http_400"),
        (b"<html>", "http_400"),
    ],
)
def test_the_code_of_a_refusal(body: Any, code: str) -> None:
    assert code_of(VENDOR, answer(body, 400)) == code


# --- whatever comes


def survives(status: int, body: bytes) -> None:
    whole = Response(status, {}, body)
    for sent in ([], [ANN], TRIO, [ANN, ANN]):
        replies = read_replies(VENDOR, whole, sent)
        assert len(replies) == len(sent)
        assert all(isinstance(reply, Created | Rejected | Again | Doubt | Stop) for reply in replies)
        assert all(reply.errors for reply in replies if isinstance(reply, Rejected))
        ids = [reply.id for reply in replies if isinstance(reply, Created) and reply.id is not None]
        assert len(set(ids)) == len(ids)
        named = reasons(VENDOR, whole, sent)
        assert set(named) <= set(range(len(sent)))
        assert all(named.values())
    assert code_of(VENDOR, whole)


@settings(deadline=None)
@given(st.sampled_from([200, 201, 400, 422]), st.binary(max_size=60))
def test_no_bytes_make_a_reader_fail(status: int, body: bytes) -> None:
    survives(status, body)


@settings(deadline=None)
@given(st.sampled_from([200, 201, 400, 422]), JSON)
def test_no_json_makes_a_reader_fail(status: int, body: Any) -> None:
    survives(status, json.dumps(body).encode())


@settings(deadline=None)
@given(st.data())
def test_no_mutated_answer_makes_a_reader_fail(data: st.DataObject) -> None:
    body = json.loads(json.dumps(shows(fine(ANN, "a"), refused(BOB, "OTHER"), fine(CAT, "c"), total_created=2)))
    for _ in range(data.draw(st.integers(1, 3))):
        holder = body
        while isinstance(holder, dict | list) and holder:
            keys: list[Any] = sorted(holder) if isinstance(holder, dict) else list(range(len(holder)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(holder[key], dict | list) or data.draw(st.booleans()):
                holder[key] = data.draw(JSON)
                break
            holder = holder[key]
    survives(201, json.dumps(body).encode())
    survives(400, json.dumps(body).encode())


@pytest.mark.parametrize("depth", [100, 900, 980, 990, 995, 1000, 5000])
def test_no_nesting_makes_a_reader_fail(depth: int) -> None:
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    record = json.dumps(fine(ANN, "a")).encode()[:-1] + b',"extra_data":' + deep + b"}"
    body = b'{"_embedded":{"records":[' + record + b"]}}"
    survives(201, body)
    assert list(read_replies(VENDOR, Response(201, {}, body), [ANN])) in ([Created("a")], [Doubt("unreadable")])


NAMES = st.sampled_from(["Ann", "Bob"])
NUMBERS = st.sampled_from(["0929312319", "0929312318"])
PEOPLE = st.builds(
    lambda first, phone, more: person(first, phone, **more),
    NAMES,
    NUMBERS,
    st.sampled_from(
        [{}, {}, {"external_id": "1"}, {"external_id": "2"}, {"extra_data": {"n": 1}}, {"extra_data": {"n": 2}}]
    ),
)


Case = tuple[list[dict[str, Any]], list[str | None], list[dict[str, Any]]]


@st.composite
def truthful(draw: st.DrawFn) -> Case:
    """Draw records, the id of each that was created, and a true answer in any order and spelling.

    Either some members of its records or some whole records are left out.
    """
    sent = draw(st.lists(PEOPLE, min_size=1, max_size=5))
    truth = [f"r{index}" if draw(st.booleans()) else None for index in range(len(sent))]
    whole_records = draw(st.booleans())
    shown = []
    for record, id_ in zip(sent, truth, strict=True):
        view = json.loads(json.dumps(record))
        if draw(st.booleans()):
            view["phone_numbers"][0]["phone_number"] = "+351" + record["phone_numbers"][0]["phone_number"][1:]
        left_out = draw(st.integers(0, 3)) == 0
        if left_out and whole_records:
            continue
        if left_out:
            view.pop(draw(st.sampled_from(["phone_numbers", "first_name", "last_name", "extra_data"])), None)
        shown.append({**view, "id": id_} if id_ else {**view, "errors": ["OTHER"]})
    return sent, truth, draw(st.permutations(shown))


@settings(max_examples=400, deadline=None)
@given(truthful())
def test_nobody_is_given_the_fate_of_another(case: Case) -> None:
    sent, truth, shown = case
    replies = read(shows(*shown), sent)
    for record in sent:
        equal = [index for index, other in enumerate(sent) if other == record]
        created = sum(truth[index] is not None for index in equal)
        assert sum(isinstance(replies[index], Created) for index in equal) <= created
        assert sum(isinstance(replies[index], Rejected) for index in equal) <= len(equal) - created


@settings(max_examples=200, deadline=None)
@given(st.lists(PEOPLE, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_a_whole_answer_in_any_order_leaves_no_doubt(sent: list[dict[str, Any]], random: Any) -> None:
    shown = [fine(record, f"r{index}") for index, record in enumerate(sent)]
    random.shuffle(shown)
    replies = read(shows(*shown, total_created=len(sent), has_error=False), sent)
    owners = {f"r{index}": record for index, record in enumerate(sent)}
    for record, reply in zip(sent, replies, strict=True):
        assert isinstance(reply, Created)
        assert reply.id is not None
        assert owners[reply.id] == record
