"""The client against servers that misbehave, on real loopback sockets: what it sends, and what is doubt."""

from __future__ import annotations

import gzip
import random
import threading
import time
from pathlib import Path

import pytest

from airflow_provider_contacts.transport.client import Client
from airflow_provider_contacts.transport.connection import Endpoint
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials, bearer
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import Request, Response
from tests.support.sockets import POST, SECRET, Serve, Wire, client_to, fine, gather, result_of, silent

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
    # Nothing is asked for that is not unpacked.
    assert heard.headers["accept-encoding"] == "gzip"
    assert heard.headers["user-agent"] == "airflow-provider-contacts"


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


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(serve: Serve, status: int) -> None:
    server = serve(lambda wire: wire.say(status, b"", f"Location: http://{wire.heard.headers['host']}/elsewhere\r\n"))
    with client_to(server) as client:
        found = result_of(client)
    assert isinstance(found, Response)
    assert found.status == status
    assert [heard.path for heard in server.heard] == ["/contacts/"]


def test_a_header_that_comes_twice_is_joined_and_undecodable_characters_are_replaced(serve: Serve) -> None:
    def handle(wire: Wire) -> bool:
        wire.socket.sendall(b"HTTP/1.1 200 X\r\nX-Odd: a\r\nContent-Length: 2\r\nx-odd: b\xff\r\n\r\n{}")
        return True

    with client_to(serve(handle)) as client:
        found = result_of(client)
    assert isinstance(found, Response)
    assert found.headers == {"x-odd": "a, b\ufffd", "content-length": "2"}


# Proof that nothing was sent.


def test_a_client_that_cannot_be_built_has_sent_nothing(tmp_path: Path) -> None:
    with client_to("https://127.0.0.1:1", verify=str(tmp_path / "no-such-file.pem")) as client:
        assert result_of(client) == NotSent("not_prepared")


@pytest.mark.parametrize("path", ["/a\x00b", "/fine"])
@pytest.mark.parametrize("secret", ["good", "pässword", "two\r\nlines", "a\x00b", "tab\tbed"])
def test_what_cannot_be_built_has_sent_nothing(serve: Serve, path: str, secret: str) -> None:
    server = serve(fine)
    with client_to(server, bearer(secret)) as client:
        found = result_of(client, Request("POST", path, b""))
    assert found == NotSent("not_prepared") or (path, secret) == ("/fine", "good")
    assert len(server.heard) == ((path, secret) == ("/fine", "good"))


# Doubt.


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("pool.Pool.open", NotSent("not_connected")),
        ("http_connection.HttpConnection.send", NoAnswer("connection_lost")),
    ],
)
def test_an_error_that_nobody_thought_of_is_a_result_too(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, where: str, wanted: Result
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(f"airflow_provider_contacts.transport.{where}", fail)
    with client_to(serve(fine)) as client:
        found = result_of(client)
    assert found == wanted
    assert isinstance(found, NotSent | NoAnswer)
    assert found.message == "the HTTP client failed (ZeroDivisionError)"


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


def test_nothing_secret_shows(serve: Serve) -> None:
    server = serve(fine)
    credential = ClientCredentials(
        token_url=f"http://127.0.0.1:{server.port}/token", client_id="id-1", client_secret="client-secret-9"
    )
    proxy = f"http://user:proxy-secret@127.0.0.1:{server.port}"
    with client_to(server, credential, proxy=proxy) as client:
        shown = (
            repr(client) + repr(credential) + repr(bearer(SECRET)) + repr(client._endpoint) + repr(result_of(client))
        )
    for secret in ("client-secret-9", SECRET, "proxy-secret"):
        assert secret not in shown
