"""Who is let in, and how much: the simulator on a real socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.simulator.server import running
from tests.integration.test_simulator_server import connect, read_answer, request_bytes
from tests.support.servers import wait_until

CONTROL = ["/", "/_simulator", "/_simulator/summary", "/_simulator/state?vendor=dex", "/_simulator/faults"]
VENDOR = ["/dex/v1/contacts", "/talkdesk/oauth/token", "/intermezzo/organizations"]
FOREIGN = [
    "evil.example", "evil.example:8780", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0", "10.1.2.3",  # noqa: S104  # named, not listened at
    "localhost@evil.example", "localhost evil.example", "[2001:db8::1]:80", "127.1", "2130706433", "",
]  # fmt: skip
OWN = ["127.0.0.1", "127.0.0.1:8780", "localhost", "LOCALHOST:1", "localhost.", "127.8.9.1", "[::1]", "[::1]:8780"]


@pytest.fixture
def simulator() -> Simulator:
    return Simulator({"all.max_body": 1000})


@pytest.fixture
def url(simulator: Simulator) -> Iterator[str]:
    with running(simulator) as served:
        yield served


def exchange(url: str, message: bytes) -> tuple[int, bytes]:
    with connect(url) as connection:
        connection.sendall(message)
        return read_answer(connection)


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", *headers, "", ""]).encode()


def post(path: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*head, *headers, "", ""]).encode() + body


@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_host_is_refused_by_every_route(url: str, host: str) -> None:
    for path in (*CONTROL, *VENDOR):
        status, body = exchange(url, get(path, f"Host: {host}", "Authorization: Bearer dex_x"))
        assert status == 403, path
        assert "--allow-host" in json.loads(body)["error"]


@pytest.mark.parametrize("host", OWN)
def test_this_machines_own_names_are_let_in(url: str, host: str) -> None:
    for path in CONTROL:
        assert exchange(url, get(path, f"Host: {host}"))[0] == 200, path
    assert exchange(url, get(VENDOR[0], f"Host: {host}", "Authorization: Bearer dex_x"))[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "https://evil.example:8780", "null", "file://", "http://10.0.0.1"]
)
def test_a_foreign_origin_sets_nothing(simulator: Simulator, url: str, origin: str) -> None:
    body = b'{"dex.plan": "free"}'
    for path in ("/_simulator/faults", "/_simulator/reset", "/dex/v1/contacts/"):
        status, answer = exchange(url, post(path, body, f"Origin: {origin}", "Authorization: Bearer dex_x"))
        assert (status, "Origin" in json.loads(answer)["error"]) == (403, True), path
    assert simulator.dex.knob_values()["plan"] == "professional"
    assert exchange(url, post("/_simulator/faults", body, "Origin: http://localhost:8780"))[0] == 200
    assert simulator.dex.knob_values()["plan"] == "free"


def test_two_hosts_or_none_are_refused(url: str) -> None:
    for headers in (["Host: localhost", "Host: evil.example"], ["Host: evil.example", "Host: localhost"]):
        assert exchange(url, get("/_simulator", *headers))[0] in {400, 403}
    assert exchange(url, b"GET /_simulator HTTP/1.0\r\n\r\n")[0] in {400, 403}


def test_an_address_listened_at_and_an_allowed_name_are_let_in() -> None:
    simulator = Simulator(hosts=["contacts.test"])
    with running(simulator, host="127.0.0.1") as url:
        assert exchange(url, get("/_simulator", "Host: contacts.test:80"))[0] == 200
        assert exchange(url, get("/_simulator", "Host: evil.example"))[0] == 403
    simulator = Simulator()
    with running(simulator, host="0.0.0.0") as url:  # noqa: S104  # every address of this machine
        here = url
        assert url.startswith("http://127.0.0.1:")
        assert exchange(here, get("/_simulator", "Host: 10.1.2.3:80"))[0] == 200
        assert exchange(here, get("/_simulator", "Host: evil.example"))[0] == 403
        # A container reaches the vendors by a name that only its network knows.
        assert exchange(here, get(VENDOR[0], "Host: simulator", "Authorization: Bearer dex_x"))[0] == 200


@pytest.mark.parametrize(
    "path", ["/_simulator/faults", "/_simulator/reset", "/dex/v1/contacts/", "/talkdesk/oauth/token"]
)
def test_a_long_body_is_answered_413_and_not_kept(simulator: Simulator, url: str, path: str) -> None:
    long = b"x" * 200_000
    assert exchange(url, post(path, long, "Authorization: Bearer dex_x"))[0] == 413
    chunked = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    assert exchange(url, chunked + (b"2710\r\n" + b"x" * 10_000 + b"\r\n") * 20 + b"0\r\n\r\n")[0] == 413
    assert exchange(url, get("/_simulator/summary", "Host: localhost"))[0] == 200
    assert simulator.dex.stored == []


@pytest.mark.parametrize("path", ["/_simulator/faults", "/dex/v1/contacts/"])
def test_a_body_without_an_end_is_cut_off(url: str, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with connect(url) as connection:
        connection.sendall(head)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            connection.sendall((b"2710\r\n" + b"x" * 10_000 + b"\r\n") * 2000)


def test_less_than_was_announced_is_not_handled(simulator: Simulator, url: str) -> None:
    """A client that announces more than it sends, and leaves: what came is no request."""
    for path in ("/_simulator/faults", "/dex/v1/contacts/"):
        with connect(url) as connection:
            connection.sendall(post(path, b"{}", "Authorization: Bearer dex_x", length=500))
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""
    message = request_bytes(1)
    with connect(url) as connection:  # a whole JSON text, but not the whole body
        connection.sendall(message.replace(b"Content-Length: ", b"Content-Length: 9"))
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert simulator.talkdesk.stored == []
    wait_until(lambda: len(simulator.talkdesk.requests) == 1, "the request is noted")
    assert (simulator.talkdesk.requests[0].status, simulator.talkdesk.requests[0].received) == (0, 0)


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "5, 6", "99999999999999999999999"])
def test_a_length_that_is_none_is_refused(url: str, length: str) -> None:
    head = f"POST /_simulator/faults HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    with connect(url) as connection:
        connection.sendall(head.encode() + b"{}")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(65536)[:12] in {b"HTTP/1.1 400", b""}
    assert exchange(url, get("/_simulator/summary", "Host: localhost"))[0] == 200
