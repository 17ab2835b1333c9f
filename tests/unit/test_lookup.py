"""Reads before a push: what is asked, what an answer means, and what is said when there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_contacts.errors import (
    ConfigError,
    ContactsError,
    LookupFailedError,
    RefusedError,
    UnreadableError,
)
from airflow_provider_contacts.transport.preflight import exact_destination, read
from airflow_provider_contacts.vendor_kit.forms import DestinationForm, Setting
from airflow_provider_contacts.vendor_kit.lookups import Lookup
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import Request, Response
from tests.support.fake_vendor import VENDOR

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
            Setting(name="list_id", kind="integer", label="List id", description="its id"),
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


def test_a_vendor_without_a_look_up_is_not_asked() -> None:
    caller = Caller(NoAnswer("timeout"))
    assert exact_destination(VENDOR, caller, None, {}, "connection 'c'") == {}
    assert caller.asked == []


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


@pytest.mark.parametrize("status", [200, 204, 299])
def test_a_good_answer_is_handed_on(status: int) -> None:
    caller = Caller(Response(status))
    assert read(VENDOR, caller, LISTS, "trouble") == Response(status)
    assert caller.asked == [LISTS]
