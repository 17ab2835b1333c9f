"""What a token endpoint says: a token for a while, or why there is none, and whether another try may help."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.pacing.bucket import LONGEST_WAIT
from airflow_provider_contacts.transport.tokens import (
    LONGEST_TOKEN,
    TokenError,
    TokenSource,
    read_token,
    token_request,
)
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import Response

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
        ("9" * 400, LONGEST_WAIT),
        ("2.5", 2.5),
        (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0),
        ("soon", None),
    ],
)
def test_a_token_endpoint_is_left_alone_as_a_vendor_is(status: int, text: str, seconds: float | None) -> None:
    found = refused(Response(status, {"retry-after": text}))
    assert (found.code, found.wait) == ("token_unavailable", seconds)


@given(st.text(max_size=40))
def test_no_word_of_a_token_endpoint_raises_another_error(text: str) -> None:
    found = refused(Response(429, {"retry-after": text}))
    assert found.wait is None or 0 <= found.wait <= LONGEST_WAIT


def test_a_token_of_a_sensible_length_is_taken() -> None:
    token = "t" * LONGEST_TOKEN
    body = b'{"access_token": "%s", "expires_in": "100", "scope": "read,write"}' % token.encode()
    assert read_token(Response(200, {}, body), CREDENTIAL, NOW) == (token, 80.0)


@pytest.mark.parametrize("length", [LONGEST_TOKEN + 1, 10_000_000])
def test_a_token_that_no_header_can_carry_is_refused(length: int) -> None:
    found = refused(Response(200, {}, b'{"access_token": "%s"}' % (b"t" * length)))
    assert found == NotSent("token_unreadable")
    assert len(found.message or "") < 300


UNREADABLE, REFUSED, LATER = "token_unreadable", "token_refused", "token_unavailable"
NO_TOKENS = [b"<html>", b"", b"[]", b"{}", b'{"access_token": 7}', b'{"access_token": ""}']


@pytest.mark.parametrize(
    ("result", "code", "words"),
    [
        (Response(401, {}, b'{"error": "invalid_client"}'), REFUSED, ["HTTP 401, invalid_client", "login (client id)"]),
        (Response(401, {}, b"<html>"), REFUSED, ["HTTP 401"]),
        (Response(400, {}, b'{"error": "client-secret-9 is wrong"}'), REFUSED, ["HTTP 400"]),
        (Response(403), REFUSED, ["HTTP 403"]),
        (Response(404, {}, b"[]"), REFUSED, ["HTTP 404"]),
        (Response(200, {}, b'{"error": "odd"}'), REFUSED, ["HTTP 200"]),
        (Response(429, {}, b'{"error": "too_many_requests"}'), LATER, ["gives no token now (HTTP 429)"]),
        (Response(500, {}, b'{"error": "server_error"}'), LATER, ["HTTP 500"]),
        (Response(503), LATER, ["gives no token now (HTTP 503)"]),
        (Response(302), LATER, ["HTTP 302"]),
        (Response(200, {}, b'{"access_token": "a\\r\\nX-Evil: 1"}'), UNREADABLE, ["no header can carry"]),
        (Response(200, {}, b'{"access_token": "t t"}'), UNREADABLE, ["no header can carry"]),
        *((Response(200, {}, body), UNREADABLE, ["no access_token"]) for body in NO_TOKENS),
        (
            Response(200, {}, b'{"access_token": "t", "scope": "read"}'),
            "token_scope",
            ["no scope 'write'", "correct scope"],
        ),
        (NotSent("not_connected", message="nothing listens there"), LATER, ["nothing listens there"]),
        (NoAnswer("timeout"), LATER, ["timeout"]),
    ],
)
def test_what_stands_in_place_of_a_token_is_told_with_its_host(result: Result, code: str, words: list[str]) -> None:
    found = refused(result)
    assert (found.code, found.refused) == (code, code in {REFUSED, "token_scope"})
    text = found.message or ""
    assert [word for word in ["login.example", *words] if word not in text] == []
    assert "client-secret-9" not in text


@pytest.mark.parametrize(
    ("told", "good_for"),
    [(600, 540.0), (100, 80.0), ("600", 540.0), (10, 8.0), (None, 240.0), (-1, 240.0), ("x", 240.0), (0, 240.0)],
)
def test_a_token_is_renewed_ahead_of_its_expiry(told: Any, good_for: float) -> None:
    now = 1000.0
    asked: list[float] = []

    async def post(*_: Any) -> Result:
        asked.append(now)
        return Response(200, {}, json.dumps({"access_token": f"t{len(asked)}", "expires_in": told}).encode())

    async def use() -> list[str]:
        nonlocal now
        source = TokenSource(CREDENTIAL, post, on_secret=lambda _: None, monotonic=lambda: now)
        found = [await source.get()]
        now += good_for - 0.1
        found.append(await source.get())
        now += 0.2
        return [*found, await source.get()]

    assert asyncio.run(use()) == ["t1", "t1", "t2"]


def test_a_secret_that_no_header_can_carry_is_refused() -> None:
    credential = ClientCredentials(
        token_url="https://t.invalid", client_id="id-1", client_secret="пароль", method="client_secret_basic"
    )
    with pytest.raises(TokenError) as caught:
        token_request(credential)
    assert caught.value.result == NotSent("credential_not_latin1", refused=True)
    assert "пароль" not in repr(caught.value) + str(caught.value) + str(caught.value.result)
