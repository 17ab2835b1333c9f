"""The last moment before a request is written: what holds it back then, on real sockets and in stopped processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_contacts.transport.event_loop import Loop
from airflow_provider_contacts.transport.transmission import TRANSMISSION, HeldError, Transmission
from airflow_provider_contacts.vendor_kit.results import NotSent
from airflow_provider_contacts.vendor_kit.vendor import Response
from tests.support.sockets import POST, Serve, client_to, fine, gather, result_of

HEAD = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n"


class Heard(asyncio.Protocol):
    """What an HTTP client hears of its connection."""

    should_close = False
    transport: Any = None

    def __init__(self) -> None:
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data


def with_line(
    play: Callable[[Any, socket.socket, Transmission], Any], transmission: Transmission, before: bytes = b""
) -> Any:
    """Play something with a guarded connection, its other side and a request."""
    ours, other = socket.socketpair(socket.AF_UNIX)
    ours.settimeout(0)
    other.settimeout(0)
    loop = Loop()

    async def run() -> Any:
        TRANSMISSION.set(transmission)
        other.sendall(before)
        transport, _ = await loop.create_connection(Heard, sock=ours)
        return await play(transport, other, transmission)

    try:
        return loop.run_until_complete(run())
    finally:
        loop.run_until_complete(loop.disconnect())
        loop.close()
        other.close()


def heard_by(other: socket.socket) -> bytes:
    try:
        return other.recv(1000)
    except BlockingIOError:
        return b""


def test_a_request_is_written_to_a_silent_connection() -> None:
    async def play(transport: Any, other: socket.socket, transmission: Transmission) -> None:
        transport.writelines([HEAD, b"{}"])
        assert (transmission.left, transmission.reused, transmission.missing) == (True, False, 0)
        assert heard_by(other) == HEAD + b"{}"

    with_line(play, Transmission(host="h", size=2))


@pytest.mark.parametrize(
    ("transmission", "before", "held"),
    [
        (Transmission(host="h"), b"220 ready\r\n", "unasked"),
        (Transmission(host="h", not_after=0.0), b"", "late"),
        (Transmission(host="h", over=True), b"", "late"),
    ],
    ids=["a server speaks first", "its time is over", "nobody waits for it"],
)
def test_what_holds_a_request_back(transmission: Transmission, before: bytes, held: str) -> None:
    async def play(transport: Any, other: socket.socket, transmission: Transmission) -> None:
        with pytest.raises(HeldError):
            transport.write(HEAD)
        assert (transmission.left, transmission.held) == (False, held)
        assert heard_by(other) == b""

    with_line(play, transmission, before)


@pytest.mark.parametrize("late", [b"HTTP/1.1 200 X\r\n", b""], ids=["another answer", "silence"])
def test_a_used_connection_is_looked_at_before_its_next_request(late: bytes) -> None:
    async def play(transport: Any, other: socket.socket, first: Transmission) -> None:
        transport.write(HEAD + b"{}")
        guard: Any = first.guard
        guard.head(first, 200)
        guard.finish(first, whole=True)
        assert heard_by(other) == HEAD + b"{}"
        # The loop has had no turn to read it.
        other.sendall(late)
        second = Transmission(host="h", size=2)
        TRANSMISSION.set(second)
        if late:
            with pytest.raises(HeldError):
                transport.write(HEAD)
        else:
            transport.write(HEAD)
        assert (second.left, second.reused, second.held) == (not late, True, "stale" if late else "")
        assert heard_by(other) == (b"" if late else HEAD)

    with_line(play, Transmission(host="h", size=2))


def test_the_first_byte_decides_for_the_rest() -> None:
    async def play(transport: Any, other: socket.socket, transmission: Transmission) -> None:
        transport.write(HEAD)
        transmission.not_after = time.monotonic() - 1
        transport.write(b"{}")
        assert heard_by(other) == HEAD + b"{}"

    with_line(play, Transmission(host="h", size=2))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell what was received")
@pytest.mark.parametrize("received", [True, False])
def test_what_was_received_is_counted_once_more_a_moment_later(received: bool) -> None:
    async def play(transport: Any, other: socket.socket, transmission: Transmission) -> None:
        transport.write(HEAD + b"{}")
        other.sendall(b"HTTP/1.1 200 X\r\n")
        while not transmission.unread:  # noqa: ASYNC110  # turns of the loop, which must not take the millisecond
            await asyncio.sleep(0)
        if received:
            other.recv(1000)
        # Until it has been counted, nothing else is written to this connection.
        TRANSMISSION.set(Transmission(host="h"))
        with pytest.raises(HeldError):
            transport.write(HEAD)
        await asyncio.sleep(0.01)
        assert transmission.unread != received

    with_line(play, Transmission(host="h", size=2))


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
import aiohttp.http_writer
from contextlib import closing
from airflow_provider_contacts.vendor_kit.auth import bearer
from airflow_provider_contacts.transport.client import Client
from airflow_provider_contacts.transport.connection import Endpoint
from airflow_provider_contacts.vendor_kit.vendor import Request

writer, head = aiohttp.http_writer.StreamWriter, aiohttp.http_writer.StreamWriter.write_headers

async def write_headers(self, line, headers):
    if "/stopped" in line:
        # To this very thread, which takes it before it goes on.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
    await head(self, line, headers)

writer.write_headers = write_headers

with closing(Client(Endpoint(base_url=f"http://127.0.0.1:{sys.argv[1]}", credential=bearer("t")))) as client:
    for tag, path in enumerate(["/first"] * (sys.argv[2] == "warm") + ["/stopped", "/last"]):
        client.submit(tag, Request("POST", path, b"{}"), not_after=time.monotonic() + 5.0, timeout=20)
        while not (found := client.collect(1.0)):
            pass
        print(path, type(found[0][1]).__name__, getattr(found[0][1], "code", ""), flush=True)
"""


def is_stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123  # no path of a file system
        return file.read().rpartition(")")[2].split()[0] == "T"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("seconds", "word"), [(5.3, "NotSent mark_expired"), (0.2, "Response")])
@pytest.mark.parametrize("kind", ["cold", "warm"])
def test_a_process_that_was_stopped_before_it_wrote_sends_nothing_late(
    serve: Serve, kind: str, seconds: float, word: str
) -> None:
    server = serve(fine)
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(server.port), kind],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        deadline = time.monotonic() + 60
        while not is_stopped(process.pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)
        told, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    lines = [line.strip() for line in told.splitlines()]
    assert lines[-2:] == [f"/stopped {word}", "/last Response"]
    assert ("/stopped" in [heard.path for heard in server.heard]) == (word == "Response")
