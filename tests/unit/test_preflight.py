"""Before a push: the destination is made exact and checked, and reads say what an answer means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.errors import (
    ConfigError,
    ContactsError,
    LookupFailedError,
    RefusedError,
    UnreadableError,
)
from airflow_provider_contacts.transport.preflight import check_destination, exact_destination, read
from airflow_provider_contacts.vendor_kit.destinations import Lookup
from airflow_provider_contacts.vendor_kit.forms import INTEGER, DestinationForm, Setting
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import Request, Response
from tests.support.fake_vendor import VENDOR

# The task's keys over the connection's.


@pytest.mark.parametrize(
    ("name", "given", "defaults", "wanted"),
    [
        ("apptoto", {"address_book_id": "7"}, {}, {"address_book_id": 7}),
        ("apptoto", {}, {"address_book_id": 1}, {"address_book_id": 1}),
        ("apptoto", None, {"address_book_id": 1}, {"address_book_id": 1}),
        ("apptoto", {"address_book_id": 7}, {"address_book_id": 1}, {"address_book_id": 7}),
        ("apptoto", {"address_book_id": 7}, {"address_book": "Demo"}, {"address_book_id": 7}),
        ("apptoto", {"address_book_id": None, "address_book": ""}, {"address_book_id": 1}, {"address_book_id": 1}),
        ("apptoto", {"address_book": "Demo"}, {"address_book_id": 1}, {"address_book": "Demo"}),
        ("dex", None, {}, {}),
        ("nedzo", {}, {}, {}),
        ("talkdesk", {"record_list_id": 12}, {}, {"record_list_id": "12"}),
    ],
)
def test_the_task_over_the_connection(name: str, given: Any, defaults: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert check_destination(vendors.load(name), given, defaults, "connection 'c'") == wanted


CHOICE = replace(
    VENDOR,
    destination=DestinationForm(
        settings=tuple(Setting(name=name, label="", description="") for name in "abc"), exactly_one=("a", "b", "c")
    ),
)


@pytest.mark.parametrize("given", ["", "ab", "bc", "abc"])
def test_of_several_ways_to_name_a_destination_one_is_taken(given: str) -> None:
    assert check_destination(CHOICE, {"b": "x"}, {}, "connection 'c'") == {"b": "x"}
    with pytest.raises(ConfigError) as caught:
        check_destination(CHOICE, dict.fromkeys(given, "x"), {}, "connection 'c'")
    assert str(caught.value) == (
        "Fake needs exactly one of ['a', 'b', 'c'] in the destination, on the task or in the extra of connection 'c'; "
        f"there is {list(given) or 'none'}"
    )


CASES: list[tuple[str, Any, dict[str, Any], list[str]]] = [
    ("dex", {"list": 1}, {}, ["unknown keys ['list']", "Dex", "known are none"]),
    ("talkdesk", {"list_id": "a"}, {}, ["unknown keys ['list_id']", "did you mean 'record_list_id'?", "Talkdesk"]),
    ("talkdesk", {}, {}, ["Talkdesk needs the destination ['record_list_id']", "destination={'record_list_id': …}"]),
    ("talkdesk", {"record_list_id": ".."}, {}, ["record_list_id must be an id, which '..' is not"]),
    ("talkdesk", {"record_list_id": " "}, {}, ["Talkdesk needs the destination ['record_list_id']"]),
    ("talkdesk", {"record_list_id": 1.5}, {}, ["'record_list_id' in destination", "is no text"]),
    ("talkdesk", {"record_list_id": True}, {}, ["'record_list_id' in destination", "is no text"]),
    ("intermezzo", None, {}, ["Intermezzo needs the destination ['organization_id']", "in the extra of"]),
    ("intermezzo", {"organization_id": ".."}, {}, ["organization_id must be an id, which '..' is not"]),
    ("intermezzo", {"organizationId": "x"}, {}, ["did you mean 'organization_id'?"]),
    ("nedzo", {"contact_list_id": "12"}, {}, ["contact_list_id", "not a UUID"]),
    ("nedzo", {"contact_list": "12"}, {}, ["did you mean 'contact_list_id'?", "known are ['contact_list_id']"]),
    ("apptoto", {}, {}, ["exactly one of ['address_book_id', 'address_book']", "there is none"]),
    ("apptoto", {"address_book_id": 1, "address_book": "Demo"}, {}, ["there is ['address_book_id', 'address_book']"]),
    ("apptoto", {"address_book_id": "one"}, {}, ["'address_book_id' in destination", "is no whole number"]),
    ("apptoto", {"address_book": "demo "}, {}, ["there is no Apptoto address book 'demo'", "there are: 'Demo'"]),
    ("apptoto", {"address_book": "Typo"}, {}, ["there is no Apptoto address book 'Typo'", "there are: 'Demo'"]),
]


class Books:
    """Answers the one read that a name needs."""

    def call(self, request: Request) -> Response:
        assert request.method == "GET"
        return Response(200, {}, b'{"address_books": [{"id": 1, "name": "Demo"}]}')


@pytest.mark.parametrize(("name", "given", "defaults", "texts"), CASES)
def test_the_error_names_the_connection_and_what_there_is(
    name: str, given: Any, defaults: dict[str, Any], texts: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        exact_destination(vendors.load(name), Books(), given, defaults, "connection 'mine'")
    said = str(caught.value)
    assert "connection 'mine'" in said
    assert [text for text in texts if text not in said] == [], said


def test_every_vendor_is_among_them() -> None:
    assert {name for name, *_ in CASES} == set(vendors.names())


# Reads.

LISTS = Request("GET", "/lists")
TROUBLE = "connection 'c': the destination cannot be looked up"


class Caller:
    """Gives one result, and remembers what it was asked."""

    def __init__(self, result: Result) -> None:
        self.result = result
        self.asked: list[Request] = []

    def call(self, request: Request) -> Result:
        self.asked.append(request)
        return self.result


def wanted(destination: Mapping[str, Any]) -> Request | None:
    return LISTS if "list" in destination else None


def found(answer: Response, destination: Mapping[str, Any]) -> dict[str, Any]:
    ids = answer.json()
    if destination["list"] not in ids:
        raise ConfigError("no such list")
    return {"list_id": ids[destination["list"]]}


def path(destination: Mapping[str, Any]) -> str:
    if destination.get("list_id") == 13:
        raise ConfigError("no path can carry it")
    return "/contacts"


def fields(destination: Mapping[str, Any]) -> dict[str, Any]:
    if destination.get("list_id") == 14:
        raise ConfigError("no field can carry it")
    return {}


LISTED = replace(
    VENDOR,
    destination=DestinationForm(
        settings=(
            Setting(name="list", label="List", description="its name"),
            Setting(name="list_id", kind=INTEGER, label="List id", description="its id"),
        ),
        exactly_one=("list", "list_id"),
    ),
    lookup=Lookup(request=wanted, read=found),
    request_path=path,
    destination_fields=fields,
)


def exact(given: Any, result: Result, defaults: Mapping[str, Any] | None = None) -> tuple[Any, list[Request]]:
    caller = Caller(result)
    return exact_destination(LISTED, caller, given, defaults or {}, "connection 'c'"), caller.asked


def test_a_name_becomes_an_id_and_an_id_is_not_asked_about() -> None:
    assert exact({"list": "a"}, Response(200, {}, b'{"a": 7}')) == ({"list_id": 7}, [LISTS])
    assert exact({"list_id": 7}, NoAnswer("timeout")) == ({"list_id": 7}, [])
    assert exact(None, NoAnswer("timeout"), {"list_id": 7}) == ({"list_id": 7}, [])
    assert exact({"list": "a"}, Response(299, {}, b'{"a": 7}'), {"list_id": 8}) == ({"list_id": 7}, [LISTS])


@pytest.mark.parametrize(
    ("given", "body", "said"),
    [
        ({"list": "b"}, b'{"a": 7}', "no such list"),
        ({"list": "a"}, b'{"a": 13}', "no path can carry it"),
        ({"list": "a"}, b'{"a": 14}', "no field can carry it"),
        ({"list_id": 13}, b"", "no path can carry it"),
        ({"list_id": 14}, b"", "no field can carry it"),
        ({}, b"", "exactly one of"),
    ],
)
def test_what_cannot_be_a_destination_is_found_before_a_push(given: Any, body: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        exact(given, Response(200, {}, body))


def test_garbage_is_no_destination() -> None:
    with pytest.raises(LookupFailedError) as caught:
        exact({"list": "a"}, Response(200, {}, b"<html>"))
    assert str(caught.value) == (
        "connection 'c': Fake answers the look-up of list 'a' with what cannot be read: check the connection's host"
    )
    assert not isinstance(caught.value, UnreadableError)


def test_a_look_up_that_fails_says_what_it_was_for() -> None:
    with pytest.raises(LookupFailedError) as caught:
        exact({"list": "a"}, NoAnswer("timeout"))
    assert str(caught.value) == f"{TROUBLE} (timeout); another try may help"
    with pytest.raises(RefusedError) as refused:
        exact({"list": "a"}, Response(401))
    assert str(refused.value) == f"{TROUBLE} (Fake says http_401)"


@pytest.mark.parametrize(
    ("result", "error", "said"),
    [
        (Response(199), LookupFailedError, "Fake says http_199"),
        (Response(300), RefusedError, "Fake says http_300"),
        (Response(301), RefusedError, "Fake says http_301"),
        (Response(401), RefusedError, "Fake says http_401"),
        (Response(499), RefusedError, "Fake says http_499"),
        (Response(408), LookupFailedError, "Fake says http_408"),
        (Response(425), LookupFailedError, "Fake says http_425"),
        (Response(429), LookupFailedError, "Fake says http_429"),
        (Response(500), LookupFailedError, "Fake says http_500"),
        (NotSent("token_refused", refused=True), RefusedError, "token_refused"),
        (NotSent("not_connected"), LookupFailedError, "not_connected"),
        (NoAnswer("timeout"), LookupFailedError, "timeout"),
    ],
)
def test_what_another_try_cannot_help_is_a_refusal(result: Result, error: type[ContactsError], said: str) -> None:
    with pytest.raises(ContactsError) as caught:
        read(VENDOR, Caller(result), LISTS, "trouble")
    assert type(caught.value) is error
    assert str(caught.value) == f"trouble ({said})" + ("; another try may help" if error is LookupFailedError else "")
