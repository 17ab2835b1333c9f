from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_contacts.simulator.__main__ import main
from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.simulator.server import listen, running

ROOT = Path(__file__).parents[2]
RECORD = {
    "phone_numbers": [{"phone_number": "+351929312319", "phone_type": "MOBILE"}],
    "first_name": "Joey",
    "last_name": "Tribbiani",
}
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
    head = (
        "POST /talkdesk/record-lists/demo-list/records/bulks HTTP/1.1\r\nHost: localhost\r\n"
        "Authorization: Bearer ready-token\r\nContent-Type: application/json\r\n"
        f"Content-Length: {declared or len(body)}\r\n\r\n"
    )
    return head.encode() + body


def connect(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=TIMEOUT)


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read one whole answer, by its Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    assert found
    while len(body) < int(found[1]):
        body += _some(connection)
    return int(head.split()[1]), body


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise EOFError
    return data


def ask(url: str, method: str = "GET", body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)  # noqa: S310  # loopback
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310  # loopback
        return json.load(answer)


def test_a_socket_serves_requests_one_after_another(simulator: Simulator, url: str) -> None:
    with connect(url) as connection:
        for _ in range(3):
            connection.sendall(request_bytes())
            status, body = read_answer(connection)
            assert (status, json.loads(body)["total_created"]) == (201, 3)
    assert len(simulator.vendors["talkdesk"].stored) == 9


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
    talkdesk = simulator.vendors["talkdesk"]
    assert len(talkdesk.stored) == before + stored
    assert talkdesk.requests[-1].status == 0
    assert talkdesk.requests[-1].faults == (fault,)


def test_closing_before_reading_does_not_wait_for_the_body(simulator: Simulator, url: str) -> None:
    simulator.set("talkdesk.close_before_read", "always")
    with connect(url) as connection:
        connection.sendall(request_bytes(1, declared=1_000_000))
        assert connection.recv(1) == b""
    assert simulator.vendors["talkdesk"].stored == []


@pytest.mark.parametrize("form", ["fin", "rst"])
def test_a_truncated_answer_ends_before_its_content_length(simulator: Simulator, url: str, form: str) -> None:
    simulator.update({"talkdesk.truncated": "next:1", "talkdesk.drop_form": form})
    with connect(url) as connection:
        connection.sendall(request_bytes(100))
        with pytest.raises((EOFError, ConnectionResetError)):
            read_answer(connection)
    assert len(simulator.vendors["talkdesk"].stored) == 100


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
    assert len(simulator.vendors["talkdesk"].stored) == stored
    with connect(url) as connection:
        connection.sendall(request_bytes(1))
        assert read_answer(connection)[0] == 201


def test_a_simulator_stops_although_a_request_hangs() -> None:
    simulator = Simulator({"talkdesk.hang": "always"})
    before = set(threading.enumerate())  # other tests may have simulators of their own
    with running(simulator) as url:
        connection = connect(url)
        connection.sendall(request_bytes())
        until = time.monotonic() + TIMEOUT
        while not simulator.vendors["talkdesk"].requests and time.monotonic() < until:
            time.sleep(0.01)
        assert len(simulator.vendors["talkdesk"].requests) == 1
    connection.close()
    assert not {thread for thread in threading.enumerate() if thread.name == "simulator"} - before


def test_latency_delays_and_the_server_goes_on(simulator: Simulator, url: str) -> None:
    simulator.set("talkdesk.latency", "300ms")
    started = time.monotonic()
    with connect(url) as slow, connect(url) as other:
        slow.sendall(request_bytes())
        other.sendall(b"GET /_simulator/summary HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_answer(other)[0] == 200
        assert read_answer(slow)[0] == 201
    assert time.monotonic() - started >= 0.3


def test_the_state_is_read_and_set_over_http(url: str) -> None:
    ask(f"{url}/_simulator/faults", "POST", {"talkdesk": {"http_502": "next:1"}})
    with connect(url) as connection:
        connection.sendall(request_bytes())
        assert read_answer(connection)[0] == 502
        connection.sendall(request_bytes())
        assert read_answer(connection)[0] == 201
    state = ask(f"{url}/_simulator/state?vendor=talkdesk&requests=true")
    assert [one["received"] for one in state["contacts"]] == [RECORD] * 3
    assert [one["status"] for one in state["request_log"]] == [502, 201]
    assert ask(f"{url}/_simulator/summary")["talkdesk"]["identical"] == 2
    assert ask(f"{url}/_simulator/faults")["talkdesk"]["http_502"] == "next:0"
    ask(f"{url}/_simulator/reset", "POST")
    assert ask(f"{url}/_simulator/state?vendor=talkdesk")["contacts"] == []


def test_a_hundred_records_take_well_under_ten_milliseconds(simulator: Simulator, url: str) -> None:
    times = []
    with connect(url) as connection:
        for _ in range(30):
            message = request_bytes(100)
            started = time.perf_counter()
            connection.sendall(message)
            read_answer(connection)
            times.append(time.perf_counter() - started)
    print(f"bulk of 100: median {sorted(times)[15] * 1000:.1f} ms, best {min(times) * 1000:.1f} ms")  # noqa: T201  # a figure to look at
    assert min(times) < 0.010
    assert len(simulator.vendors["talkdesk"].stored) == 3000


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "airflow_provider_contacts.simulator", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = subprocess.Popen(
        [*command, "--set", "talkdesk.http_503=nth:1", "--set", "talkdesk.retry_after_503=7"],
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
    token = urllib.request.Request(  # noqa: S310  # loopback
        connection["extra"]["token_url"],
        data=b"grant_type=client_credentials&scope=record-lists:manage",
        headers={"Authorization": "Basic ZGVtby1jbGllbnQ6ZGVtby1zZWNyZXQ="},
    )
    with urllib.request.urlopen(token, timeout=TIMEOUT) as answer:  # noqa: S310  # loopback
        word = json.load(answer)["access_token"]
    create = urllib.request.Request(  # noqa: S310  # loopback
        f"{connection['host']}/record-lists/{connection['extra']['record_list_id']}/records/bulks",
        data=json.dumps({"records": [RECORD]}).encode(),
        headers={"Authorization": f"Bearer {word}", "Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(create, timeout=TIMEOUT)  # noqa: S310  # loopback
    assert (refused.value.code, refused.value.headers["Retry-After"]) == (503, "7")
    refused.value.close()
    with urllib.request.urlopen(create, timeout=TIMEOUT) as answer:  # noqa: S310  # loopback
        assert json.load(answer)["total_created"] == 1


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
