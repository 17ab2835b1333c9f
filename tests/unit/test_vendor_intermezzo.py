"""Intermezzo: contract, addresses, and what its answers prove."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.errors import ConfigError, InvalidRecordError
from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.records.mapper import InvalidRecord, Mapper, Prepared
from airflow_provider_contacts.sources.plain_values import plain_row
from airflow_provider_contacts.vendor_kit.answers import read_replies
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials, FixedHeader
from airflow_provider_contacts.vendor_kit.forms import Account
from airflow_provider_contacts.vendor_kit.vendor import Again, Created, Doubt, Rejected, Reply, Request, Response
from airflow_provider_contacts.vendors.intermezzo import VENDOR
from tests.support.answers import code_of, reasons

ANN = {"name": "Ann Ames", "email": "ann@example.com"}
BOB = {"name": "Bob Bell", "email": "bob@example.com"}
CAT = {"name": "Cat Cole", "email": "cat@example.com"}
TRIO = [ANN, BOB, CAT]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 5) | st.floats() | st.sampled_from(["", "Ann Ames", "c0"]) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["total", "succeeded", "failed", "unprocessed", "data", "errors", "inputIndex", "id", "name", "email"]
            )
            | st.sampled_from(["detail", "loc", "phone", "roles", "code", "phoneNumber", "error", "details", "field"])
            | st.text(max_size=3),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


def prepare(record: Mapping[str, Any]) -> Prepared | InvalidRecord:
    mapper = Mapper(vendor=VENDOR, destination={"organization_id": "org_1"}, sync_id="s")
    return mapper.prepare(0, plain_row(record))


def payload_of(record: Mapping[str, Any]) -> dict[str, Any]:
    prepared = prepare(record)
    assert isinstance(prepared, Prepared), prepared
    return dict(prepared.payload)


def faults_of(record: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    unfit = prepare(record)
    assert isinstance(unfit, InvalidRecord), unfit
    return [(code, field) for code, field, _ in unfit.errors]


def answer_of(body: Any, status: int = 200) -> Response:
    return Response(status, {}, json.dumps(body).encode())


def counted(counts: tuple[Any, Any, Any, Any], data: Any = None, errors: Any = None, **more: Any) -> dict[str, Any]:
    names = ("total", "succeeded", "failed", "unprocessed")
    return {**dict(zip(names, counts, strict=True)), "data": data, "errors": errors, **more}


def refusal_of(index: Any, code: Any = "ADDRESS_NOT_FOUND", field: Any = "email") -> dict[str, Any]:
    return {"inputIndex": index, "errors": [{"code": code, "message": "m", "field": field, "params": {}}]}


def shown(record: Mapping[str, Any], number: int | str, **more: Any) -> dict[str, Any]:
    return {"id": f"c{number}", "email": None, "phone": None, "roles": [], **record, **more}


def brief(replies: Sequence[Reply]) -> list[str]:
    """One word a reply: the id, the code, or the rejecting codes with their fields."""
    words = []
    for reply in replies:
        match reply:
            case Created(id=one):
                words.append(f"+{one}")
            case Rejected(errors=errors):
                words.append("-" + ",".join(f"{error.code}@{error.field}" for error in errors))
            case Again(code=code):
                words.append(f"again:{code}")
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
            ({"name": "  Ann  "}, {"name": "  Ann  "}),
            ({"name": "Ann", "email": "Ann@EXAMPLE.com"}, {"name": "Ann", "email": "Ann@EXAMPLE.com"}),
            ({"name": "Ann", "email": None}, {"name": "Ann", "email": None}),
            ({"name": "Ann", "email": ""}, {"name": "Ann"}),
            ({"name": "Ann", "email": float("nan")}, {"name": "Ann"}),
            ({"name": "Ann", "phone": None, "roles": None}, {"name": "Ann"}),
            ({"first_name": "Ann", "last_name": "Ames"}, {"name": "Ann Ames"}),
            ({"last_name": "Ames", "first_name": "Ann"}, {"name": "Ann Ames"}),
            ({"first_name": "Ann", "last_name": None}, {"name": "Ann"}),
            ({"first_name": "", "last_name": "Ames"}, {"name": "Ames"}),
            (
                {"name": "Ann", "phone_number": "+49 30 1"},
                {"name": "Ann", "phone": {"phoneNumber": "+49 30 1", "phoneType": "mobile"}},
            ),
            (
                {"name": "Ann", "phone_number": "1", "phone_type": "landline"},
                {"name": "Ann", "phone": {"phoneNumber": "1", "phoneType": "landline"}},
            ),
            ({"name": "Ann", "phone_type": "mobile"}, {"name": "Ann"}),
            ({"name": "Ann", "phone": {"phoneNumber": "1"}}, {"name": "Ann", "phone": {"phoneNumber": "1"}}),
            (
                {"name": "Ann", "phone": '{"phoneNumber": "1", "phoneType": null}'},
                {"name": "Ann", "phone": {"phoneNumber": "1"}},
            ),
            ({"name": "Ann", "roles": ["x", "y"]}, {"name": "Ann", "roles": ["x", "y"]}),
            ({"name": "Ann", "roles": '["x"]'}, {"name": "Ann", "roles": ["x"]}),
            ({"name": "Ann", "roles": []}, {"name": "Ann", "roles": []}),
        ],
    )
    def test_valid(self, record: dict[str, Any], payload: dict[str, Any]) -> None:
        assert payload_of(record) == payload

    @pytest.mark.parametrize(
        ("record", "faults"),
        [
            ({"email": "ann@example.com"}, [("missing_field", "name")]),
            ({"name": None}, [("missing_field", "name")]),
            ({"name": ""}, [("too_short", "name")]),
            ({"name": 7}, [("wrong_type", "name")]),
            ({"name": "Ann", "email": "ann at example"}, [("invalid_email", "email")]),
            ({"name": "Ann", "email": 7}, [("wrong_type", "email")]),
            ({"name": "Ann", "age": 7}, [("unknown_field", "age")]),
            ({"name": "Ann", "phone": {"number": "1"}}, [("unknown_field", "phone.number")]),
            ({"name": "Ann", "phone": {"phone_number": "1"}}, [("unknown_field", "phone.phone_number")]),
            ({"name": "Ann", "phone": {"phoneNumber": 1}}, [("wrong_type", "phone.phoneNumber")]),
            ({"name": "Ann", "phone_number": 1}, [("wrong_type", "phone.phoneNumber")]),
            ({"name": "Ann", "phone": "+49 30 1"}, [("invalid_json", "phone")]),
            ({"name": "Ann", "roles": "boss"}, [("invalid_json", "roles")]),
            ({"name": "Ann", "roles": '"boss"'}, [("wrong_type", "roles")]),
            ({"name": "Ann", "roles": ["boss", None]}, [("wrong_type", "roles.1")]),
            ({"name": "Ann", "first_name": "Ann"}, [("conflict", "first_name")]),
            ({"name": "Ann", "phone": {}, "phone_number": "1"}, [("conflict", "phone_number")]),
        ],
    )
    def test_invalid(self, record: dict[str, Any], faults: list[tuple[str, str | None]]) -> None:
        assert faults_of(record) == faults

    def test_parts_of_a_name_are_texts(self) -> None:
        with pytest.raises(InvalidRecordError) as caught:
            VENDOR.contract.shape({"first_name": 1, "last_name": 2})
        found = [(code, field) for code, field, _ in caught.value.errors]
        assert found == [("wrong_type", "first_name"), ("wrong_type", "last_name")]


class TestAddresses:
    def test_path(self) -> None:
        assert VENDOR.request_path({"organization_id": "org_1"}) == "/organizations/org_1/contacts/list"

    def test_path_is_percent_encoded(self) -> None:
        path = VENDOR.request_path({"organization_id": "a/b?c#d é%"})
        assert path == "/organizations/a%2Fb%3Fc%23d%20%C3%A9%25/contacts/list"

    @pytest.mark.parametrize("organization", [".", "..", ""])
    def test_path_never_climbs(self, organization: str) -> None:
        with pytest.raises(ConfigError, match="organization_id"):
            VENDOR.request_path({"organization_id": organization})

    def test_check(self) -> None:
        assert VENDOR.check is not None
        assert VENDOR.check({"organization_id": "org_1"}) == Request("GET", "/organizations/org_1")
        assert VENDOR.check({}) == Request("GET", "/organizations")

    def test_base_url(self) -> None:
        assert VENDOR.base_url(Account()) == "https://preview.intermezzo.ai"

    def test_client_credentials(self) -> None:
        assert VENDOR.auth.credential(Account(login="id", password="secret")) == ClientCredentials(
            token_url="https://auth.intermezzo.ai/oauth/token",
            client_id="id",
            client_secret="secret",
            method="client_secret_post",
            encoding="json",
            parameters=(("audience", "https://api.intermezzo.ai"),),
        )

    def test_token_url_and_audience_are_settings(self) -> None:
        extra = {"token_url": "https://t.example/token", "audience": "https://a.example"}
        credential = VENDOR.auth.credential(Account(login="id", password="secret", extra=extra))
        assert isinstance(credential, ClientCredentials)
        assert credential.token_url == "https://t.example/token"
        assert credential.parameters == (("audience", "https://a.example"),)

    def test_ready_token(self) -> None:
        assert VENDOR.auth.credential(Account(password="token")) == FixedHeader("Bearer token")

    def test_no_password(self) -> None:
        with pytest.raises(ConfigError, match="password"):
            VENDOR.auth.credential(Account(login="id"))


class TestOutcomeTable:
    def test_all_created(self) -> None:
        data = [shown(record, number) for number, record in enumerate(TRIO)]
        assert read(counted((3, 3, 0, 0), data, [])) == ["+c0", "+c1", "+c2"]

    def test_errors_absent(self) -> None:
        body = counted((1, 1, 0, 0), [shown(ANN, 0)])
        del body["errors"]
        assert read(body, [ANN]) == ["+c0"]

    def test_shuffled(self) -> None:
        data = [shown(CAT, 2), shown(ANN, 0), shown(BOB, 1)]
        assert read(counted((3, 3, 0, 0), data)) == ["+c0", "+c1", "+c2"]

    def test_all_or_nothing(self) -> None:
        body = counted((3, 0, 1, 2), None, [refusal_of(1)])
        assert read(body) == ["again:unprocessed", "-ADDRESS_NOT_FOUND@email", "again:unprocessed"]

    def test_partial_success(self) -> None:
        body = counted((3, 2, 1, 0), [shown(ANN, 0), shown(CAT, 2)], [refusal_of(1)])
        assert read(body) == ["+c0", "-ADDRESS_NOT_FOUND@email", "+c2"]

    def test_stop_at_first(self) -> None:
        body = counted((3, 1, 1, 1), [shown(ANN, 0)], [refusal_of(1)])
        assert read(body) == ["+c0", "-ADDRESS_NOT_FOUND@email", "again:unprocessed"]

    def test_nobody_to_blame(self) -> None:
        assert read(counted((3, 1, 0, 2), [shown(BOB, 1)])) == ["again:unprocessed", "+c1", "again:unprocessed"]

    def test_nothing_done(self) -> None:
        assert read(counted((3, 0, 0, 3))) == ["again:unprocessed"] * 3

    def test_all_refused(self) -> None:
        body = counted((2, 0, 2, 0), [], [refusal_of(0), refusal_of(1, "X", None)])
        assert read(body, [ANN, BOB]) == ["-ADDRESS_NOT_FOUND@email", "-X@None"]

    def test_several_entries_of_one_index_are_merged(self) -> None:
        body = counted((2, 1, 1, 0), [shown(BOB, 1)], [refusal_of(0, "A"), refusal_of(0, "B", "name")])
        assert read(body, [ANN, BOB]) == ["-A@email,B@name", "+c1"]

    def test_reasons_keep_the_vendors_text(self) -> None:
        replies = list(read_replies(VENDOR, answer_of(counted((1, 0, 1, 0), [], [refusal_of(0)])), [ANN]))
        assert replies == [Rejected((RecordError("ADDRESS_NOT_FOUND", "email", "m"),))]

    @pytest.mark.parametrize("inner", [None, [], "x", [7]])
    def test_a_refusal_without_a_reason(self, inner: Any) -> None:
        body = counted((1, 0, 1, 0), [], [{"inputIndex": 0, "errors": inner}])
        assert read(body, [ANN]) == ["-unspecified@None"]

    def test_a_code_that_is_a_sentence_becomes_the_message(self) -> None:
        text = "ann@example.com is taken"
        body = counted((1, 0, 1, 0), [], [{"inputIndex": 0, "errors": [{"code": text}]}])
        assert list(read_replies(VENDOR, answer_of(body), [ANN])) == [
            Rejected((RecordError("unspecified", None, text),))
        ]

    @pytest.mark.parametrize(
        "counts",
        [
            (0, 0, 0, 0),
            (None, 3, 0, 0),
            (3, "3", 0, 0),
            (3, 3, False, 0),
            (3, 3.0, 0, 0),
            (3, 3, 0, -1),
        ],
    )
    def test_counters_missing(self, counts: tuple[Any, Any, Any, Any]) -> None:
        data = [shown(record, number) for number, record in enumerate(TRIO)]
        assert read(counted(counts, data, [])) == ["?counters_missing"] * 3

    @pytest.mark.parametrize("counts", [(4, 2, 1, 1), (3, 3, 1, 0), (3, 2, 1, 1), (2, 2, 0, 0), (123, 123, 123, 123)])
    def test_counters_disagree(self, counts: tuple[int, int, int, int]) -> None:
        body = counted(counts, [shown(CAT, 2)], [refusal_of(1)])
        assert read(body) == ["?counters_disagree", "-ADDRESS_NOT_FOUND@email", "+c2"]

    @pytest.mark.parametrize(
        ("counts", "shown_count", "refused"),
        [
            ((2, 2, 0, 0), 2, []),  # a record that nobody counted
            ((3, 2, 1, 0), 2, []),  # a failure that nobody names
            ((3, 2, 0, 1), 2, [0]),  # a failure that nobody counted
            ((3, 2, 0, 1), 1, []),  # a success that is not shown
            ((3, 1, 0, 2), 2, []),  # a success that nobody counted
            ((3, 1, 1, 1), 1, [1, -1]),  # a failure of nobody
        ],
    )
    def test_no_record_is_sent_again_while_anything_disagrees(
        self, counts: tuple[int, int, int, int], shown_count: int, refused: list[int]
    ) -> None:
        data = [shown(record, number) for number, record in enumerate(TRIO[:shown_count])]
        replies = read(counted(counts, data, [refusal_of(index) for index in refused]))
        assert not any(reply.startswith("again") for reply in replies)

    @pytest.mark.parametrize("data", [{}, "x", 7, [None, 7], [{"name": "Ann Ames"}]])
    def test_data_garbage(self, data: Any) -> None:
        assert read(counted((1, 1, 0, 0), data), [ANN]) == ["?counters_disagree"]

    def test_success_without_data(self) -> None:
        assert read(counted((3, 3, 0, 0))) == ["?counters_disagree"] * 3

    def test_errors_garbage(self) -> None:
        assert read(counted((1, 0, 1, 0), [], {"inputIndex": 0}), [ANN]) == ["?counters_disagree"]

    def test_an_id_that_comes_twice_proves_nothing(self) -> None:
        body = counted((3, 3, 0, 0), [shown(ANN, 0), shown(BOB, 0), shown(CAT, 2)])
        assert read(body) == ["?counters_disagree", "?counters_disagree", "+c2"]

    @pytest.mark.parametrize("index", [-1, 4, "1", None, True, 1.0, [], 10**30])
    def test_an_index_that_is_none(self, index: Any) -> None:
        body = counted((3, 2, 1, 0), [shown(ANN, 0), shown(CAT, 2)], [refusal_of(index)])
        assert read(body) == ["+c0", "?counters_disagree", "+c2"]

    def test_an_index_equal_to_the_total_suspects_counting_from_one(self) -> None:
        body = counted((3, 1, 2, 0), [shown(ANN, 0)], [refusal_of(2), refusal_of(3)])
        assert read(body) == ["+c0", "?index_base", "?index_base"]

    def test_a_contact_both_refused_and_shown_suspects_counting_from_one(self) -> None:
        body = counted((3, 2, 1, 0), [shown(BOB, 1), shown(CAT, 2)], [refusal_of(1)])
        assert read(body) == ["?index_base", "+c1", "+c2"]

    def test_a_refused_contact_shown_twice(self) -> None:
        body = counted((3, 2, 1, 0), [shown(BOB, 1), shown(BOB, 2)], [refusal_of(1)])
        assert read(body) == ["?index_base"] * 3

    @pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff", b'{"total": 3'])
    def test_unreadable(self, body: bytes) -> None:
        assert brief(read_replies(VENDOR, Response(200, {}, body), TRIO)) == ["?unreadable"] * 3

    @pytest.mark.parametrize("body", [[], None, 7, "x", [{"total": 3}]])
    def test_not_an_object(self, body: Any) -> None:
        assert read(body) == ["?counters_missing"] * 3


class TestContent:
    def test_case_spaces_and_writing_of_numbers_are_forgiven(self) -> None:
        sent: list[dict[str, Any]] = [
            {"name": "Ann  Ames", "email": "Ann@Example.com", "phone": {"phoneNumber": "+49 (30) 123-456"}},
            BOB,
        ]
        back = shown({"name": "ann ames ", "email": "ann@example.com", "phone": {"phoneNumber": "+4930123456"}}, "a")
        assert read(counted((2, 2, 0, 0), [shown(BOB, "b"), back]), sent) == ["+ca", "+cb"]

    def test_roles_added_and_number_made_international(self) -> None:
        sent = [
            {"name": "Ann", "phone": {"phoneNumber": "030 1234567"}},
            {"name": "Ann", "phone": {"phoneNumber": "2"}},
        ]
        data = [
            shown({"name": "Ann", "phone": {"phoneNumber": "+492"}, "roles": ["r"]}, "b"),
            shown({"name": "Ann", "phone": {"phoneNumber": "+49301234567"}, "roles": ["r"]}, "a"),
        ]
        assert read(counted((2, 2, 0, 0), data), sent) == ["+ca", "?unmatched"]

    def test_nothing_in_common_is_doubt_not_position(self) -> None:
        data = [shown({"name": "Xenia"}, 0), shown(BOB, 1), shown(CAT, 2)]
        assert read(counted((3, 3, 0, 0), data)) == ["?unmatched", "+c1", "+c2"]

    def test_unmatched_content_leaves_nobody_to_send_again(self) -> None:
        body = counted((3, 1, 0, 2), [shown({"name": "Xenia"}, 0)])
        assert read(body) == ["?unmatched"] * 3

    def test_equals_are_paired_in_order(self) -> None:
        body = counted((3, 2, 0, 1), [shown(ANN, 0), shown(BOB, 1)])
        assert read(body, [ANN, ANN, BOB]) == ["+c0", "again:unprocessed", "+c1"]

    def test_equals_to_the_eye_alone_are_not_told_apart(self) -> None:
        sent = [{"name": "Ann"}, {"name": "ANN"}]
        assert read(counted((2, 1, 0, 1), [shown({"name": "Ann"}, 0)]), sent) == ["?unmatched"] * 2

    def test_equals_to_the_eye_are_told_by_their_letters_where_all_are_shown(self) -> None:
        sent = [{"name": "Ann"}, {"name": "ANN"}]
        data = [shown({"name": "ANN"}, 1), shown({"name": "Ann"}, 0)]
        assert read(counted((2, 2, 0, 0), data), sent) == ["+c0", "+c1"]

    def test_a_refused_twin_is_not_confused_with_the_created_one(self) -> None:
        body = counted((2, 1, 1, 0), [shown(ANN, 0)], [refusal_of(1, "DUPLICATE", None)])
        assert read(body, [ANN, ANN]) == ["+c0", "-DUPLICATE@None"]

    def test_a_contact_of_somebody_else(self) -> None:
        assert read(counted((1, 1, 0, 0), [shown({"name": "Zoe"}, 9)]), [ANN]) == ["?unmatched"]


class TestRefusal:
    @pytest.mark.parametrize(
        ("detail", "named"),
        [
            ([{"loc": ["body", 1, "email"], "msg": "m", "type": "value_error"}], {1: [("value_error", "email")]}),
            ([{"loc": ["body", 0, "phone", "phoneNumber"], "type": "t"}], {0: [("t", "phone.phoneNumber")]}),
            ([{"loc": ["body", 0, "roles", 2], "type": "t"}], {0: [("t", "roles.2")]}),
            ([{"loc": [2, "email"], "type": "t"}], {2: [("t", "email")]}),
            ([{"loc": ["body", 2], "type": "t"}], {2: [("t", None)]}),
            (
                [{"loc": ["body", 1, "email"], "type": "a"}, {"loc": ["body", 1, "name"], "type": "b"}],
                {1: [("a", "email"), ("b", "name")]},
            ),
            ([{"loc": ["body", 0, "email"], "type": None}], {0: [("http_422", "email")]}),
            ([{"loc": ["body", 3, "email"], "type": "t"}], {}),
            ([{"loc": ["body", -1, "email"], "type": "t"}], {}),
            ([{"loc": ["body", "0", "email"], "type": "t"}], {}),
            ([{"loc": ["body", True, "email"], "type": "t"}], {}),
            ([{"loc": ["path", "organization_id"], "type": "t"}], {}),
            ([{"loc": ["body"], "type": "json_invalid"}], {}),
            ([{"loc": []}, {"loc": None}, {}, None, 7], {}),
            ("Not found", {}),
            (None, {}),
        ],
    )
    def test_fastapi(self, detail: Any, named: dict[int, list[tuple[str, str | None]]]) -> None:
        found = reasons(VENDOR, answer_of({"detail": detail}, 422), TRIO)
        assert {i: [(error.code, error.field) for error in errors] for i, errors in found.items()} == named

    OTHER: Mapping[str, Any] = {
        "error": "validation_error",
        "message": "m",
        "details": {"field": "email", "value": "x"},
    }

    def test_other_shape_names_a_lone_record(self) -> None:
        found = reasons(VENDOR, answer_of(self.OTHER, 422), [ANN])
        assert found == {0: (RecordError("validation_error", "email", "m"),)}

    def test_other_shape_names_nobody_among_several(self) -> None:
        assert reasons(VENDOR, answer_of(self.OTHER, 422), TRIO) == {}

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (OTHER, "validation_error"),
            ({"detail": [{"loc": ["body"], "type": "json_invalid"}]}, "json_invalid"),
            ({"detail": "Not Found"}, "http_422"),
            ({"error": "Ann Ames is not wanted"}, "http_422"),
            ({"error": True}, "http_422"),
            ([], "http_422"),
        ],
    )
    def test_code(self, body: Any, code: str | None) -> None:
        assert code_of(VENDOR, answer_of(body, 422)) == code

    def test_nothing_readable(self) -> None:
        assert reasons(VENDOR, Response(422, {}, b"<html>"), TRIO) == {}
        assert code_of(VENDOR, Response(422, {}, b"")) == "http_422"


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
        assert all(index < count for index in reasons(VENDOR, Response(422, {}, body), TRIO[:count]))
        code_of(VENDOR, Response(422, {}, body))

    @given(JSON, st.integers(0, 3))
    def test_json(self, body: Any, count: int) -> None:
        assert len(read_replies(VENDOR, answer_of(body), TRIO[:count])) == count
        assert all(0 <= index < count for index in reasons(VENDOR, answer_of(body, 422), TRIO[:count]))
        code_of(VENDOR, answer_of(body, 422))

    @given(JSON, st.randoms(use_true_random=False))
    def test_real_answer_with_something_strange_in_it(self, strange: Any, chooser: random.Random) -> None:
        body = counted((3, 1, 1, 1), [shown(ANN, 0)], [refusal_of(1)])
        assert len(read_replies(VENDOR, answer_of(mutate(body, chooser, strange)), TRIO)) == 3
        refusal = {"detail": [{"loc": ["body", 1, "email"], "msg": "m", "type": "t"}], "error": "e", "details": {}}
        reasons(VENDOR, answer_of(mutate(refusal, chooser, strange), 422), TRIO)
        code_of(VENDOR, answer_of(mutate(refusal, chooser, strange), 422))

    def test_nested_without_an_end(self) -> None:
        deep = b'{"total":' + b"[" * 100_000
        assert brief(read_replies(VENDOR, Response(200, {}, deep), [ANN])) == ["?unreadable"]


Design = Callable[[list[int], set[int]], tuple[list[int], list[int]]]
"""Which records a server creates and which it names, given all and the bad ones."""


def all_or_nothing(everyone: list[int], bad: set[int]) -> tuple[list[int], list[int]]:
    return ([], sorted(bad)) if bad else (everyone, [])


def stop_at_first(everyone: list[int], bad: set[int]) -> tuple[list[int], list[int]]:
    end = min(bad, default=len(everyone))
    return everyone[:end], [end] if bad else []


def partial_success(everyone: list[int], bad: set[int]) -> tuple[list[int], list[int]]:
    return [index for index in everyone if index not in bad], sorted(bad)


class TestTruth:
    """Whatever the server's design, an outcome never claims what is not so."""

    @given(
        st.tuples(st.sampled_from([all_or_nothing, stop_at_first, partial_success]), st.sampled_from([0, 0, 1])),
        st.lists(st.sampled_from(["Ann", "ANN", "Bob", "Cat", "Dan"]), min_size=1, max_size=6),
        st.sets(st.integers(0, 5)),
        st.booleans(),
        st.randoms(use_true_random=False),
    )
    def test_no_claim_is_false(
        self, server: tuple[Design, int], names: list[str], bad: set[int], tidy: bool, chooser: random.Random
    ) -> None:
        design, base = server
        count = len(names)
        sent = [{"name": name, "phone": {"phoneNumber": f"030 555{ord(name[0]):04}"}} for name in names]
        created, refused = design(list(range(count)), {index for index in bad if index < count})
        data = [shown(sent[index], index) for index in created]
        if tidy:
            data = [{**one, "phone": {"phoneNumber": "+4930" + one["phone"]["phoneNumber"][4:]}} for one in data]
        chooser.shuffle(data)
        body = counted(
            (count, len(created), len(refused), count - len(created) - len(refused)),
            data,
            [refusal_of(index + base) for index in refused],
        )
        replies = read_replies(VENDOR, answer_of(body), sent)
        ids = [reply.id for reply in replies if isinstance(reply, Created)]
        assert len(set(ids)) == len(ids)
        # Equal records stand for one another (those equal but for case where nothing better can be had), so what
        # counts is how many of each are claimed.
        alike = [name.casefold() if tidy or base else name for name in names]
        for name in set(alike):
            same = [index for index in range(count) if alike[index] == name]
            there = [index for index in same if index in created]
            kinds = [type(replies[index]) for index in same]
            assert kinds.count(Created) <= len(there)
            # A server that counts from one and creates nothing gives no sign of it: who is named stays its claim.
            if base == 0 or created:
                assert kinds.count(Again) + kinds.count(Rejected) <= len(same) - len(there)
            for index in same:
                reply = replies[index]
                if isinstance(reply, Created):
                    assert reply.id in {f"c{other}" for other in there}
        if base == 0 and not tidy and len({name.casefold() for name in names}) == len(names):
            assert not any(isinstance(reply, Doubt) for reply in replies)
