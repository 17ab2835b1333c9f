"""What a person is told when a vendor takes nothing: connection, host, destination, and this vendor's own fields."""

from __future__ import annotations

import logging

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.engine.memory_ledger import MemoryLedger
from airflow_provider_contacts.engine.push import Push
from airflow_provider_contacts.errors import RefusedError
from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.transport.connection import StoredConnection, resolve
from airflow_provider_contacts.transport.preflight import read
from airflow_provider_contacts.vendor_kit.push_settings import Place, PushSettings, hint_of, refusal_text
from airflow_provider_contacts.vendor_kit.results import NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import Limits, Request, Response
from tests.support.fake_vendor import VENDOR, last_words, names, outcomes_of

STORED = {
    "apptoto": StoredConnection(conn_id="c", login="me@x.example", password="p", extra={"address_book_id": 1}),
    "dex": StoredConnection(conn_id="c", password="p"),
    "intermezzo": StoredConnection(conn_id="c", login="id", password="p", extra={"organization_id": "o"}),
    "nedzo": StoredConnection(conn_id="c", password="p"),
    "talkdesk": StoredConnection(conn_id="c", login="id", password="p", extra={"account": "a", "record_list_id": "l"}),
}
CLIENT = "login (Client ID), password (Client secret (or bearer token, with an empty client ID))"
WORDS = {
    "apptoto": "login (Account email) and password (API key)",
    "dex": "password (API key)",
    "intermezzo": f"{CLIENT}, token_url and audience",
    "nedzo": "password (API key)",
    "talkdesk": f"{CLIENT}, region, account, token_url and scope",
}


@pytest.mark.parametrize("name", WORDS)
def test_a_refused_credential_names_the_fields_of_this_vendor(name: str) -> None:
    found = resolve(vendors.load(name), STORED[name])
    text = refusal_text(vendors.load(name).title, "http_401", found.place)
    assert text.endswith(f"connection 'c': check the connection's {WORDS[name]}")
    assert f"at {found.host}" in text


def test_what_is_not_there_names_the_destination() -> None:
    place = Place(conn_id="c", host="api.example", destination={"record_list_id": "l-1"})
    assert refusal_text("Talkdesk", "http_404", place) == (
        "Talkdesk refuses the push (http_404) at api.example, connection 'c', record_list_id 'l-1': "
        "check the destination's record_list_id and the connection's host"
    )
    assert hint_of("http_404", Place(conn_id="c")) == "check the connection's host and path"
    assert "redirects are never followed" in hint_of("http_302", place)
    assert hint_of("http_403", place).startswith("the credential lacks a right")
    assert hint_of("plan", place) == "check the connection's host, credential and destination"


class Saying:
    """A sender whose every request ends in the same way."""

    renewable = False

    def __init__(self, result: Result) -> None:
        self.result = result
        self.tags: list[int] = []

    def submit(self, tag: int, request: Request, *, not_after: float, timeout: float) -> None:  # noqa: ARG002
        self.tags.append(tag)

    def collect(self, timeout: float) -> list[tuple[int, Result]]:  # noqa: ARG002
        tags, self.tags = self.tags, []
        return [(tag, self.result) for tag in tags]

    def renew(self, tag: int) -> None:
        """Nothing can be renewed."""

    def call(self, request: Request) -> Result:  # noqa: ARG002
        return self.result


def pushed(result: Result, count: int = 2) -> tuple[list[Outcome], str]:
    """Return the outcomes of a push and the text of its error."""
    push = Push(
        iter(names(count)),
        mapper=Mapper(vendor=VENDOR, destination={"list_id": 7}, sync_id="s", sync_key=("name",)),
        ledger=MemoryLedger("t"),
        sender=Saying(result),
        settings=PushSettings(
            limits=Limits(batch_size=1), request_attempts=1, place=Place(conn_id="c", host="api.example")
        ),
    )
    outcomes: list[Outcome] = []
    try:
        outcomes.extend(outcomes_of(push))
    except RefusedError as error:
        return [*outcomes, *last_words(push)], str(error)
    return outcomes, ""


@pytest.mark.parametrize("status", [401, 403, 404, 302, 410])
def test_a_refusal_is_told_in_the_outcome_and_in_the_error(status: int) -> None:
    outcomes, text = pushed(Response(status))
    for word in ("api.example", "connection 'c'", "list_id 7", f"http_{status}"):
        assert word in text
    assert text in {one.status_message for one in outcomes}


def test_a_cause_is_told_in_the_outcome_and_once_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        outcomes, _ = pushed(NotSent("not_connected", message="h refuses connections on port 1"), 5)
    assert {(one.error_code, one.status_message) for one in outcomes} == {
        ("not_connected", "connection 'c': h refuses connections on port 1")
    }
    told = [one.getMessage() for one in caplog.records if "refuses connections" in one.getMessage()]
    assert told == ["Fake: connection 'c': h refuses connections on port 1 (not_connected)"]


def test_a_refused_token_is_told_in_the_error() -> None:
    _, text = pushed(NotSent("token_scope", refused=True, message="login.example grants no scope 'x'"))
    assert text == "Fake cannot be pushed to (token_scope): connection 'c': login.example grants no scope 'x'"


def test_a_read_says_the_same() -> None:
    place = Place(conn_id="c", host="api.example", destination={"list_id": 7})
    request = Request("GET", "/lists")
    with pytest.raises(RefusedError) as caught:
        read(VENDOR, Saying(Response(404)), request, "connection 'c': the test request failed", place)
    assert str(caught.value) == (
        "connection 'c': the test request failed (Fake at api.example says http_404): "
        "check the destination's list_id and the connection's host"
    )
