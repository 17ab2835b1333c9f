"""A connection that is not made proves that nothing was sent, after whatever time; and the outcome says why."""

from __future__ import annotations

import base64
import re
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_contacts.transport.connection import proxy_for, tls_context
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent
from airflow_provider_contacts.vendor_kit.vendor import Request, Response
from tests.support.sockets import Serve, Wire, client_to, fine, free_port, make_certificate, result_of, silent, tls_of

pytestmark = pytest.mark.usefixtures("without_proxies")

ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")


@contextmanager
def blackhole() -> Iterator[int]:
    """Yield a port that takes no more connections: its backlog is full, and what asks for another is dropped."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(8):
            one = socket.socket()
            one.settimeout(0)
            with suppress(BlockingIOError):
                one.connect(listener.getsockname())
            waiting.append(one)
        time.sleep(0.1)
        try:
            yield listener.getsockname()[1]
        finally:
            for one in waiting:
                one.close()


@pytest.mark.parametrize("timeout", [0.3, 1.2])
def test_a_host_that_does_not_answer_is_proof_at_every_time_out(timeout: float) -> None:
    with blackhole() as port, client_to(f"http://127.0.0.1:{port}") as client:
        begun = time.monotonic()
        found = result_of(client, timeout=timeout)
        assert time.monotonic() - begun < timeout + 1.0
    assert found == NotSent("not_connected")
    assert isinstance(found, NotSent)
    assert f"within {timeout:g} s" in (found.message or "")


def test_a_tls_handshake_that_takes_too_long_is_proof() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with client_to(f"https://127.0.0.1:{port}") as client:
            assert result_of(client, timeout=0.5) == NotSent("not_connected")


@pytest.mark.parametrize("way", ["silent", "blackhole", "tls"])
def test_a_proxy_that_takes_too_long_is_proof(serve: Serve, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    def handle(wire: Wire) -> bool:
        if way == "tls":
            # The tunnel is there; who is at its end says nothing.
            wire.socket.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        time.sleep(2.0)
        return False

    proxy = serve(handle)
    with blackhole() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port if way == 'blackhole' else proxy.port}")
        with client_to("https://vendor.invalid") as client:
            assert result_of(client, timeout=0.5) == NotSent("not_connected")


def test_an_answer_that_takes_too_long_is_doubt_at_every_time_out(serve: Serve) -> None:
    with client_to(serve(silent(2.0))) as client:
        assert result_of(client, timeout=0.3) == NoAnswer("timeout")
        found = result_of(client, timeout=0.3)
    assert isinstance(found, NoAnswer)
    assert found.message == "no answer came within 0.3 s"


def drain(line: socket.socket) -> None:
    while line.recv(1 << 20):
        pass


def test_what_has_not_left_at_the_time_out_never_does() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, client_to(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
        assert result_of(client, Request("POST", "/", b"x" * 50_000_000), timeout=0.5) == NoAnswer("timeout")
        with listener.accept()[0] as accepted:
            time.sleep(0.2)
            # What the systems hold is thrown away, too: the connection is reset, not flushed and closed.
            with pytest.raises(ConnectionResetError):
                drain(accepted)


def test_a_certificate_that_is_not_trusted_is_proof_and_one_that_is_is_fine(
    serve: Serve, certificate: tuple[str, str]
) -> None:
    server = serve(fine, tls_of(certificate))
    with client_to(server) as client:
        assert result_of(client) == NotSent("not_connected")
    for verify in (False, certificate[0]):
        with client_to(server, verify=verify) as client:
            assert isinstance(result_of(client), Response)
    assert len(server.heard) == 2


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_of_the_environment_take_the_place_of_the_usual_ones(
    serve: Serve, certificate: tuple[str, str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(one, raising=False)
    usual = len(tls_context(verify=True).get_ca_certs())
    server = serve(fine, tls_of(certificate))
    command = ["openssl", "x509", "-in", certificate[0], "-noout", "-subject_hash"]
    named = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / f"{named}.0").write_bytes(Path(certificate[0]).read_bytes())
    monkeypatch.setenv(name, certificate[0] if name == "SSL_CERT_FILE" else f"/no/such:{tmp_path}")
    assert usual > 50 > len(tls_context(verify=True).get_ca_certs())
    with client_to(server) as client:
        assert isinstance(result_of(client), Response)
    monkeypatch.setenv(name, "")
    with client_to(server) as client:
        assert result_of(client) == NotSent("not_connected")


# Proxies.


def test_a_proxy_of_the_environment_is_used(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(fine)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    with client_to("http://vendor.invalid") as client:
        assert isinstance(result_of(client), Response)
    assert proxy.heard[0].line.startswith("POST http://vendor.invalid/contacts/ ")


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


# Answers with large heads.


@pytest.mark.parametrize(
    "more",
    [
        [("Set-Cookie", "s=" + "x" * 9_000)],
        [("X-Large", "x" * 20_000)],
        [("X-Large", "x" * 70_000)],
        [(f"X-{number}", "v") for number in range(150)],
        [(f"X-{number}", "v" * 100) for number in range(1000)],
    ],
    ids=["9 KB", "20 KB", "70 KB", "150 lines", "1000 lines"],
)
def test_an_answer_with_a_large_head_is_an_answer(serve: Serve, more: list[tuple[str, str]]) -> None:
    head = "".join(f"{name}: {text}\r\n" for name, text in more)
    with client_to(serve(lambda wire: wire.say(200, b"{}", head))) as client:
        found = result_of(client)
    assert isinstance(found, Response)
    assert found.headers[more[-1][0].lower()] == more[-1][1]


def test_a_head_that_is_not_read_is_doubt_and_names_the_limit(serve: Serve) -> None:
    head = "".join(f"X-{number}: {'v' * 2000}\r\n" for number in range(1000))
    with client_to(serve(lambda wire: wire.say(200, b"{}", head))) as client:
        found = result_of(client)
    assert found == NoAnswer("connection_lost")
    assert isinstance(found, NoAnswer)
    assert "longer than 1 MiB" in (found.message or "")


# The cause, in words.


def told(url: str, **options: Any) -> str:
    """Return why no connection came about."""
    with client_to(url, **options) as client:
        found = result_of(client, timeout=5.0)
    assert isinstance(found, NotSent)
    assert found.code == "not_connected"
    assert found.message
    assert "secret" not in found.message
    return found.message


def test_a_cause_is_told_where_nobody_is_there(serve: Serve) -> None:
    assert "the name of vendor.invalid cannot be resolved" in told("http://vendor.invalid")
    port = free_port()
    assert f"localhost refuses connections on port {port}: nothing listens there" in told(f"http://localhost:{port}")
    server = serve(fine)
    assert f"localhost ends the connection on port {server.port}" in told(f"https://localhost:{server.port}")
    assert server.heard == []


def test_a_cause_is_told_where_no_tls_is_spoken(without_tls: int) -> None:
    assert f"localhost speaks no TLS on port {without_tls}" in told(f"https://localhost:{without_tls}")


def test_a_cause_is_told_where_the_certificate_is_wrong(serve: Serve, tmp_path: Path) -> None:
    mine = serve(fine, tls_of(make_certificate(tmp_path, "localhost", "DNS:localhost")))
    other = make_certificate(tmp_path, "other", "DNS:other.example")
    text = told(f"https://localhost:{mine.port}")
    assert "the certificate of localhost is not accepted (self" in text
    assert "check the connection's host, and name its CA bundle in verify" in text
    text = told(f"https://localhost:{serve(fine, tls_of(other)).port}", verify=other[0])
    assert "is not accepted (Hostname mismatch, certificate is not valid for 'localhost')" in text


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (407, "the proxy asks for a user and a password, or refuses them (HTTP 407)"),
        (403, "the proxy refuses a tunnel to vendor.invalid (HTTP 403)"),
        (502, "the proxy refuses a tunnel to vendor.invalid (HTTP 502)"),
    ],
)
def test_a_cause_is_told_where_a_proxy_refuses(serve: Serve, status: int, text: str) -> None:
    proxy = serve(lambda wire: wire.say(status, b""))
    assert text in told("https://vendor.invalid", proxy=f"http://user:secret@localhost:{proxy.port}")
    assert proxy.heard[0].line.startswith("CONNECT vendor.invalid:443 ")
    assert "authorization" not in proxy.heard[0].headers


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_cause_is_told_where_a_proxy_is_away(scheme: str) -> None:
    port = free_port()
    text = told(f"{scheme}://vendor.invalid", proxy=f"http://user:secret@localhost:{port}")
    assert f"the proxy localhost refuses connections on port {port}" in text
    assert "check the connection's proxy" in text
    text = told(f"{scheme}://vendor.invalid", proxy="http://user:secret@proxy.invalid:1")
    assert "the name of the proxy proxy.invalid cannot be resolved" in text


def test_a_cause_is_told_where_an_answer_is_lost(serve: Serve) -> None:
    def handle(wire: Wire) -> bool:
        if wire.heard.path == "/reset":
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if wire.heard.path == "/garbage":
            wire.socket.sendall(b"garbage\r\n\r\n")
        if wire.heard.path == "/lengths":
            wire.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 987654\r\n\r\n")
        return False

    texts = {}
    with client_to(serve(handle)) as client:
        for path in ("/close", "/reset", "/garbage", "/lengths"):
            found = result_of(client, Request("POST", path, b"{}"))
            assert isinstance(found, NoAnswer)
            texts[path] = found.message or ""
    assert texts["/close"] == "the server closed the connection before it answered"
    assert "ECONNRESET" in texts["/reset"]
    assert "no HTTP that can be read" in texts["/garbage"]
    # In the words of the installed parser, without the line itself.
    assert "no HTTP that can be read (Duplicate Content-Length" in texts["/lengths"]
    assert "987654" not in texts["/lengths"]
    assert not any(map(ADDRESS.search, texts.values()))
