"""What a person is told when a vendor takes nothing: connection, host, destination, and this vendor's own fields."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_contacts.vendor_kit.push_settings import Place, hint_of, refusal_text
from airflow_provider_contacts.vendor_kit.results import NotSent
from tests.support.fake_vendor import NOT_CONNECTED, Deed, Pushed, World, answers, names


def test_what_is_not_there_names_the_destination() -> None:
    place = Place(conn_id="c", host="api.example", destination={"record_list_id": "l-1"})
    assert refusal_text("Talkdesk", "http_404", place) == (
        "Talkdesk at api.example (connection 'c') refuses the push to record_list_id 'l-1' (http_404): "
        "check the destination's record_list_id and the connection's host"
    )
    assert hint_of("http_404", Place(conn_id="c")) == "check the connection's host and path"
    assert "redirects are never followed" in hint_of("http_302", place)
    assert hint_of("http_403", place).startswith("the credential lacks a right")
    assert hint_of("plan", place) == "check the connection's host, credential and destination"


def pushed(deed: Deed) -> tuple[Pushed, str]:
    """Return a push of which every request ends so, and the text of its error."""
    place = Place(conn_id="c", host="api.example")
    found = World(lambda _index, _sent: deed).push(names(5), request_attempts=1, place=place)
    return found, str(found.error or "")


@pytest.mark.parametrize("status", [401, 403, 404, 302, 410])
def test_a_refusal_is_told_in_the_outcome_and_in_the_error(status: int) -> None:
    found, text = pushed(answers(status))
    for word in ("api.example", "connection 'c'", f"http_{status}"):
        assert word in text
    assert text in {one.status_message for one in found.outcomes}


def test_a_cause_is_told_in_the_outcome_and_once_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    cause = NotSent("not_connected", message="h refuses connections on port 1")
    found, _ = pushed(replace(NOT_CONNECTED, not_sent=cause))
    assert {(one.error_code, one.status_message) for one in found.outcomes} == {
        ("not_connected", "connection 'c': h refuses connections on port 1")
    }
    told = [one for one in caplog.messages if "refuses connections" in one]
    assert told == ["Fake: connection 'c': h refuses connections on port 1 (not_connected)"]


def test_a_refused_token_is_told_in_the_error() -> None:
    cause = NotSent("token_scope", refused=True, message="login.example grants no scope 'x'")
    _, text = pushed(replace(NOT_CONNECTED, not_sent=cause))
    assert text == "Fake cannot be pushed to (token_scope): connection 'c': login.example grants no scope 'x'"
