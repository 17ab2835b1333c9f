"""The client against servers that misbehave, on real loopback sockets: what proves "not sent", and what is doubt."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import random
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from airflow_provider_contacts.transport.client import Client
from airflow_provider_contacts.transport.endpoint import Endpoint, proxy_for
from airflow_provider_contacts.transport.response_body import LARGEST
from airflow_provider_contacts.transport.tokens import TokenError, TokenRequest, TokenSource
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials, bearer
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result
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
    silent,
)

# What is sent, and what comes back.


def test_a_request_leaves_as_it_was_asked_for_and_its_answer_comes_whole(serve: Serve) -> None:
    server = serve(lambda wire: wire.say(207, b'{"a": 1}', "X-Kind: Odd\r\nRetry-After: 3\r\n"))
    with client_to(server) as client:
        found = result_of(client, Request("POST", "/v1/contacts/", b"[1]", (("a b", "c&d"),)))
    assert isinstance(found, Response)
    assert (found.status, found.body) == (207, b'{"a": 1}')
    assert (found.headers["x-kind"], found.headers["retry-after"]) == ("Odd", "3")
    (heard,) = server.heard
    assert heard.line.startswith("POST /v1/contacts/?a%20b=c%26d HTTP/1.1") or heard.line.startswith(
        "POST /v1/contacts/?a+b=c%26d HTTP/1.1"
    )
    assert heard.body == b"[1]"
    assert heard.headers["authorization"] == f"Bearer {SECRET}"
    assert heard.headers["content-type"] == "application/json"


def test_results_come_back_as_they_come(serve: Serve) -> None:
    def handle(wire: Wire) -> bool:
        time.sleep(0.3 if wire.heard.path == "/slow" else 0.0)
        return wire.say(200)

    with client_to(serve(handle)) as client:
        client.submit(1, Request("POST", "/slow", b""), not_after=time.monotonic() + 5, timeout=5)
        client.submit(2, Request("POST", "/fast", b""), not_after=time.monotonic() + 5, timeout=5)
        assert [tag for tag, _ in client.collect(5.0)] == [2]
        assert [tag for tag, _ in client.collect(5.0)] == [1]
        begun = time.monotonic()
        assert client.collect(0.1) == []
        assert 0.05 < time.monotonic() - begun < 1.0
        assert client.collect(0) == []


def test_a_wake_up_ends_the_waiting(serve: Serve) -> None:
    with client_to(serve(fine)) as client:
        threading.Timer(0.1, client.wake).start()
        begun = time.monotonic()
        assert client.collect(10.0) == []
        assert time.monotonic() - begun < 5.0


def test_many_requests_are_in_flight_at_once(serve: Serve) -> None:
    gate = threading.Barrier(100, timeout=10)

    def handle(wire: Wire) -> bool:
        gate.wait()
        return wire.say(200)

    with client_to(serve(handle)) as client:
        for tag in range(100):
            client.submit(tag, POST, not_after=time.monotonic() + 5, timeout=10)
        found = gather(client, 100)
    assert {result.status for result in found.values() if isinstance(result, Response)} == {200}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(serve: Serve, status: int) -> None:
    server = serve(lambda wire: wire.say(status, b"", f"Location: http://{wire.heard.headers['host']}/elsewhere\r\n"))
    with client_to(server) as client:
        found = result_of(client)
    assert isinstance(found, Response)
    assert found.status == status
    assert [heard.path for heard in server.heard] == ["/contacts/"]


def test_a_cookie_is_never_sent_back(serve: Serve) -> None:
    server = serve(lambda wire: wire.say(200, headers="Set-Cookie: session=1; Path=/\r\nConnection: close\r\n"))
    with client_to(server) as client:
        for tag in range(3):
            result_of(client, tag=tag)
    assert ["cookie" in heard.headers for heard in server.heard] == [False] * 3


def test_nothing_is_asked_for_that_is_not_unpacked_and_we_say_who_we_are(serve: Serve) -> None:
    server = serve(fine)
    with client_to(server) as client:
        result_of(client)
    (heard,) = server.heard
    assert heard.headers["accept-encoding"] == "gzip, deflate"
    assert heard.headers["user-agent"] == "airflow-provider-contacts"


def test_a_header_that_comes_twice_is_joined_and_strange_signs_are_replaced(serve: Serve) -> None:
    def handle(wire: Wire) -> bool:
        wire.socket.sendall(b"HTTP/1.1 200 X\r\nX-Odd: a\r\nContent-Length: 2\r\nx-odd: b\xff\r\n\r\n{}")
        return True

    with client_to(serve(handle)) as client:
        found = result_of(client)
    assert isinstance(found, Response)
    assert found.headers == {"x-odd": "a, b\ufffd", "content-length": "2"}


BARE = zlib.compressobj(wbits=-zlib.MAX_WBITS)
BARE_DEFLATE = BARE.compress(b'{"a": 1}') + BARE.flush()


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b'{"a": 1}')),
        ("X-GZip", gzip.compress(b'{"a": 1}')),
        ("deflate", zlib.compress(b'{"a": 1}')),
        ("deflate", BARE_DEFLATE),
        ("identity", b'{"a": 1}'),
    ],
)
def test_a_packed_answer_is_unpacked(serve: Serve, encoding: str, packed: bytes) -> None:
    with client_to(serve(lambda wire: wire.say(200, packed, f"Content-Encoding: {encoding}\r\n"))) as client:
        found = result_of(client)
    assert isinstance(found, Response)
    assert found.body == b'{"a": 1}'


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", b"no gzip at all"),
        ("gzip", gzip.compress(b"x" * 100)[:10] + b"\xff" * 20),
        # Cut short: what came before is a half.
        ("gzip", gzip.compress(b'{"a": 1}')[:-4]),
        ("gzip", gzip.compress(b'{"a": 1}') + b"no gzip at all"),
        ("deflate", b"no deflate at all"),
        ("br", b"\x8b\x03\x80"),
    ],
)
def test_a_badly_packed_answer_is_a_status_without_a_body(serve: Serve, encoding: str, packed: bytes) -> None:
    with client_to(serve(lambda wire: wire.say(201, packed, f"Content-Encoding: {encoding}\r\n"))) as client:
        found = result_of(client)
        assert isinstance(found, Response)
        assert (found.status, found.body) == (201, b"")
        assert isinstance(result_of(client), Response)


@pytest.mark.parametrize("packed", [True, False])
def test_a_huge_answer_is_not_kept(serve: Serve, packed: bool) -> None:
    huge = b"0" * (LARGEST.size + 1)
    body = gzip.compress(huge, 1) if packed else huge
    with client_to(serve(lambda wire: wire.say(200, body, "Content-Encoding: gzip\r\n" if packed else ""))) as client:
        found = result_of(client, timeout=60.0)
    assert isinstance(found, Response)
    assert (found.status, found.body) == (200, b"")


# Proof that nothing was sent.


def test_a_refused_connection_is_proof() -> None:
    with client_to(f"http://127.0.0.1:{free_port()}") as client:
        assert result_of(client) == NotSent("not_connected")


def test_a_name_that_does_not_resolve_is_proof() -> None:
    with client_to("http://vendor.invalid") as client:
        assert result_of(client, timeout=20.0) == NotSent("not_connected")


def test_a_failed_tls_handshake_is_proof(serve: Serve) -> None:
    server = serve(fine)
    with client_to(f"https://127.0.0.1:{server.port}") as client:
        assert result_of(client) == NotSent("not_connected")
    assert server.heard == []


def test_a_certificate_that_is_not_trusted_is_proof_and_one_that_is_is_fine(
    serve: Serve, certificate: tuple[str, str]
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    server = serve(fine, tls)
    with client_to(server) as client:
        assert result_of(client) == NotSent("not_connected")
    for verify in (
        False,
        certificate[0],
    ):
        with client_to(server, verify=verify) as client:
            assert isinstance(result_of(client), Response)
    assert len(server.heard) == 2


def test_a_mark_that_is_too_old_is_not_sent(serve: Serve) -> None:
    server = serve(fine)
    with client_to(server) as client:
        client.submit(1, POST, not_after=time.monotonic() - 0.001, timeout=5)
        assert gather(client, 1) == {1: NotSent("mark_expired")}
        assert isinstance(result_of(client), Response)
    assert len(server.heard) == 1


def test_a_client_that_cannot_be_built_has_sent_nothing(tmp_path: Path) -> None:
    with client_to("https://127.0.0.1:1", verify=str(tmp_path / "no-such-file.pem")) as client:
        assert result_of(client) == NotSent("not_prepared")


def test_a_request_that_cannot_be_built_has_sent_nothing(serve: Serve) -> None:
    server = serve(fine)
    with client_to(server) as client:
        assert result_of(client, Request("POST", "/a\x00b", b"")) == NotSent("not_prepared")
    assert server.heard == []


@pytest.mark.parametrize("secret", ["pässword", "two\r\nlines", "a\x00b", "tab\tbed"])
def test_a_secret_that_is_no_header_has_sent_nothing(serve: Serve, secret: str) -> None:
    server = serve(fine)
    with client_to(server, bearer(secret)) as client:
        assert result_of(client) == NotSent("not_prepared")
    assert server.heard == []


# Doubt.


@pytest.mark.parametrize("reused", [False, True])
@pytest.mark.parametrize("end", ["FIN", "RST"])
def test_a_server_that_reads_the_request_and_hangs_up_leaves_doubt(serve: Serve, end: str, reused: bool) -> None:
    def handle(wire: Wire) -> bool:
        if wire.heard.path == "/first":
            return wire.say(200)
        return wire.reset() if end == "RST" else False

    server = serve(handle)
    with client_to(server) as client:
        if reused:
            assert isinstance(result_of(client, Request("POST", "/first", b"{}")), Response)
        assert result_of(client) == NoAnswer("connection_lost")
    assert [heard.path for heard in server.heard].count("/contacts/") == 1
    assert len({heard.connection for heard in server.heard}) == 1


def test_a_server_that_hangs_up_in_the_middle_of_the_head_leaves_doubt(serve: Serve) -> None:
    def handle(wire: Wire) -> bool:
        wire.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
        return False

    with client_to(serve(handle)) as client:
        assert result_of(client) == NoAnswer("connection_lost")


@pytest.mark.parametrize("said", [b"garbage\r\n\r\n", b"HTTP/1.1 abc X\r\n\r\n", b"\x00" * 100 + b"\r\n\r\n"])
def test_a_server_that_speaks_no_http_leaves_doubt(serve: Serve, said: bytes) -> None:
    def handle(wire: Wire) -> bool:
        wire.socket.sendall(said)
        return False

    with client_to(serve(handle)) as client:
        assert result_of(client) == NoAnswer("connection_lost")


@pytest.mark.parametrize("end", ["FIN", "RST"])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_that_breaks_off_is_a_status_without_a_body(serve: Serve, end: str, chunked: bool) -> None:
    def handle(wire: Wire) -> bool:
        if chunked:
            wire.socket.sendall(b'HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n')
        else:
            wire.say(200, b'{"a":', length=100)
        time.sleep(0.2)
        return wire.reset() if end == "RST" else False

    with client_to(serve(handle)) as client:
        found = result_of(client)
    assert isinstance(found, Response)
    assert (found.status, found.body) == (200, b"")


HONEST = [
    b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\nContent-Type: application/json\r\n\r\n{"a": 1}',
    b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\n4\r\n: 1}\r\n0\r\n\r\n',
    b"HTTP/1.1 422 X\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzip.compress(b'{"a": 1}'),
]


def spoilt(seed: int) -> list[bytes]:
    """Return answers with a few of their bytes changed, left out, or written twice."""
    draw = random.Random(seed)
    found = []
    for honest in HONEST * 5:
        said = bytearray(honest)
        for _ in range(draw.choice([1, 1, 2, 5])):
            at = draw.randrange(len(said))
            said[at : at + draw.choice([0, 1, 3])] = draw.choice(
                [b"", bytes([draw.randrange(256)]), bytes(said[at : at + 20]), b"\r\n", b"99999999999999999999"]
            )
        found.append(bytes(said))
    return found


@pytest.mark.parametrize("seed", range(10))
def test_no_answer_however_spoilt_proves_that_nothing_was_sent(serve: Serve, seed: int) -> None:
    answers = spoilt(seed)

    def handle(wire: Wire) -> bool:
        wire.socket.sendall(answers[int(wire.heard.path[1:])])
        return False

    server = serve(handle)
    with client_to(server) as client:
        for tag in range(len(answers)):
            client.submit(tag, Request("POST", f"/{tag}", b"{}"), not_after=time.monotonic() + 5, timeout=5)
        found = gather(client, len(answers))
    assert not any(isinstance(result, NotSent) for result in found.values())
    # Nothing is sent twice, either.
    assert sorted(heard.path for heard in server.heard) == sorted(f"/{tag}" for tag in range(len(answers)))


def test_silence_is_a_timeout(serve: Serve) -> None:
    server = serve(silent(3.0))
    with client_to(server) as client:
        begun = time.monotonic()
        assert result_of(client, timeout=0.4) == NoAnswer("timeout")
        assert time.monotonic() - begun < 2.0


@pytest.mark.parametrize("part", ["head", "body"])
def test_a_server_that_drips_does_not_stretch_the_timeout(serve: Serve, part: str) -> None:
    def handle(wire: Wire) -> bool:
        wire.socket.sendall(b"HTTP/1.1 200 X\r\n" + (b"Content-Length: 1000\r\n\r\n" if part == "body" else b""))
        for _ in range(100):
            wire.socket.sendall(b"x")
            time.sleep(0.05)
        return False

    with client_to(serve(handle)) as client:
        begun = time.monotonic()
        assert result_of(client, timeout=0.5) == NoAnswer("timeout")
        assert time.monotonic() - begun < 2.0


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")  # aiohttp, above a megabyte
def test_a_server_that_does_not_read_leaves_doubt_at_the_timeout() -> None:
    big = Request("POST", "/contacts/", b"x" * 50_000_000)
    listener = socket.create_server(("127.0.0.1", 0))
    with client_to(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
        assert result_of(client, big, timeout=0.6) == NoAnswer("timeout")
        # Lets go of the connection, which would otherwise wait for the other side to read on.
        listener.close()
        time.sleep(0.1)


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")  # aiohttp, above a megabyte
def test_an_answer_before_the_end_of_the_request_proves_nothing_and_its_connection_is_not_used_again() -> None:
    heard: list[bytes] = []
    opened: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                opened.append(connection)
                heard.append(connection.recv(1000))
                # What the rest of the request is taken for is the server's secret: nothing may follow it.
                connection.sendall(b"HTTP/1.1 413 X\r\nContent-Length: 2\r\n\r\n{}")

    threading.Thread(target=serve, daemon=True).start()
    with client_to(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
        for path in ("/first", "/second"):
            found = result_of(client, Request("POST", path, b"x" * 50_000_000))
            assert found == NoAnswer("early_answer")
    for one in (listener, *opened):
        one.close()
    assert [one.split(b" ")[1] for one in heard] == [b"/first", b"/second"]


# Tokens.

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
    number: int = 0

    def __post_init__(self) -> None:
        self.server = self.serve(self._handle)

    def _handle(self, wire: Wire) -> bool:
        if wire.heard.path != "/oauth/token":
            return self.api(wire)
        self.number += 1
        return wire.say(*self.reply(self.number))

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


def test_what_cannot_be_warmed_is_the_result_of_the_requests(serve: Serve, tmp_path: Path) -> None:
    tokens = Tokens(serve, reply=lambda _: (401, b"{}"))
    with client_to(tokens.server, tokens.credential(**BASIC_CREDENTIAL)) as client:
        client.warm()
        result = result_of(client)
        assert isinstance(result, NotSent)
        assert result.refused
    assert tokens.calls() == []
    with client_to("https://127.0.0.1:1", verify=str(tmp_path / "no-such-file.pem")) as client:
        client.warm()
        assert result_of(client) == NotSent("not_prepared")


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


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (401, b'{"error": "invalid_client"}', NotSent("token_refused", refused=True)),
        (401, b"<html>", NotSent("token_refused", refused=True)),
        (400, b'{"message": "no"}', NotSent("token_refused", refused=True)),
        (403, b"", NotSent("token_refused", refused=True)),
        (404, b"[]", NotSent("token_refused", refused=True)),
        (429, b'{"error": "too_many_requests"}', NotSent("token_unavailable")),
        (500, b'{"error": "server_error"}', NotSent("token_unavailable")),
        (503, b"", NotSent("token_unavailable")),
        (302, b"", NotSent("token_unavailable")),
        (200, b"<html>", NotSent("token_unreadable")),
        (200, b"", NotSent("token_unreadable")),
        (200, b"[]", NotSent("token_unreadable")),
        (200, b"{}", NotSent("token_unreadable")),
        (200, b'{"access_token": 7}', NotSent("token_unreadable")),
        (200, b'{"access_token": ""}', NotSent("token_unreadable")),
        (200, b'{"access_token": "a\\r\\nX-Evil: 1"}', NotSent("token_unreadable")),
        (200, b'{"access_token": "t", "scope": "read"}', NotSent("token_scope", refused=True)),
    ],
)
def test_what_a_token_endpoint_says_instead_of_a_token(serve: Serve, status: int, body: bytes, result: NotSent) -> None:
    tokens = Tokens(serve, reply=lambda _: (status, body))
    with client_to(tokens.server, tokens.credential(**BASIC_CREDENTIAL)) as client:
        assert result_of(client) == result
    assert tokens.calls() == []


@pytest.mark.parametrize("end", ["FIN", "RST", "refused"])
def test_a_token_endpoint_that_cannot_be_asked(serve: Serve, end: str) -> None:
    server = serve(lambda wire: wire.reset() if end == "RST" else False)
    port = free_port() if end == "refused" else server.port
    credential = ClientCredentials(token_url=f"http://127.0.0.1:{port}/oauth/token", **JSON_CREDENTIAL)
    with client_to(server, credential) as client:
        assert result_of(client) == NotSent("token_unavailable")


def test_a_granted_scope_that_is_wide_enough_will_do(serve: Serve) -> None:
    body = b'{"access_token": "t", "scope": "other read record-lists:manage"}'
    tokens = Tokens(serve, reply=lambda _: (200, body))
    with client_to(tokens.server, tokens.credential(**BASIC_CREDENTIAL)) as client:
        assert isinstance(result_of(client), Response)


def test_a_secret_that_no_header_can_carry_is_refused_not_lost(serve: Serve) -> None:
    tokens = Tokens(serve)
    values = {**BASIC_CREDENTIAL, "client_secret": "пароль"}
    with client_to(tokens.server, tokens.credential(**values)) as client:
        found = result_of(client)
    assert isinstance(found, NotSent)
    assert found.refused


@pytest.mark.parametrize(
    ("told", "good_for"),
    [(600, 540.0), (100, 80.0), ("600", 540.0), (10, 8.0), (None, 240.0), (-1, 240.0), ("x", 240.0), (0, 240.0)],
)
def test_a_token_is_renewed_ahead_of_its_expiry(told: Any, good_for: float) -> None:
    now = 1000.0
    asked: list[float] = []

    async def post(_: TokenRequest) -> Result:
        asked.append(now)
        return Response(200, {}, json.dumps({"access_token": f"t{len(asked)}", "expires_in": told}).encode())

    async def use() -> list[str]:
        nonlocal now
        credential = ClientCredentials(token_url="https://t.invalid", **BASIC_CREDENTIAL)
        source = TokenSource(credential, post, on_secret=lambda _: None, monotonic=lambda: now)
        found = [await source.get()]
        now += good_for - 0.1
        found.append(await source.get())
        now += 0.2
        return [*found, await source.get()]

    assert asyncio.run(use()) == ["t1", "t1", "t2"]


def test_a_token_error_shows_no_secret() -> None:
    async def post(_: TokenRequest) -> Result:
        return Response(401, {}, b'{"error_description": "client-secret-9 is wrong"}')

    credential = ClientCredentials(token_url="https://t.invalid", **BASIC_CREDENTIAL)
    source = TokenSource(credential, post, on_secret=lambda _: None)
    with pytest.raises(TokenError) as caught:
        asyncio.run(source.get())
    assert "client-secret-9" not in repr(caught.value) + str(caught.value)


# Proxies.


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_proxy_of_the_environment_is_used(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(fine)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    with client_to("http://vendor.invalid") as client:
        assert isinstance(result_of(client), Response)
    assert proxy.heard[0].line.startswith("POST http://vendor.invalid/contacts/ ")


def test_a_tunnel_that_a_proxy_refuses_is_proof(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(lambda wire: wire.say(502, b""))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    with client_to("https://vendor.invalid") as client:
        assert result_of(client) == NotSent("not_connected")
    assert proxy.heard[0].line.startswith("CONNECT vendor.invalid:443 ")
    assert "authorization" not in proxy.heard[0].headers


def test_a_proxy_that_is_not_there_is_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    with client_to("https://vendor.invalid") as client:
        assert result_of(client) == NotSent("not_connected")


def test_the_token_endpoint_is_asked_through_the_proxy_too(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(lambda wire: wire.say(502, b""))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    credential = ClientCredentials(token_url="https://login.invalid/token", **JSON_CREDENTIAL)
    with client_to("https://vendor.invalid", credential) as client:
        assert result_of(client) == NotSent("token_unavailable")
    assert [heard.line.split(" ")[1] for heard in proxy.heard] == ["login.invalid:443"]


def test_loopback_is_never_reached_through_a_proxy_of_the_environment(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = serve(fine), serve(fine)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    with client_to(server) as client:
        assert isinstance(result_of(client), Response)
    assert (len(proxy.heard), len(server.heard)) == (0, 1)


def test_a_stated_proxy_is_used_even_so(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    stated, other = serve(fine), serve(fine)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{other.port}")
    monkeypatch.setenv("NO_PROXY", "*")
    with client_to("http://vendor.invalid", proxy=f"http://user:pass@127.0.0.1:{stated.port}") as client:
        assert isinstance(result_of(client), Response)
    assert stated.heard[0].headers["proxy-authorization"] == "Basic " + base64.b64encode(b"user:pass").decode()
    assert other.heard == []


@pytest.mark.parametrize(
    ("no_proxy", "url", "proxied"),
    [
        ("", "https://api.vendor.example", True),
        ("vendor.example", "https://api.vendor.example", False),
        ("other.example", "https://api.vendor.example", True),
        ("*", "https://api.vendor.example", False),
        ("", "https://localhost:1", False),
        ("", "https://[::1]:1", False),
        ("", "http://api.vendor.example", False),
    ],
)
def test_the_environment_is_read_as_usual(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, url: str, proxied: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (proxy_for(url, "") is not None) == proxied
    assert proxy_for(url, "http://stated:1") == "http://stated:1"


# The end.


def test_closing_does_not_wait_for_what_is_under_way(serve: Serve) -> None:
    server = serve(silent(20.0))
    before = set(threading.enumerate())
    client = Client(Endpoint(base_url=f"http://127.0.0.1:{server.port}", credential=bearer(SECRET)))
    for tag in range(5):
        client.submit(tag, POST, not_after=time.monotonic() + 5, timeout=60)
    while len(server.heard) < 5:
        time.sleep(0.01)
    begun = time.monotonic()
    client.close()
    client.close()
    assert time.monotonic() - begun < 3.0
    assert "contacts-client" not in {thread.name for thread in set(threading.enumerate()) - before}


def test_an_unused_client_closes(serve: Serve) -> None:
    with client_to(serve(fine)):
        pass


def test_nothing_secret_shows(serve: Serve) -> None:
    tokens = Tokens(serve)
    credential = tokens.credential(**BASIC_CREDENTIAL)
    proxy = f"http://user:proxy-secret@127.0.0.1:{tokens.server.port}"
    with client_to(tokens.server, credential, proxy=proxy) as client:
        result = result_of(client)
        shown = repr(client) + repr(credential) + repr(bearer(SECRET)) + repr(client._endpoint) + repr(result)
    for secret in ("client-secret-9", SECRET, "proxy-secret"):
        assert secret not in shown
