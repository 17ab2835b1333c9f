"""Every waiting time from outside is read by one reader, bounded, and never ends a push."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.errors import RetryLaterError
from airflow_provider_contacts.pacing.bucket import LONGEST_WAIT
from airflow_provider_contacts.transport.tokens import LONGEST_TOKEN, Token, TokenError, read_token
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import Response
from tests.support.fake_vendor import EPOCH, Deed, World, answers, first, names

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CREDENTIAL = ClientCredentials(
    token_url="https://login.example/oauth/token", client_id="id-1", client_secret="client-secret-9", scope="write read"
)


def refused(result: Result) -> NotSent:
    with pytest.raises(TokenError) as caught:
        read_token(result, CREDENTIAL, NOW)
    return caught.value.result


@pytest.mark.parametrize("status", [302, 429, 500, 503])
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1764000000000", LONGEST_WAIT),
        ("9" * 400, LONGEST_WAIT),
        ("7", 7.0),
        ("2.5", 2.5),
        ("5, 9", 9.0),
        (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT),
        ("soon", None),
        ("", None),
    ],
)
def test_a_token_endpoint_is_left_alone_as_a_vendor_is(status: int, text: str, seconds: float | None) -> None:
    found = refused(Response(status, {"retry-after": text}))
    assert (found.code, found.wait) == ("token_unavailable", seconds)


@given(st.text(max_size=40))
def test_no_word_of_a_token_endpoint_raises_another_error(text: str) -> None:
    found = refused(Response(429, {"retry-after": text}))
    assert found.wait is None or 0 <= found.wait <= LONGEST_WAIT


@pytest.mark.parametrize("text", ["1764000000000", "1e300", "inf", "Fri, 31 Dec 9999 23:59:59 GMT"])
@pytest.mark.parametrize("status", [429, 503])
def test_an_absurd_time_reschedules_the_push_and_loses_no_record(status: int, text: str) -> None:
    pushed = World(first(then=answers(status, retry_after=text))).push(names(12))
    assert isinstance(pushed.error, RetryLaterError)
    assert pushed.error.until <= EPOCH + timedelta(days=2)
    assert pushed.counts() == {"failed": 12}


def test_an_absurd_time_of_a_token_endpoint_reschedules_the_push_and_loses_no_record() -> None:
    waits = refused(Response(429, {"retry-after": "1764000000000"}))
    pushed = World(first(then=Deed(connects=False, not_sent=waits, applies=False))).push(names(12))
    assert isinstance(pushed.error, RetryLaterError)
    assert pushed.counts() == {"failed": 12}
    assert set(pushed.codes().values()) <= {"token_unavailable", "rate_limited"}


# What a token may be.


def test_a_token_of_a_sensible_length_is_taken() -> None:
    token = "t" * LONGEST_TOKEN
    body = b'{"access_token": "%s", "expires_in": "100", "scope": "read,write"}' % token.encode()
    assert read_token(Response(200, {}, body), CREDENTIAL, NOW) == Token(token, 80.0)


@pytest.mark.parametrize("length", [LONGEST_TOKEN + 1, 10_000_000])
def test_a_token_that_no_header_can_carry_is_refused(length: int) -> None:
    found = refused(Response(200, {}, b'{"access_token": "%s"}' % (b"t" * length)))
    assert found == NotSent("token_unreadable")
    assert len(found.message or "") < 300


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (
            Response(401, {}, b'{"error": "invalid_client"}'),
            ["HTTP 401, invalid_client", "login (client id)"],
        ),
        (Response(400, {}, b'{"error": "client-secret-9 is wrong"}'), ["HTTP 400"]),
        (Response(200, {}, b'{"access_token": "t", "scope": "read"}'), ["grants no scope 'write'", "correct scope"]),
        (Response(200, {}, b"<html>"), ["no access_token"]),
        (Response(200, {}, b'{"access_token": "t t"}'), ["no header can carry"]),
        (Response(503), ["gives no token now (HTTP 503)"]),
        (NotSent("not_connected", message="nothing listens there"), ["nothing listens there"]),
        (NoAnswer("timeout"), ["timeout"]),
    ],
)
def test_what_a_token_endpoint_says_is_told_with_its_host(result: Result, words: list[str]) -> None:
    text = refused(result).message or ""
    for word in ["login.example", *words]:
        assert word in text
    assert "client-secret-9" not in text
