"""The last moment before a request is written: what holds it back then, on real sockets and in stopped processes."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import pytest

from airflow_provider_contacts.transport.connection import Endpoint
from airflow_provider_contacts.transport.http_connection import HttpConnection, Transfer
from airflow_provider_contacts.transport.http_exchange import OF_A_TOKEN, concluded
from airflow_provider_contacts.transport.pool import Pool
from airflow_provider_contacts.vendor_kit.auth import bearer
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent
from airflow_provider_contacts.vendor_kit.vendor import Response
from tests.support.sockets import POST, Serve, client_to, fine, gather, result_of

REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
ANSWER = b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{}"

Play = Callable[[HttpConnection, socket.socket], Awaitable[None]]


def with_line(play: Play, before: bytes = b"") -> None:
    """Play something with a connection and its other side."""

    async def run() -> None:
        ours, other = socket.socketpair(socket.AF_UNIX)
        other.settimeout(0)
        other.sendall(before)
        pool = Pool(Endpoint(base_url="http://127.0.0.1", credential=bearer("t")), "http://127.0.0.1")
        loop = asyncio.get_running_loop()
        with ours, other:
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            await play(HttpConnection(pool, [transport]), other)
            await pool.close()

    asyncio.run(run())


def transfer() -> Transfer:
    return Transfer(REQUEST, 1000, asyncio.get_running_loop().create_future())


def heard_by(other: socket.socket) -> bytes:
    try:
        return other.recv(1000)
    except BlockingIOError:
        return b""


@pytest.mark.parametrize(
    ("before", "not_after", "written"),
    [(b"", math.inf, REQUEST), (b"220 ready\r\n", math.inf, b""), (b"", 0.0, b"")],
    ids=["silent and in time", "the server speaks first", "its time is over"],
)
def test_a_request_is_written_to_a_silent_connection_in_time(before: bytes, not_after: float, written: bytes) -> None:
    async def play(connection: HttpConnection, other: socket.socket) -> None:
        assert (connection.is_silent() and connection.send(transfer(), not_after)) == bool(written)
        assert heard_by(other) == written

    with_line(play, before)


@pytest.mark.parametrize("late", [b"HTTP/1.1 200 X\r\n", b""], ids=["another answer", "silence"])
def test_a_used_connection_is_looked_at_before_its_next_request(late: bytes) -> None:
    async def play(connection: HttpConnection, other: socket.socket) -> None:
        first = transfer()
        connection.send(first, not_after=math.inf)
        assert heard_by(other) == REQUEST
        other.sendall(ANSWER)
        await first.done
        await connection.finish(1.0)
        # The loop has had no turn to read it.
        other.sendall(late)
        assert connection.is_silent() == (not late)

    with_line(play)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell what was received")
@pytest.mark.parametrize("received", [True, False])
def test_what_was_received_is_counted_once_more_a_moment_later(received: bool) -> None:
    async def play(connection: HttpConnection, other: socket.socket) -> None:
        sent = transfer()
        connection.send(sent, not_after=math.inf)
        other.sendall(ANSWER)
        while not sent.unread:  # noqa: ASYNC110  # turns of the loop, which must not take the millisecond
            await asyncio.sleep(0)
        if received:
            other.recv(1000)
        # Until it has been counted, nothing else is written to this connection.
        assert not connection.is_silent()
        result = await concluded(connection, sent, OF_A_TOKEN, 0.1)
        assert result == (Response(200, {"content-length": "2"}, b"{}") if received else NoAnswer("early_answer"))

    with_line(play)


def test_no_request_is_written_to_a_server_that_has_spoken_first(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpConnection, "is_silent", lambda _: False)
    server = serve(fine)
    with client_to(server) as client:
        found = result_of(client)
    assert found == NotSent("not_connected")
    assert isinstance(found, NotSent)
    assert "sent something before it was asked" in (found.message or "")
    assert server.heard == []


def test_a_mark_that_grows_old_while_the_connection_is_made_sends_nothing(serve: Serve) -> None:
    server = serve(fine)
    with client_to(server) as client:
        client._loop.call_soon_threadsafe(time.sleep, 0.3)
        client.submit(1, POST, not_after=time.monotonic() + 0.2, timeout=5)
        assert gather(client, 1) == {1: NotSent("mark_expired")}
        assert isinstance(result_of(client), Response)
    assert len(server.heard) == 1


STOPPED = """
import signal, sys, threading, time
from contextlib import closing
from airflow_provider_contacts.vendor_kit.auth import bearer
from airflow_provider_contacts.transport.client import Client
from airflow_provider_contacts.transport.connection import Endpoint
from airflow_provider_contacts.transport.http_connection import HttpConnection
from airflow_provider_contacts.vendor_kit.vendor import Request

write = HttpConnection.send

def send(self, transfer, not_after):
    if b"/stopped" in transfer.data:
        not_after += float(sys.argv[3])
        # To this very thread, which takes it before it goes on.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
    return write(self, transfer, not_after)

HttpConnection.send = send

with closing(Client(Endpoint(base_url=f"http://127.0.0.1:{sys.argv[1]}", credential=bearer("t")))) as client:
    for tag, path in enumerate(["/first"] * (sys.argv[2] == "warm") + ["/stopped", "/last"]):
        client.submit(tag, Request("POST", path, b"{}"), not_after=time.monotonic() + 60.0, timeout=20)
        while not (found := client.collect(1.0)):
            pass
        print(path, type(found[0][1]).__name__, getattr(found[0][1], "code", ""), flush=True)
"""


def is_stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123  # no path of a file system
        return file.read().rpartition(")")[2].split()[0] == "T"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("earlier", "word"), [("-59.8", "NotSent mark_expired"), ("0", "Response")])
@pytest.mark.parametrize("kind", ["cold", "warm"])
def test_a_process_that_was_stopped_before_it_wrote_sends_nothing_late(
    serve: Serve, kind: str, earlier: str, word: str
) -> None:
    server = serve(fine)
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(server.port), kind, earlier],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        deadline = time.monotonic() + 60
        while not is_stopped(process.pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.3)
        process.send_signal(signal.SIGCONT)
        told, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    lines = [line.strip() for line in told.splitlines()]
    assert lines[-2:] == [f"/stopped {word}", "/last Response"]
    assert ("/stopped" in [heard.path for heard in server.heard]) == (word == "Response")
