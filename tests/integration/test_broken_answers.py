"""Answers that break the rules, and connections that end halfway: what is made of them, and what they cost."""

from __future__ import annotations

import gzip
import os
import socket
import ssl
import threading
import tracemalloc
from contextlib import suppress

import pytest

from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent
from airflow_provider_contacts.vendor_kit.vendor import Request, Response
from tests.support.sockets import POST, Serve, Wire, client_to, fine, result_of, tls_of

FINE = b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n"


def answered(serve: Serve, said: bytes) -> Response | NoAnswer | NotSent:
    """Return what is made of an answer behind which the server closes."""

    def handle(wire: Wire) -> bool:
        wire.socket.sendall(said)
        return False

    with client_to(serve(handle)) as client:
        return result_of(client)


@pytest.mark.parametrize("status", ["099", "150", "199"])
def test_the_body_of_an_interim_answer_is_no_part_of_the_answer(serve: Serve, status: str) -> None:
    interim = f"HTTP/1.1 {status} X\r\nContent-Length: 3\r\n\r\nabc".encode()
    found = answered(serve, interim + FINE)
    assert found == NoAnswer("connection_lost")
    assert isinstance(found, NoAnswer)
    assert found.message == "a body came before the answer itself"


@pytest.mark.parametrize("coding", ["chunked \t", "chunked,", "chunked;q=1", "chunked\r\nTransfer-Encoding: identity"])
def test_chunks_that_break_off_are_no_whole_body_however_they_are_announced(serve: Serve, coding: str) -> None:
    found = answered(serve, f"HTTP/1.1 200 X\r\nTransfer-Encoding: {coding}\r\n\r\n2\r\n{{}}\r\n".encode())
    assert isinstance(found, Response)
    assert (found.body, found.trouble) == (b"", "the body of the answer broke off")


def test_what_follows_an_answer_takes_none_of_its_headers(serve: Serve) -> None:
    body = gzip.compress(b'{"a": 1}')
    head = f"HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    found = answered(serve, head + body + b"HTTP/1.1 100 Continue\r\n\r\n")
    assert isinstance(found, Response)
    assert (found.body, found.headers["content-encoding"]) == (b'{"a": 1}', "gzip")


def test_an_endless_trailer_is_not_kept(serve: Serve) -> None:
    def handle(wire: Wire) -> bool:
        wire.socket.sendall(CHUNKED + b"2\r\n{}\r\n0\r\nX: ")
        with suppress(OSError):
            while True:
                wire.socket.sendall(b"a" * 65_536)
        return False

    with client_to(serve(handle)) as client:
        found = result_of(client, timeout=3.0)
    assert isinstance(found, Response)
    assert found.trouble == "the end of the answer is longer than 1 MiB, which is not read"


def test_small_chunks_cost_no_more_than_their_bytes(serve: Serve) -> None:
    def handle(wire: Wire) -> bool:
        wire.socket.sendall(CHUNKED)
        for _ in range(400):
            wire.socket.sendall(b"2\r\n  \r\n" * 1000)
        wire.socket.sendall(b"0\r\n\r\n")
        return True

    with client_to(serve(handle)) as client:
        tracemalloc.start()
        try:
            found = result_of(client, timeout=20.0)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert isinstance(found, Response)
    assert len(found.body) == 800_000
    assert peak < 10_000_000


def test_an_idle_connection_holds_no_request_and_no_answer(serve: Serve) -> None:
    with client_to(serve(fine)) as client:
        assert isinstance(result_of(client), Response)
        assert client._pool is not None
        (idle,) = client._pool._idle
        assert idle._transfer.data + idle._transfer.body == b""


@pytest.mark.parametrize("encrypted", [False, True])
def test_what_has_not_left_when_the_server_ends_its_side_never_does(
    certificate: tuple[str, str], encrypted: bool
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    ends: list[str] = []
    over = threading.Event()

    def serve_one() -> None:
        connection, _ = listener.accept()
        if encrypted:
            connection = tls_of(certificate).wrap_socket(connection, server_side=True)
        connection.recv(100)
        # Below TLS, which would announce it.
        with socket.socket(fileno=os.dup(connection.fileno())) as below, connection:
            below.shutdown(socket.SHUT_WR)
            over.wait(30)
            try:
                while below.recv(1 << 20):
                    pass
                ends.append("read to its end")
            except ConnectionResetError:
                ends.append("reset")

    server = threading.Thread(target=serve_one, daemon=True)
    server.start()
    url = f"{'https' if encrypted else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
    with listener, client_to(url, verify=False) as client:
        assert result_of(client, Request("POST", "/", b"x" * 20_000_000), timeout=20.0) == NoAnswer("connection_lost")
        # The server reads on after the outcome.
        over.set()
        server.join(10)
        assert ends == ["reset"]


def test_an_alert_of_tls_is_told_by_its_name(certificate: tuple[str, str]) -> None:
    tls = tls_of(certificate)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    over = threading.Event()

    def serve_one() -> None:
        connection, _ = listener.accept()
        with tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as line:
            with suppress(ssl.SSLError):
                line.do_handshake()
            # Closed now, it would be reset, since the request is not read.
            over.wait(5)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve_one, daemon=True).start()
        with client_to(f"https://127.0.0.1:{listener.getsockname()[1]}", verify=False) as client:
            found = result_of(client, POST)
    over.set()
    assert found == NoAnswer("connection_lost")
    assert isinstance(found, NoAnswer)
    assert "CERTIFICATE_REQUIRED" in (found.message or "")
