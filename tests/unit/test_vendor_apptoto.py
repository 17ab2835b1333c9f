"""Apptoto: contract, address books, and what its answers prove."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.errors import ConfigError, UnreadableError
from airflow_provider_contacts.records.mapper import InvalidRecord, Mapper, Prepared
from airflow_provider_contacts.sources.plain_values import plain_row
from airflow_provider_contacts.vendor_kit.answers import read_replies
from airflow_provider_contacts.vendor_kit.auth import FixedHeader
from airflow_provider_contacts.vendor_kit.forms import Account
from airflow_provider_contacts.vendor_kit.vendor import Created, Destination, Doubt, Reply, Request, Response
from airflow_provider_contacts.vendors.apptoto import VENDOR
from tests.support.answers import code_of, reasons

ANN: dict[str, Any] = {"name": "Ann Ames", "phone": "650-555-1212", "email": "Ann@Example.com", "external_id": "a"}
BOB: dict[str, Any] = {"first_name": "Bob", "last_name": "Bell", "phone": "(030) 555 12 13", "external_id": "b"}
CAT: dict[str, Any] = {"name": "Cat", "email_addresses": [{"address": "cat@example.com"}], "external_id": "c"}
TRIO = [ANN, BOB, CAT]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 5) | st.floats() | st.sampled_from(["", "a", "Ann Ames"]) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["contacts", "id", "name", "external_id", "phone_numbers", "number", "normalized", "email"])
            | st.sampled_from(["first_name", "last_name", "phone", "email_addresses", "address", "address_books"])
            | st.text(max_size=3),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


def prepare(record: Mapping[str, Any], sync_id: str = "s", sync_key: tuple[str, ...] = ()) -> Prepared | InvalidRecord:
    mapper = Mapper(vendor=VENDOR, destination={"address_book_id": 7}, sync_id=sync_id, sync_key=sync_key)
    return mapper.prepare(0, plain_row(record))


def payload_of(record: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    prepared = prepare(record, **more)
    assert isinstance(prepared, Prepared), prepared
    return dict(prepared.payload)


def faults_of(record: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    unfit = prepare(record)
    assert isinstance(unfit, InvalidRecord), unfit
    return [(code, field) for code, field, _ in unfit.errors]


def answer_of(body: Any) -> Response:
    return Response(200, {}, json.dumps(body).encode())


def shown(record: Mapping[str, Any], one: Any, **more: Any) -> dict[str, Any]:
    """A contact as the vendor shows it: the name in one, numbers normalized."""
    name = record.get("name") or f"{record.get('first_name')} {record.get('last_name')}"
    number = record.get("phone")
    digits = "".join(filter(str.isdigit, number or "")).lstrip("0")
    return {
        "id": one,
        "name": name,
        "address_book_id": 7,
        "external_id": record.get("external_id"),
        "phone_numbers": [{"number": number, "normalized": f"+1{digits}"}] if number else [],
        "email_addresses": [{"address": record["email"].lower()}]
        if "email" in record
        else record.get("email_addresses", []),
        **more,
    }


def silent(record: Mapping[str, Any], one: Any, **more: Any) -> dict[str, Any]:
    """The same without the echo of the external id."""
    contact = shown(record, one, **more)
    del contact["external_id"]
    return contact


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


def read(contacts: Any, sent: Sequence[dict[str, Any]] = TRIO) -> list[str]:
    return brief(read_replies(VENDOR, answer_of({"contacts": contacts}), sent))


class TestContract:
    @pytest.mark.parametrize(
        "record",
        [
            {"name": " Ann "},
            {"first_name": "Ann", "last_name": "Ames"},
            {"name": "Ann", "first_name": "Ann"},
            {"name": "Ann", "phone": "650-555-1212", "email": "Ann@Example.com"},
            {"name": "Ann", "phone_numbers": [{"number": "1", "is_mobile": True, "type": "x", "is_primary": False}]},
            {"name": "Ann", "email_addresses": [{"address": "a@b.example", "type": "x", "is_primary": True}]},
            {"name": "Ann", "phone": "1", "email_addresses": [{"address": "a@b.example"}]},
        ],
    )
    def test_valid(self, record: dict[str, Any]) -> None:
        payload = payload_of({**record, "external_id": "e"})
        assert payload == {**record, "external_id": "e", "address_book_id": 7}

    def test_missing_values_and_json_text(self) -> None:
        record = {"name": "Ann", "last_name": "", "email": None, "phone_numbers": '[{"number": "1", "type": null}]'}
        payload = payload_of({**record, "external_id": "e"})
        assert payload == {
            "name": "Ann",
            "phone_numbers": [{"number": "1"}],
            "external_id": "e",
            "address_book_id": 7,
        }

    @pytest.mark.parametrize(
        ("record", "faults"),
        [
            ({"email": "a@b.example"}, [("missing_name", None)]),
            ({"first_name": "Ann"}, [("missing_name", None)]),
            ({"first_name": "Ann", "last_name": ""}, [("missing_name", None)]),
            ({"name": "", "first_name": "Ann"}, [("missing_name", None)]),
            ({"name": 7}, [("wrong_type", "name")]),
            ({"name": "A", "email": "a at b"}, [("invalid_email", "email")]),
            ({"name": "A", "email_address": "a@b.example"}, [("unknown_field", "email_address")]),
            ({"name": "A", "custom_data": {}}, [("unknown_field", "custom_data")]),
            ({"name": "A", "address_book": "x"}, [("unknown_field", "address_book")]),
            ({"name": "A", "address_book_id": 8}, [("unknown_field", "address_book_id")]),
            ({"name": "A", "phone": "1", "phone_numbers": [{"number": "2"}]}, [("conflict", "phone_numbers")]),
            (
                {"name": "A", "email": "a@b.example", "email_addresses": [{"address": "c@d.example"}]},
                [("conflict", "email_addresses")],
            ),
            ({"name": "A", "phone": 650}, [("wrong_type", "phone")]),
            ({"name": "A", "phone_numbers": "650-555-1212"}, [("invalid_json", "phone_numbers")]),
            ({"name": "A", "phone_numbers": {"number": "1"}}, [("wrong_type", "phone_numbers")]),
            ({"name": "A", "phone_numbers": [{}]}, [("missing_field", "phone_numbers.0.number")]),
            (
                {"name": "A", "phone_numbers": [{"number": "1", "is_mobile": "yes"}]},
                [("wrong_type", "phone_numbers.0.is_mobile")],
            ),
            ({"name": "A", "phone_numbers": [{"phone": "1"}]}, None),
            ({"name": "A", "email_addresses": [{"address": "x"}]}, [("invalid_email", "email_addresses.0.address")]),
            ({"name": "A", "external_id": 7}, [("wrong_type", "external_id")]),
        ],
    )
    def test_invalid(self, record: dict[str, Any], faults: list[tuple[str, str | None]] | None) -> None:
        found = faults_of(record)
        if faults is None:
            faults = [("missing_field", "phone_numbers.0.number"), ("unknown_field", "phone_numbers.0.phone")]
        assert found == faults


class TestGenerated:
    def test_is_what_it_always_was(self) -> None:
        assert VENDOR.generated is not None
        assert VENDOR.generated({"name": "Ann"}, "dag.task@conn", "42") == {
            "external_id": "apc-4247d3fe7b9b9414e0edaf00b7c13a4e"
        }

    def test_depends_on_sync_and_identifier_alone(self) -> None:
        one = payload_of({"name": "Ann", "external_id": None, "phone": "1"}, sync_key=("phone",))
        same = payload_of({"name": "Bob", "phone": "1"}, sync_key=("phone",))
        other_key = payload_of({"name": "Ann", "phone": "2"}, sync_key=("phone",))
        other_sync = payload_of({"name": "Ann", "phone": "1"}, sync_key=("phone",), sync_id="t")
        assert one["external_id"] == same["external_id"]
        assert len({one["external_id"], other_key["external_id"], other_sync["external_id"]}) == 3

    def test_a_given_one_stays(self) -> None:
        assert payload_of({"name": "Ann", "external_id": "mine"})["external_id"] == "mine"

    def test_is_not_part_of_the_digest(self) -> None:
        one, other = prepare({"name": "Ann"}, "s"), prepare({"name": "Ann"}, "t")
        assert one.payload_hash == other.payload_hash

    def test_any_identifier(self) -> None:
        assert VENDOR.generated is not None
        assert VENDOR.generated({}, "s", "\ud800") != VENDOR.generated({}, "s", "\ud801")


class TestConnection:
    def test_values(self) -> None:
        assert VENDOR.base_url(Account()) == "https://api.apptoto.com"
        assert VENDOR.request_path({"address_book_id": 7}) == "/v1/contacts"
        assert VENDOR.envelope == (b'{"contacts":[', b"]}")
        assert VENDOR.check is not None
        assert VENDOR.check({}) == Request("GET", "/v1/address_books")
        assert VENDOR.destination.exactly_one == ("address_book_id", "address_book")
        assert VENDOR.destination.object_key == "address_book_id"

    def test_no_more_than_a_hundred_requests_in_any_minute(self) -> None:
        assert VENDOR.limits.requests_per_second is not None
        assert VENDOR.limits.burst + 60 * VENDOR.limits.requests_per_second <= 100

    def test_basic(self) -> None:
        credential = VENDOR.auth.credential(Account(login="ö@example.com", password="k:1"))
        assert credential == FixedHeader("Basic w7ZAZXhhbXBsZS5jb206azox")

    @pytest.mark.parametrize(("login", "password"), [("", "k"), ("a", ""), ("", "")])
    def test_both_are_needed(self, login: str, password: str) -> None:
        with pytest.raises(ConfigError, match="login"):
            VENDOR.auth.credential(Account(login=login, password=password))

    def test_no_colon(self) -> None:
        with pytest.raises(ConfigError, match="colon"):
            VENDOR.auth.credential(Account(login="a:b", password="k"))


def find(books: Any, name: str = "Clients") -> Destination:
    assert VENDOR.lookup is not None
    return VENDOR.lookup.read(answer_of(books), {"address_book": name})


class TestAddressBooks:
    def test_asked_for_a_name_only(self) -> None:
        assert VENDOR.lookup is not None
        assert VENDOR.lookup.request({"address_book_id": 7}) is None
        assert VENDOR.lookup.request({"address_book": "Clients"}) == Request("GET", "/v1/address_books")

    def test_found(self) -> None:
        books = {"address_books": [{"id": 1, "name": "Others"}, None, {"id": 7, "name": "Clients", "types": []}]}
        destination = find(books)
        assert destination == {"address_book_id": 7}
        assert VENDOR.destination_fields(destination) == {"address_book_id": 7}

    @pytest.mark.parametrize("name", ["clients", "Clients ", "Client"])
    def test_letter_for_letter(self, name: str) -> None:
        with pytest.raises(ConfigError, match=r"no Apptoto address book .* there are: 'Clients'$"):
            find({"address_books": [{"id": 7, "name": "Clients"}]}, name)

    def test_none_at_all(self) -> None:
        with pytest.raises(ConfigError, match=r"there are: none$"):
            find({"address_books": []})

    def test_lists_twenty_at_most(self) -> None:
        with pytest.raises(ConfigError, match=r"and 5 more$") as caught:
            find({"address_books": [{"id": number, "name": f"no. {number:02}"} for number in range(25)]})
        assert str(caught.value).count("'no. ") == 20

    def test_ambiguous(self) -> None:
        with pytest.raises(ConfigError, match=r"2 Apptoto address books .* address_book_id"):
            find({"address_books": [{"id": 7, "name": "Clients"}, {"id": 8, "name": "Clients"}]})

    @pytest.mark.parametrize(
        "books",
        [
            None,
            [],
            {},
            {"address_books": None},
            {"address_books": {}},
            {"address_books": [{"name": "Clients"}]},
            {"address_books": [{"name": "Clients", "id": "7"}]},
            {"address_books": [{"name": "Clients", "id": True}]},
        ],
    )
    def test_garbage(self, books: Any) -> None:
        with pytest.raises(UnreadableError):
            find(books)

    @given(st.binary(max_size=60) | JSON.map(lambda body: json.dumps(body).encode()))
    def test_any_answer(self, body: bytes) -> None:
        assert VENDOR.lookup is not None
        with pytest.raises((ConfigError, UnreadableError)):
            VENDOR.lookup.read(Response(200, {}, body), {"address_book": "no such book"})


class TestOutcomeTable:
    def test_all_created(self) -> None:
        assert read([shown(ANN, 1), shown(BOB, 2), shown(CAT, 3)]) == ["+1", "+2", "+3"]

    def test_shuffled(self) -> None:
        assert read([shown(CAT, 3), shown(ANN, 1), shown(BOB, 2)]) == ["+1", "+2", "+3"]

    def test_shorter(self) -> None:
        assert read([shown(CAT, 3), shown(ANN, 1)]) == ["+1", "?not_returned", "+3"]

    def test_none(self) -> None:
        assert read([]) == ["?not_returned"] * 3

    def test_contacts_of_somebody_else(self) -> None:
        data = [shown({**ANN, "external_id": "zzz"}, 1), shown(BOB, 2)]
        assert read(data) == ["?not_returned", "+2", "?not_returned"]

    def test_more_than_sent(self) -> None:
        assert read([shown(ANN, 1), shown(CAT, 9), shown(BOB, 2)], [ANN, BOB]) == ["+1", "+2"]

    def test_more_than_sent_without_echo(self) -> None:
        assert read([silent(ANN, 1), silent(CAT, 9)], [ANN]) == ["?not_returned"]

    def test_external_id_as_a_number(self) -> None:
        sent = [{"name": "Ann", "external_id": "12"}]
        assert read([{"id": 1, "external_id": 12}], sent) == ["+1"]

    def test_one_external_id_on_two_contacts(self) -> None:
        assert read([shown(ANN, 1), shown(ANN, 2)], [ANN]) == ["?not_returned"]

    def test_one_external_id_given_twice(self) -> None:
        assert read([shown(ANN, 1)], [ANN, ANN]) == ["?not_returned"] * 2

    @pytest.mark.parametrize("one", [None, "", True, 1.5, [], {}])
    def test_a_contact_without_an_id_proves_nothing(self, one: Any) -> None:
        assert read([shown(ANN, one), shown(BOB, 2)], [ANN, BOB]) == ["?not_returned", "+2"]

    def test_one_id_for_two_contacts(self) -> None:
        assert read([shown(ANN, 1), shown(BOB, 1), shown(CAT, 3)]) == ["?not_returned", "?not_returned", "+3"]

    @pytest.mark.parametrize(
        "body", [None, [], {}, 7, {"contacts": None}, {"contacts": {}}, {"contacts": "x"}, {"error": "x"}]
    )
    def test_contacts_missing(self, body: Any) -> None:
        assert brief(read_replies(VENDOR, answer_of(body), TRIO)) == ["?contacts_missing"] * 3

    @pytest.mark.parametrize("body", [b"", b"<html>", b"{ contacts: [] }", b"\xff"])
    def test_unreadable(self, body: bytes) -> None:
        assert brief(read_replies(VENDOR, Response(200, {}, body), TRIO)) == ["?unreadable"] * 3


class TestWithoutEcho:
    def test_by_order(self) -> None:
        assert read([silent(ANN, 1), silent(BOB, 2), silent(CAT, 3)]) == ["+1", "+2", "+3"]

    def test_by_order_where_twins_show_nothing_else(self) -> None:
        twins = [{"name": "Ann", "external_id": "a"}, {"name": "Ann", "external_id": "b"}]
        assert read([{"id": 1, "name": "Ann"}, {"id": 2, "name": "ann "}], twins) == ["+1", "+2"]

    def test_shuffled(self) -> None:
        assert read([silent(CAT, 3), silent(ANN, 1), silent(BOB, 2)]) == ["+1", "+2", "+3"]

    def test_shorter(self) -> None:
        assert read([silent(BOB, 2)]) == ["?not_returned", "+2", "?not_returned"]

    def test_as_many_and_other_names(self) -> None:
        data = [silent(ANN, 1), silent({"name": "Zoe"}, 2), silent(CAT, 3)]
        assert read(data) == ["+1", "?not_returned", "+3"]

    def test_namesakes_told_by_number(self) -> None:
        sent = [{**ANN, "email": "x@example.com"}, {"name": "Ann Ames", "phone": "650-555-9999", "external_id": "n"}]
        assert read([silent(sent[1], 2)], sent) == ["?not_returned", "+2"]
        assert read([silent(sent[1], 2), silent(sent[0], 1)], sent) == ["+1", "+2"]

    def test_namesakes_told_by_address(self) -> None:
        sent = [{"name": "Ann", "email": "1@example.com"}, {"name": "Ann", "email": "2@example.com"}]
        assert read([silent(sent[1], 2)], sent) == ["?not_returned", "+2"]

    def test_namesakes_not_told_apart(self) -> None:
        twins = [{"name": "Ann", "external_id": "a"}, {"name": "Ann", "external_id": "b"}]
        assert read([{"id": 1, "name": "Ann"}], twins) == ["?not_returned"] * 2

    def test_another_number_is_another_person(self) -> None:
        assert read([silent({**ANN, "phone": "650-555-0000"}, 1)], [ANN]) == ["?not_returned"]

    def test_several_numbers(self) -> None:
        sent = [{"name": "Ann", "phone_numbers": [{"number": "030 5551212"}, {"number": "0170 5551313"}]}]
        data = {"id": 1, "name": "Ann", "phone_numbers": [{"number": "+491705551313", "normalized": None}]}
        assert read([data], sent) == ["+1"]

    def test_some_echoed_and_some_not(self) -> None:
        assert read([silent(ANN, 1), shown(BOB, 2)]) == ["+1", "+2", "?not_returned"]

    def test_an_echo_of_somebody_else_is_never_told_by_content(self) -> None:
        data = [shown({**ANN, "external_id": "zzz"}, 1), silent(BOB, 2)]
        assert read(data, [ANN, BOB]) == ["?not_returned", "+2"]

    def test_nameless(self) -> None:
        assert read([{"id": 1}], [ANN]) == ["?not_returned"]


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

    @given(JSON, st.randoms(use_true_random=False), st.booleans())
    def test_real_answer_with_something_strange_in_it(self, strange: Any, chooser: random.Random, echo: bool) -> None:
        show = shown if echo else silent
        body = {"contacts": [show(record, number) for number, record in enumerate(TRIO)]}
        assert len(read_replies(VENDOR, answer_of(mutate(body, chooser, strange)), TRIO)) == 3


class TestTruth:
    """Whatever part of a batch is taken, echoed and in whatever order, an outcome never claims what is not so."""

    @given(
        st.lists(st.tuples(st.sampled_from(["Ann", "ANN", "Bob"]), st.sampled_from(["", "1", "2"])), max_size=6),
        st.sets(st.integers(0, 5)),
        st.sampled_from([0.0, 0.5, 1.0]),
        st.randoms(use_true_random=False),
    )
    def test_no_claim_is_false(
        self, people: list[tuple[str, str]], lost: set[int], echoing: float, chooser: random.Random
    ) -> None:
        sent = [
            {"name": name, "external_id": f"e{number}", **({"phone": f"0650-555121{last}"} if last else {})}
            for number, (name, last) in enumerate(people)
        ]
        created = [index for index in range(len(sent)) if index not in lost]
        contacts = [(shown if chooser.random() < echoing else silent)(sent[index], index) for index in created]
        chooser.shuffle(contacts)
        replies = read_replies(VENDOR, answer_of({"contacts": contacts}), sent)
        ids = [reply.id for reply in replies if isinstance(reply, Created)]
        assert len(set(ids)) == len(ids)
        for index, reply in enumerate(replies):
            if isinstance(reply, Created):
                assert index in created
                assert reply.id is not None
                other = sent[int(reply.id)]
                assert other["name"].casefold() == sent[index]["name"].casefold()
                assert echoing < 1.0 or other is sent[index]
            else:
                assert isinstance(reply, Doubt)
                assert echoing < 1.0 or index not in created
