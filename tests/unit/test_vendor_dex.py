"""Dex: contract, and what its answers prove."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.errors import ConfigError, InvalidRecordError
from airflow_provider_contacts.records.mapper import InvalidRecord, Mapper, Prepared
from airflow_provider_contacts.sources.plain_values import plain_row
from airflow_provider_contacts.vendor_kit.answers import read_replies
from airflow_provider_contacts.vendor_kit.auth import FixedHeader
from airflow_provider_contacts.vendor_kit.forms import Account
from airflow_provider_contacts.vendor_kit.vendor import Created, Doubt, Reply, Request, Response
from airflow_provider_contacts.vendors.dex import VENDOR
from tests.support.answers import code_of, reasons

ANN: dict[str, Any] = {"full_name": "Ann Ames", "company": "Acme"}
BOB: dict[str, Any] = {"first_name": "Bob", "last_name": "Bell"}
CAT: dict[str, Any] = {"contact_emails": [{"email": "cat@example.com"}]}
TRIO = [ANN, BOB, CAT]
ID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
OTHER_ID = "11111111-2222-4333-8444-555555555555"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 5) | st.floats() | st.sampled_from(["", "Ann Ames", "c0"]) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["error", "data", "contacts", "id", "full_name", "first_name", "last_name", "company"])
            | st.text(max_size=3),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


def prepare(record: Mapping[str, Any]) -> Prepared | InvalidRecord:
    return Mapper(vendor=VENDOR, destination={}, sync_id="s").prepare(0, plain_row(record))


def payload_of(record: Mapping[str, Any]) -> dict[str, Any]:
    prepared = prepare(record)
    assert isinstance(prepared, Prepared), prepared
    return dict(prepared.payload)


def faults_of(record: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    unfit = prepare(record)
    assert isinstance(unfit, InvalidRecord), unfit
    return [(code, field) for code, field, _ in unfit.errors]


def answer_of(body: Any) -> Response:
    return Response(200, {}, json.dumps(body).encode())


def body_of(contacts: Any, error: Any = False) -> dict[str, Any]:
    return {"error": error, "data": {"contacts": contacts}}


def shown(record: Mapping[str, Any], one: Any) -> dict[str, Any]:
    names = ("full_name", "first_name", "last_name", "company", "birthday", "linkedin")
    return {**{name: record.get(name) for name in names}, "id": one, "is_archived": False}


def brief(replies: Sequence[Reply]) -> list[str]:
    """One word a reply: the id or the code."""
    words = []
    for reply in replies:
        match reply:
            case Created(id=one):
                words.append(f"+{one}")
            case Doubt(code=code):
                words.append(f"?{code}")
            case _:
                words.append(repr(reply))
    return words


def read(body: Any, sent: Sequence[dict[str, Any]] = TRIO) -> list[str]:
    return brief(read_replies(VENDOR, answer_of(body), sent))


class TestContract:
    @pytest.mark.parametrize(
        ("record", "payload"),
        [
            ({"full_name": " Ann "}, {"full_name": " Ann "}),
            ({"email": "Ann@Example.com"}, {"contact_emails": [{"email": "Ann@Example.com"}]}),
            ({"phone_number": "+49 30 1"}, {"contact_phone_numbers": [{"phone_number": "+49 30 1"}]}),
            ({"id": ID.upper(), "company": "Acme"}, {"id": ID.upper(), "company": "Acme"}),
            ({"id": UUID(ID)}, {"id": ID}),
            ({"company": "Acme", "id": None, "email": ""}, {"company": "Acme"}),
            ({"source": "anything", "frequency": "7 days"}, {"source": "anything", "frequency": "7 days"}),
            ({"birthday": date(1990, 2, 3)}, {"birthday": "1990-02-03"}),
            ({"birthday": "1990-02-03", "birthday_year": 1990.0}, {"birthday": "1990-02-03", "birthday_year": 1990}),
            ({"last_seen_at": "2026-01-02T03:04:05Z"}, {"last_seen_at": "2026-01-02T03:04:05Z"}),
            ({"last_seen_at": datetime(2026, 1, 2, tzinfo=UTC)}, {"last_seen_at": "2026-01-02T00:00:00+00:00"}),
            ({"starred": False}, {"starred": False}),
            ({"starred": 1, "never_keep_in_touch": 0.0}, {"starred": True, "never_keep_in_touch": False}),
            (
                {"coordinates": '{"operation": "set", "data": {"latitude": 52, "longitude": 13.5}}'},
                {"coordinates": {"operation": "set", "data": {"latitude": 52, "longitude": 13.5}}},
            ),
            ({"linkedin_data": {"a": [1, None, "x"]}}, {"linkedin_data": {"a": [1, None, "x"]}}),
            ({"tags_contacts": f'[{{"tag_id": "{ID}"}}]'}, {"tags_contacts": [{"tag_id": ID}]}),
            ({"groups_contacts": [{"group_id": ID}]}, {"groups_contacts": [{"group_id": ID}]}),
            (
                {"custom_fields": [{"id": ID, "type": "datepicker", "text_value": "x", "custom_field": {"a": 1}}]},
                {"custom_fields": [{"id": ID, "type": "datepicker", "text_value": "x", "custom_field": {"a": 1}}]},
            ),
            (
                {"contact_birthdays": {"contact_id": ID, "last_dismissal_year": 2000}},
                {"contact_birthdays": {"contact_id": ID, "last_dismissal_year": 2000}},
            ),
            (
                {"related_contacts": [{"destination": ID, "source_contact": None, "destination_contact": 1}]},
                {"related_contacts": [{"destination": ID, "destination_contact": 1}]},
            ),
            (
                {"contact_emails": [{"email": "a@b.example", "label": "work", "ranking": 1.0}]},
                {"contact_emails": [{"email": "a@b.example", "label": "work", "ranking": 1}]},
            ),
            ({"legacy_contact_addresses": [{"formatted": "x"}]}, {"legacy_contact_addresses": [{"formatted": "x"}]}),
        ],
    )
    def test_valid(self, record: dict[str, Any], payload: dict[str, Any]) -> None:
        found = payload_of(record)
        assert found == payload
        assert json.dumps(found, sort_keys=True) == json.dumps(payload, sort_keys=True)

    @pytest.mark.parametrize(
        ("record", "faults"),
        [
            ({}, [("empty_record", None)]),
            ({"full_name": None, "email": ""}, [("empty_record", None)]),
            ({"nickname": "A"}, [("unknown_field", "nickname")]),
            ({"full_name": 7}, [("wrong_type", "full_name")]),
            ({"company": True}, [("wrong_type", "company")]),
            ({"email": "ann at example"}, [("invalid_email", "contact_emails.0.email")]),
            ({"phone_number": 49301}, [("wrong_type", "contact_phone_numbers.0.phone_number")]),
            ({"email": "a@b.example", "contact_emails": []}, [("conflict", "email")]),
            ({"phone_number": "1", "contact_phone_numbers": []}, [("conflict", "phone_number")]),
            ({"id": "1"}, [("invalid_uuid", "id")]),
            ({"id": 1}, [("wrong_type", "id")]),
            ({"birthday": "3.2.1990"}, [("invalid_date", "birthday")]),
            ({"birthday": datetime(1990, 2, 3, tzinfo=UTC)}, [("invalid_date", "birthday")]),
            ({"birthday_year": "1990"}, [("wrong_type", "birthday_year")]),
            ({"birthday_year": 1990.5}, [("wrong_type", "birthday_year")]),
            ({"birthday_year": True}, [("wrong_type", "birthday_year")]),
            ({"last_seen_at": "yesterday"}, [("invalid_datetime", "last_seen_at")]),
            ({"last_seen_at": "2026-01-02T03:04:05"}, [("invalid_datetime", "last_seen_at")]),
            ({"starred": "true"}, [("wrong_type", "starred")]),
            ({"starred": 2}, [("wrong_type", "starred")]),
            ({"coordinates": {"data": {"latitude": "52"}}}, [("wrong_type", "coordinates.data.latitude")]),
            ({"coordinates": {"data": {"latitude": True}}}, [("wrong_type", "coordinates.data.latitude")]),
            ({"coordinates": "52, 13"}, [("invalid_json", "coordinates")]),
            ({"linkedin_data": "[]"}, [("wrong_type", "linkedin_data")]),
            ({"web_search_summary": {"a": object()}}, [("not_json", "web_search_summary")]),
            ({"custom_fields": {"id": ID}}, [("wrong_type", "custom_fields")]),
            ({"tags_contacts": {"append": [ID]}}, [("wrong_type", "tags_contacts")]),
            ({"tags_contacts": [{"tag_id": "vip"}]}, [("invalid_uuid", "tags_contacts.0.tag_id")]),
            ({"contact_emails": [None]}, [("wrong_type", "contact_emails.0")]),
            ({"contact_emails": [{"address": "x"}]}, [("unknown_field", "contact_emails.0.address")]),
        ],
    )
    def test_invalid(self, record: dict[str, Any], faults: list[tuple[str, str | None]]) -> None:
        assert faults_of(record) == faults

    @pytest.mark.parametrize(
        ("record", "faults"),
        [
            ({"birthday_year": float("inf")}, [("wrong_type", "birthday_year")]),
            ({"coordinates": {"data": {"latitude": float("inf")}}}, [("wrong_type", "coordinates.data.latitude")]),
            ({"linkedin_data": {"a": float("inf")}}, [("not_json", "linkedin_data")]),
            ({"custom_fields": [{"custom_field": {1, 2}}]}, [("not_json", "custom_fields.0.custom_field")]),
            ({"company": None}, [("wrong_type", "company")]),
        ],
    )
    def test_what_json_cannot_say(self, record: dict[str, Any], faults: list[tuple[str, str | None]]) -> None:
        with pytest.raises(InvalidRecordError) as caught:
            VENDOR.contract.check(record)
        assert [(code, field) for code, field, _ in caught.value.errors] == faults

    def test_every_documented_field_is_there(self) -> None:
        # The request sample of the vendor's page has this many members.
        assert len(VENDOR.contract.fields) == 61
        assert sum(field.nested for field in VENDOR.contract.fields.values()) == 11


class TestConnection:
    def test_values(self) -> None:
        assert VENDOR.base_url(Account()) == "https://api.prod.getdex.com"
        assert VENDOR.request_path({}) == "/v1/contacts/"
        assert VENDOR.envelope == (b'{"contacts":[', b"]}")
        assert VENDOR.check is not None
        assert VENDOR.check({}) == Request("GET", "/v1/users/me")
        assert VENDOR.destination.settings == ()

    def test_key(self) -> None:
        assert VENDOR.auth.credential(Account(password="dex_1")) == FixedHeader("Bearer dex_1")

    def test_no_key(self) -> None:
        with pytest.raises(ConfigError, match="password"):
            VENDOR.auth.credential(Account())


class TestOutcomeTable:
    def test_as_many_as_sent(self) -> None:
        assert read(body_of([shown(ANN, "a"), shown(BOB, "b"), shown(CAT, "c")])) == ["+a", "+b", "+c"]

    def test_a_name_that_we_did_not_give_is_no_contradiction(self) -> None:
        assert read(body_of([shown({"full_name": "Cat"}, "c")]), [CAT]) == ["+c"]

    def test_names_told_whole_or_in_parts(self) -> None:
        body = body_of([shown({"first_name": "Ann", "last_name": "Ames", "company": "ACME"}, "a")])
        assert read(body, [ANN]) == ["+a"]
        assert read(body_of([shown({"full_name": "Bob Bell"}, "b")]), [BOB]) == ["+b"]

    def test_shuffled(self) -> None:
        assert read(body_of([shown(BOB, "b"), shown(ANN, "a")]), [ANN, BOB]) == ["+a", "+b"]

    def test_shuffled_without_a_name(self) -> None:
        body = body_of([shown(CAT, "c"), shown(BOB, "b"), shown(ANN, "a")])
        assert read(body) == ["+a", "+b", "?unmatched"]

    def test_wrong_company_is_a_contradiction(self) -> None:
        assert read(body_of([shown({**ANN, "company": "Other"}, "a")]), [ANN]) == ["?unmatched"]

    def test_company_not_shown(self) -> None:
        assert read(body_of([shown({"full_name": "Ann Ames"}, "a")]), [ANN]) == ["+a"]

    def test_contacts_of_somebody_else(self) -> None:
        assert read(body_of([shown({"full_name": "Zoe"}, "z")]), [ANN]) == ["?unmatched"]

    def test_fewer(self) -> None:
        assert read(body_of([shown(BOB, "b")])) == ["?not_returned", "+b", "?not_returned"]

    def test_fewer_with_equal_names(self) -> None:
        assert read(body_of([shown(BOB, "b")]), [BOB, BOB, ANN]) == ["?not_returned"] * 3
        assert read(body_of([shown(BOB, "b"), shown(BOB, "c")]), [BOB, ANN, BOB]) == ["+b", "?not_returned", "+c"]

    def test_fewer_told_by_company(self) -> None:
        other = {**ANN, "company": "Other"}
        assert read(body_of([shown(other, "o")]), [ANN, other]) == ["?not_returned", "+o"]
        assert read(body_of([shown({"company": "Acme"}, "x")]), [{"company": "Acme"}, BOB]) == ["+x", "?not_returned"]
        assert read(body_of([shown(ANN, "a")]), [{"full_name": "Ann Ames"}, ANN]) == ["?not_returned", "+a"]

    def test_fewer_without_companies(self) -> None:
        sent = [{"full_name": "Ann Ames"}, ANN, BOB]
        nameless = shown({"full_name": "Ann Ames"}, "a")
        assert read(body_of([nameless]), sent) == ["?not_returned"] * 3
        assert read(body_of([nameless, {**nameless, "id": "b"}]), sent) == ["+a", "+b", "?not_returned"]
        assert read(body_of([nameless, shown(ANN, "b")]), sent) == ["+a", "+b", "?not_returned"]

    def test_fewer_with_a_company_of_somebody_else(self) -> None:
        sent = [{"full_name": "Ann Ames"}, ANN, BOB]
        data = [shown({"full_name": "Ann Ames"}, "a"), shown({**ANN, "company": "Other"}, "b")]
        assert read(body_of(data), sent) == ["?not_returned"] * 3

    def test_nothing_to_compare(self) -> None:
        assert read(body_of([shown({}, "c")]), [CAT, CAT]) == ["?not_returned"] * 2

    def test_none(self) -> None:
        assert read(body_of([])) == ["?not_returned"] * 3

    def test_more(self) -> None:
        body = body_of([shown(ANN, "a"), shown(BOB, "b"), shown(CAT, "c"), shown(CAT, "d")])
        assert read(body) == ["?contacts_disagree"] * 3

    def test_more_with_the_records_own_id(self) -> None:
        sent = [{**ANN, "id": ID}, BOB]
        body = body_of([shown(BOB, "b"), shown(BOB, "c"), shown(ANN, ID)])
        assert read(body, sent) == [f"+{ID}", "?contacts_disagree"]

    def test_an_id_that_comes_twice(self) -> None:
        assert read(body_of([shown(ANN, "a"), shown(BOB, "A")]), [ANN, BOB]) == ["?contacts_disagree"] * 2

    def test_own_id_echoed(self) -> None:
        sent = [{**ANN, "id": ID}, BOB]
        assert read(body_of([shown(BOB, "b"), shown(ANN, ID.upper())]), sent) == [f"+{ID.upper()}", "+b"]

    def test_own_id_not_honoured(self) -> None:
        assert read(body_of([shown(ANN, OTHER_ID)]), [{**ANN, "id": ID}]) == [f"+{OTHER_ID}"]

    def test_own_id_given_to_two_records(self) -> None:
        sent = [{"id": ID}, {"id": ID}]
        assert read(body_of([shown({}, ID)]), sent) == ["?not_returned"] * 2
        assert read(body_of([shown({}, ID), shown({}, ID)]), sent) == ["?contacts_disagree"] * 2

    def test_own_id_at_another_place_breaks_the_order(self) -> None:
        sent = [{**CAT, "id": ID}, CAT]
        assert read(body_of([shown({}, "x"), shown({}, ID)]), sent) == [f"+{ID}", "?unmatched"]

    def test_flag_true(self) -> None:
        assert read({"error": True}) == ["?error_flag"] * 3
        assert read({"error": True, "data": None}) == ["?error_flag"] * 3
        assert read(body_of([], error=True)) == ["?error_flag"] * 3

    def test_flag_true_with_contacts(self) -> None:
        sent = [{**ANN, "id": ID}, BOB]
        body = body_of([shown(ANN, ID), shown(BOB, "b")], error=True)
        assert read(body, sent) == [f"+{ID}", "?error_flag"]

    @pytest.mark.parametrize("flag", [None, "false", "true", 0, 1, "", {}, []])
    def test_flag_not_boolean(self, flag: Any) -> None:
        assert read(body_of([shown(ANN, "a")], error=flag), [ANN]) == ["?error_flag_missing"]

    @pytest.mark.parametrize("body", [{}, [], None, 7, "x", [{"error": False}]])
    def test_flag_missing(self, body: Any) -> None:
        assert read(body) == ["?error_flag_missing"] * 3

    @pytest.mark.parametrize("data", [None, [], {}, {"contacts": None}, {"contacts": {}}, 7])
    def test_contacts_missing(self, data: Any) -> None:
        assert read({"error": False, "data": data}) == ["?contacts_missing"] * 3

    @pytest.mark.parametrize("one", [None, "", True, 1.5, [], {}])
    def test_a_contact_without_an_id_proves_nothing(self, one: Any) -> None:
        assert read(body_of([shown(ANN, one), shown(BOB, "b")]), [ANN, BOB]) == ["?unmatched", "+b"]

    def test_contacts_that_are_none(self) -> None:
        assert read(body_of([None, 7, shown(BOB, "b")])) == ["?unmatched", "+b", "?unmatched"]

    @pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff"])
    def test_unreadable(self, body: bytes) -> None:
        assert brief(read_replies(VENDOR, Response(200, {}, body), TRIO)) == ["?unreadable"] * 3


def mutate(value: Any, chooser: random.Random, strange: Any) -> Any:
    """Put ``strange`` in a random place of a JSON value."""
    if isinstance(value, dict) and value and chooser.random() < 0.8:
        name = chooser.choice(sorted(value))
        return {**value, name: mutate(value[name], chooser, strange)}
    if isinstance(value, list) and value and chooser.random() < 0.8:
        place = chooser.randrange(len(value))
        return [*value[:place], mutate(value[place], chooser, strange), *value[place + 1 :]]
    return strange


class TestAnyAnswer:
    @given(st.binary(max_size=60), st.integers(0, 3))
    def test_bytes(self, body: bytes, count: int) -> None:
        assert len(read_replies(VENDOR, Response(200, {}, body), TRIO[:count])) == count
        assert reasons(VENDOR, Response(422, {}, body), TRIO[:count]) == {}
        assert code_of(VENDOR, Response(422, {}, body)) == "http_422"

    @given(JSON, st.integers(0, 3))
    def test_json(self, body: Any, count: int) -> None:
        assert len(read_replies(VENDOR, answer_of(body), TRIO[:count])) == count

    @given(JSON, st.randoms(use_true_random=False))
    def test_real_answer_with_something_strange_in_it(self, strange: Any, chooser: random.Random) -> None:
        sent = [{**ANN, "id": ID}, BOB, CAT]
        body = body_of([shown(ANN, ID), shown(BOB, "b"), shown(CAT, "c")])
        assert len(read_replies(VENDOR, answer_of(mutate(body, chooser, strange)), sent)) == 3


class TestTruth:
    """Whatever part of a batch is taken and in whatever order it is shown, an outcome never claims what is not so."""

    @given(
        st.lists(st.tuples(st.sampled_from(["Ann", "ANN", "Bob", "Cat"]), st.sampled_from(["", "Acme", "Other"]))),
        st.sets(st.integers(0, 6)),
        st.booleans(),
        st.randoms(use_true_random=False),
    )
    def test_no_claim_is_false(
        self, people: list[tuple[str, str]], lost: set[int], company_shown: bool, chooser: random.Random
    ) -> None:
        sent = [{"full_name": name, **({"company": company} if company else {})} for name, company in people]
        created = [index for index in range(len(sent)) if index not in lost]
        contacts = [
            shown({"full_name": sent[i]["full_name"]} if not company_shown else sent[i], f"c{i}") for i in created
        ]
        chooser.shuffle(contacts)
        replies = read_replies(VENDOR, answer_of(body_of(contacts)), sent)
        ids = [reply.id for reply in replies if isinstance(reply, Created)]
        assert len(set(ids)) == len(ids)
        for index, reply in enumerate(replies):
            if isinstance(reply, Created):
                assert index in created
                assert reply.id is not None
                other = sent[int(reply.id[1:])]
                assert other["full_name"].casefold() == sent[index]["full_name"].casefold()
            else:
                assert isinstance(reply, Doubt)
