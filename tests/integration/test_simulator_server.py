from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.client import HTTPResponse, IncompleteRead
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_contacts.simulator.__main__ import main
from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.simulator.server import listen, running
from tests.support.servers import wait_until
from tests.support.simulated import RECORD

ROOT = Path(__file__).parents[2]
TIMEOUT = 20.0


@pytest.fixture
def simulator() -> Simulator:
    return Simulator()


@pytest.fixture
def url(simulator: Simulator) -> Iterator[str]:
    with running(simulator) as served:
        yield served


def request_bytes(records: int = 3, *, declared: int | None = None) -> bytes:
    body = json.dumps({"records": [RECORD] * records}).encode()
    headers = ("Authorization: Bearer ready-token", "Content-Type: application/json")
    return post("/talkdesk/record-lists/demo-list/records/bulks", body, *headers, length=declared)


def connect(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=TIMEOUT)


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read one whole answer."""
    answer = HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read()


def exchange(url: str, message: bytes) -> tuple[int, bytes]:
    with connect(url) as connection:
        connection.sendall(message)
        return read_answer(connection)


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", *headers, "", ""]).encode()


def post(path: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*head, *headers, "", ""]).encode() + body


def shown(url: str, message: bytes) -> Any:
    status, body = exchange(url, message)
    assert status == 200
    return json.loads(body)


@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
@pytest.mark.parametrize(
    ("fault", "stored"), [("store_then_drop", 3), ("close_before_store", 0), ("close_before_read", 0)]
)
@pytest.mark.parametrize("form", ["fin", "rst"])
def test_a_connection_is_closed_with_fin_or_rst(
    simulator: Simulator, url: str, form: str, fault: str, stored: int, *, reused: bool
) -> None:
    before = 0
    with connect(url) as connection:
        if reused:
            connection.sendall(request_bytes(1))
            assert read_answer(connection)[0] == 201
            before = 1
        simulator.update({f"talkdesk.{fault}": "next:1", "talkdesk.drop_form": form})
        connection.sendall(request_bytes())
        if form == "rst":
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
        else:
            assert connection.recv(1) == b""
    talkdesk = simulator.talkdesk
    assert len(talkdesk.stored) == before + stored
    assert talkdesk.requests[-1].status == 0
    assert talkdesk.requests[-1].faults == (fault,)


def test_closing_before_reading_does_not_wait_for_the_body(simulator: Simulator, url: str) -> None:
    simulator.set("talkdesk.close_before_read", "always")
    with connect(url) as connection:
        connection.sendall(request_bytes(1, declared=1_000_000))
        assert connection.recv(1) == b""
    assert simulator.talkdesk.stored == []


@pytest.mark.parametrize("form", ["fin", "rst"])
def test_a_truncated_answer_ends_before_its_content_length(simulator: Simulator, url: str, form: str) -> None:
    simulator.update({"talkdesk.truncated": "next:1", "talkdesk.drop_form": form})
    with connect(url) as connection:
        connection.sendall(request_bytes(100))
        with pytest.raises((IncompleteRead, ConnectionResetError)):
            read_answer(connection)
    assert len(simulator.talkdesk.stored) == 100


@pytest.mark.parametrize(("fault", "stored"), [("hang", 0), ("store_then_hang", 3)])
def test_a_hanging_request_says_nothing_until_the_client_leaves(
    simulator: Simulator, url: str, fault: str, stored: int
) -> None:
    simulator.set(f"talkdesk.{fault}", "next:1")
    with connect(url) as connection:
        connection.sendall(request_bytes())
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert len(simulator.talkdesk.stored) == stored
    with connect(url) as connection:
        connection.sendall(request_bytes(1))
        assert read_answer(connection)[0] == 201


def test_a_simulator_stops_although_a_request_hangs() -> None:
    simulator = Simulator({"talkdesk.hang": "always"})
    before = set(threading.enumerate())  # other tests may have simulators of their own
    with running(simulator) as url:
        connection = connect(url)
        connection.sendall(request_bytes())
        wait_until(lambda: len(simulator.talkdesk.requests) == 1, "the request has come")
    connection.close()
    assert not {thread for thread in threading.enumerate() if thread.name == "simulator"} - before


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "airflow_provider_contacts.simulator", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = subprocess.Popen(
        [*command, "--set", "talkdesk.http_503=nth:1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        yield started
    finally:
        started.terminate()
        _, errors = started.communicate(timeout=TIMEOUT)
        assert errors == ""


def test_the_command_prints_connections_that_work(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    lines: list[str] = []
    while not (lines and lines[-1].startswith("export AIRFLOW_CONN_TALKDESK_DEFAULT=")):
        lines.append(process.stdout.readline())
        assert lines[-1], "the process ended"
    connection = json.loads(lines[-1].partition("=")[2].strip().strip("'"))
    assert {"INTERMEZZO", "NEDZO", "DEX", "APPTOTO"} <= {line.split("_")[2] for line in lines if "export" in line}
    client = b64encode(f"{connection['login']}:{connection['password']}".encode()).decode()
    url, _, path = connection["extra"]["token_url"].partition("/talkdesk")
    form = b"grant_type=client_credentials&scope=record-lists:manage"
    typed = "Content-Type: application/x-www-form-urlencoded"
    word = shown(url, post(f"/talkdesk{path}", form, f"Authorization: Basic {client}", typed))["access_token"]
    assert connection["host"] == f"{url}/talkdesk"
    message = request_bytes(1).replace(b"ready-token", word.encode())
    assert message.startswith(f"POST /talkdesk/record-lists/{connection['extra']['record_list_id']}/".encode())
    assert [exchange(url, message)[0] for _ in range(2)] == [503, 201]


def test_a_port_that_cannot_be_had_is_named_with_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 1
    assert f"127.0.0.1:{port}" in (said := capsys.readouterr().err)
    assert "--port 0" in said
    for wrong in ("99999", "-1", "x"):
        with pytest.raises(SystemExit):
            main(["--port", wrong])
        assert "--port: a number from 0 to 65535" in capsys.readouterr().err


# Who is let in, and how much.

CONTROL = ["/", "/_simulator", "/_simulator/summary", "/_simulator/state?vendor=dex", "/_simulator/faults"]
VENDOR = ["/dex/v1/contacts", "/talkdesk/oauth/token", "/intermezzo/organizations"]
FOREIGN = [
    "evil.example", "evil.example:8780", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0", "10.1.2.3",  # noqa: S104  # named, not listened at
    "localhost@evil.example", "localhost evil.example", "[2001:db8::1]:80", "127.1", "2130706433", "",
]  # fmt: skip
OWN = ["127.0.0.1", "127.0.0.1:8780", "localhost", "LOCALHOST:1", "localhost.", "127.8.9.1", "[::1]", "[::1]:8780"]


@pytest.fixture
def narrow() -> Iterator[tuple[Simulator, str]]:
    simulator = Simulator({"all.max_body": 1000})
    with running(simulator) as served:
        yield simulator, served


def test_a_foreign_host_is_refused_by_every_route(url: str) -> None:
    for path, host in product((*CONTROL, *VENDOR), FOREIGN):
        status, body = exchange(url, get(path, f"Host: {host}", "Authorization: Bearer dex_x"))
        assert status == 403, (path, host)
        assert "--allow-host" in json.loads(body)["error"]


def test_this_machines_own_names_are_let_in(url: str) -> None:
    for path, host in product((*CONTROL, VENDOR[0]), OWN):
        assert exchange(url, get(path, f"Host: {host}", "Authorization: Bearer dex_x"))[0] == 200, (path, host)


def test_a_foreign_origin_sets_nothing(simulator: Simulator, url: str) -> None:
    body = b'{"dex.plan": "free"}'
    origins = ("http://evil.example", "https://evil.example:8780", "null", "file://", "http://10.0.0.1")
    for path, origin in product(("/_simulator/faults", "/_simulator/reset", "/dex/v1/contacts/"), origins):
        status, answer = exchange(url, post(path, body, f"Origin: {origin}", "Authorization: Bearer dex_x"))
        assert (status, "Origin" in json.loads(answer)["error"]) == (403, True), path
    assert simulator.dex.knobs.shown()["plan"] == "professional"
    assert exchange(url, post("/_simulator/faults", body, "Origin: http://localhost:8780"))[0] == 200
    assert simulator.dex.knobs.shown()["plan"] == "free"


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
        assert url.startswith("http://127.0.0.1:")
        assert exchange(url, get("/_simulator", "Host: 10.1.2.3:80"))[0] == 200
        assert exchange(url, get("/_simulator", "Host: evil.example"))[0] == 403
        # A container reaches the vendors by a name that only its network knows.
        assert exchange(url, get(VENDOR[0], "Host: simulator", "Authorization: Bearer dex_x"))[0] == 200


@pytest.mark.parametrize(
    "path", ["/_simulator/faults", "/_simulator/reset", "/dex/v1/contacts/", "/talkdesk/oauth/token"]
)
def test_a_long_body_is_answered_413_and_not_kept(narrow: tuple[Simulator, str], path: str) -> None:
    simulator, url = narrow
    long = b"x" * 200_000
    assert exchange(url, post(path, long, "Authorization: Bearer dex_x"))[0] == 413
    chunked = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    assert exchange(url, chunked + (b"2710\r\n" + b"x" * 10_000 + b"\r\n") * 20 + b"0\r\n\r\n")[0] == 413
    assert exchange(url, get("/_simulator/summary", "Host: localhost"))[0] == 200
    assert simulator.dex.stored == []


@pytest.mark.parametrize("path", ["/_simulator/faults", "/dex/v1/contacts/"])
def test_a_body_without_an_end_is_cut_off(narrow: tuple[Simulator, str], path: str) -> None:
    _, url = narrow
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with connect(url) as connection:
        connection.sendall(head)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            connection.sendall((b"2710\r\n" + b"x" * 10_000 + b"\r\n") * 2000)


def test_less_than_was_announced_is_not_handled(narrow: tuple[Simulator, str]) -> None:
    """A client that announces more than it sends, and leaves: what came is no request."""
    simulator, url = narrow
    messages = [
        *(
            post(path, b"{}", "Authorization: Bearer dex_x", length=500)
            for path in ("/_simulator/faults", "/dex/v1/contacts/")
        ),
        # A whole JSON text, but not the whole body.
        request_bytes(1).replace(b"Content-Length: ", b"Content-Length: 9"),
    ]
    for message in messages:
        with connect(url) as connection:
            connection.sendall(message)
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
