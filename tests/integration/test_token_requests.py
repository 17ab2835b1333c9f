"""Tokens over real sockets: how they are asked for, renewed, and what holds of their answers too."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import pytest

from airflow_provider_contacts.errors import LookupFailedError
from airflow_provider_contacts.transport.connection import Endpoint
from airflow_provider_contacts.transport.plain_client import plain_client
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials
from airflow_provider_contacts.vendor_kit.results import NotSent
from airflow_provider_contacts.vendor_kit.vendor import Request, Response
from tests.support.sockets import (
    POST,
    SECRET,
    Handle,
    Heard,
    Serve,
    Wire,
    client_to,
    fine,
    free_port,
    gather,
    result_of,
)

JSON_CREDENTIAL: dict[str, Any] = {
    "client_id": "id-1",
    "client_secret": "client-secret-9",
    "encoding": "json",
    "parameters": (("audience", "https://api.example"),),
}

BASIC_CREDENTIAL: dict[str, Any] = {
    "client_id": "id-1",
    "client_secret": "client-secret-9",
    "method": "client_secret_basic",
    "scope": "record-lists:manage read",
}


@dataclass
class Tokens:
    """A token endpoint and an API on one server."""

    serve: Serve
    reply: Callable[[int], tuple[int, bytes]] = lambda number: (
        200,
        json.dumps({"access_token": f"{SECRET}-{number}", "token_type": "Bearer", "expires_in": 600}).encode(),
    )
    api: Handle = fine
    headers: str = ""
    number: int = 0

    def __post_init__(self) -> None:
        self.server = self.serve(self._handle)

    def _handle(self, wire: Wire) -> bool:
        if wire.heard.path != "/oauth/token":
            return self.api(wire)
        self.number += 1
        return wire.say(*self.reply(self.number), self.headers)

    def credential(self, **values: Any) -> ClientCredentials:
        return ClientCredentials(token_url=f"http://127.0.0.1:{self.server.port}/oauth/token", **values)

    def asked(self) -> list[Heard]:
        return [heard for heard in self.server.heard if heard.path == "/oauth/token"]

    def calls(self) -> list[str]:
        return [heard.headers["authorization"] for heard in self.server.heard if heard.path != "/oauth/token"]


def test_a_token_is_asked_for_in_a_json_body(serve: Serve) -> None:
    tokens = Tokens(serve)
    with client_to(tokens.server, tokens.credential(**JSON_CREDENTIAL)) as client:
        assert isinstance(result_of(client), Response)
    (heard,) = tokens.asked()
    assert heard.line.startswith("POST ")
    assert heard.headers["content-type"] == "application/json"
    assert "authorization" not in heard.headers
    assert json.loads(heard.body) == {
        "grant_type": "client_credentials",
        "client_id": "id-1",
        "client_secret": "client-secret-9",
        "audience": "https://api.example",
    }
    assert tokens.calls() == [f"Bearer {SECRET}-1"]


def test_a_token_is_asked_for_in_a_form_with_a_basic_header(serve: Serve) -> None:
    tokens = Tokens(serve)
    with client_to(tokens.server, tokens.credential(**BASIC_CREDENTIAL)) as client:
        assert isinstance(result_of(client), Response)
    (heard,) = tokens.asked()
    assert heard.headers["content-type"].startswith("application/x-www-form-urlencoded")
    assert heard.headers["authorization"] == "Basic " + base64.b64encode(b"id-1:client-secret-9").decode()
    assert parse_qs(heard.body.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["record-lists:manage read"],
    }


def test_one_token_serves_many_requests_at_once(serve: Serve) -> None:
    tokens = Tokens(serve)
    told: list[str] = []
    with client_to(tokens.server, tokens.credential(**BASIC_CREDENTIAL), on_secret=told.append) as client:
        for tag in range(50):
            client.submit(tag, POST, not_after=time.monotonic() + 5, timeout=5)
        gather(client, 50)
        assert client.renewable
    assert tokens.number == 1
    assert told == [f"{SECRET}-1"]
    assert set(tokens.calls()) == {f"Bearer {SECRET}-1"}


def test_a_warm_client_has_its_token_before_the_first_request(serve: Serve) -> None:
    tokens = Tokens(serve)
    told: list[str] = []
    with client_to(tokens.server, tokens.credential(**BASIC_CREDENTIAL), on_secret=told.append) as client:
        client.warm()
        assert (tokens.number, tokens.calls(), told) == (1, [], [f"{SECRET}-1"])
        assert isinstance(result_of(client), Response)
    assert tokens.number == 1
    assert tokens.calls() == [f"Bearer {SECRET}-1"]


def test_what_cannot_be_warmed_is_the_result_of_the_requests(serve: Serve) -> None:
    tokens = Tokens(serve, reply=lambda _: (401, b"{}"))
    with client_to(tokens.server, tokens.credential(**BASIC_CREDENTIAL)) as client:
        client.warm()
        result = result_of(client)
        assert isinstance(result, NotSent)
        assert result.refused
    assert tokens.calls() == []


@pytest.mark.parametrize("status", [401, 503])
def test_requests_that_wait_for_one_token_share_its_failure(serve: Serve, status: int) -> None:
    def reply(_: int) -> tuple[int, bytes]:
        time.sleep(0.2)
        return status, b"{}"

    tokens = Tokens(serve, reply)
    with client_to(tokens.server, tokens.credential(**BASIC_CREDENTIAL)) as client:
        for tag in range(20):
            client.submit(tag, POST, not_after=time.monotonic() + 5, timeout=5)
        assert all(isinstance(result, NotSent) for result in gather(client, 20).values())
        assert tokens.number == 1
        # Who asks later asks anew.
        tokens.reply = Tokens.reply
        assert isinstance(result_of(client), Response)
    assert tokens.number == 2


def test_a_token_is_dropped_only_while_it_is_the_current_one(serve: Serve) -> None:
    tokens = Tokens(serve)
    tokens.api = lambda wire: wire.say(401 if wire.heard.headers["authorization"].endswith("-1") else 200)
    with client_to(tokens.server, tokens.credential(**BASIC_CREDENTIAL)) as client:
        for tag in (1, 2):
            client.submit(tag, POST, not_after=time.monotonic() + 5, timeout=5)
        assert {result.status for result in gather(client, 2).values() if isinstance(result, Response)} == {401}
        client.renew(1)
        assert result_of(client, tag=3) == Response(200, {"content-length": "2"}, b"{}")
        client.renew(2)
        client.renew(99)
        assert isinstance(result_of(client, tag=4), Response)
    assert tokens.number == 2
    assert tokens.calls()[2:] == [f"Bearer {SECRET}-2"] * 2


def test_a_single_call_renews_a_refused_token_once(serve: Serve) -> None:
    tokens = Tokens(serve)
    tokens.api = lambda wire: wire.say(401 if wire.heard.headers["authorization"].endswith("-1") else 200)
    with client_to(tokens.server, tokens.credential(**JSON_CREDENTIAL)) as client:
        found = client.call(Request("GET", "/me"))
        assert isinstance(found, Response)
        assert found.status == 200
    assert (tokens.number, len(tokens.calls())) == (2, 2)


@pytest.mark.parametrize("end", ["FIN", "RST", "refused"])
def test_a_token_endpoint_that_cannot_be_asked(serve: Serve, end: str) -> None:
    server = serve(lambda wire: wire.reset() if end == "RST" else False)
    port = free_port() if end == "refused" else server.port
    credential = ClientCredentials(token_url=f"http://127.0.0.1:{port}/oauth/token", **JSON_CREDENTIAL)
    with client_to(server, credential) as client:
        assert result_of(client) == NotSent("token_unavailable")


def test_the_token_endpoint_is_asked_through_the_proxy_too(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(lambda wire: wire.say(502, b""))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    credential = ClientCredentials(token_url="https://login.invalid/token", **JSON_CREDENTIAL)
    with client_to("https://vendor.invalid", credential) as client:
        assert result_of(client) == NotSent("token_unavailable")
    assert [heard.line.split(" ")[1] for heard in proxy.heard] == ["login.invalid:443"]


def answer(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def test_a_token_request_never_takes_what_was_not_its_answer(serve: Serve) -> None:
    def handle(wire: Wire) -> bool:
        number = sum(heard.path == "/token" for heard in server.heard)
        wire.socket.sendall(answer(200, b'{"access_token": "t%d", "expires_in": 600}' % number))
        time.sleep(0.05)
        wire.socket.sendall(answer(200, b'{"access_token": "late", "expires_in": 600}'))
        return True

    server = serve(handle)
    api = serve(lambda wire: wire.say(401))
    credential = ClientCredentials(
        token_url=f"http://127.0.0.1:{server.port}/token", client_id="id-1", client_secret="client-secret-9"
    )
    with client_to(api, credential) as client:
        for tag in (1, 2):
            result_of(client, POST, tag=tag)
            client.renew(tag)
            time.sleep(0.15)
    assert [heard.headers["authorization"] for heard in api.heard] == ["Bearer t1", "Bearer t2"]


def test_a_huge_token_answer_is_not_read(serve: Serve) -> None:
    body = gzip.compress(b'{"access_token": "t", "x": "%s"}' % (b" " * 10_000_000))
    tokens = Tokens(serve, reply=lambda _: (200, body), headers="Content-Encoding: gzip\r\n")
    credential = tokens.credential(**BASIC_CREDENTIAL)
    with client_to(tokens.server, credential) as client:
        found = result_of(client)
    assert found == NotSent("token_unreadable")
    assert isinstance(found, NotSent)
    assert "has more than 1048576 bytes" in (found.message or "")
    endpoint = Endpoint(base_url=f"http://127.0.0.1:{tokens.server.port}", credential=credential)
    with (
        plain_client(endpoint, timeout=5.0, on_secret=lambda _: None) as plain,
        pytest.raises(LookupFailedError, match="has more than 1048576 bytes"),
    ):
        plain.get("/")
