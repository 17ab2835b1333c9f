"""Servers that do on real loopback sockets whatever a test says, and a client to them."""

from __future__ import annotations

import itertools
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_contacts.transport.client import Client
from airflow_provider_contacts.transport.connection import Endpoint
from airflow_provider_contacts.vendor_kit.auth import Credential, bearer
from airflow_provider_contacts.vendor_kit.results import Result
from airflow_provider_contacts.vendor_kit.vendor import Request

POST = Request("POST", "/contacts/", b'{"contacts":[]}')
SECRET = "tok-secret-123"


@dataclass(frozen=True, slots=True)
class Heard:
    """One request as it came."""

    line: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]


@dataclass
class Wire:
    """One accepted connection, and the request that has just come on it."""

    socket: socket.socket
    heard: Heard

    def say(self, status: int, body: bytes = b"{}", headers: str = "", *, length: int | None = None) -> bool:
        """Answer, and keep the connection."""
        size = len(body) if length is None else length
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {size}\r\n{headers}\r\n"
        self.socket.sendall(head.encode() + body)
        return True

    def reset(self) -> bool:
        """Close with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


Handle = Callable[[Wire], bool]


def read_request(connection: socket.socket, number: int) -> Heard | None:
    """Read one request whole; ``None`` at the end of the connection, or for what is no HTTP."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more or data[:1] == b"\x16" or more[:1] == b"\x16":
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    line, *rest = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for name, _, text in (one.partition(":") for one in rest):
        assert name.lower() not in headers, f"{name} comes twice"
        headers[name.lower()] = text.strip()
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return Heard(line, headers, body, number)


@dataclass
class Server:
    """A server that does with every request what it was told."""

    handle: Handle
    tls: ssl.SSLContext | None = None
    heard: list[Heard] = field(default_factory=list)
    connections: Iterator[int] = field(default_factory=itertools.count)
    open: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.open.append(connection)
                threading.Thread(target=self._serve, args=(connection, next(self.connections)), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError):
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            while (heard := read_request(connection, number)) is not None:
                self.heard.append(heard)
                if not self.handle(Wire(connection, heard)):
                    break
        with suppress(OSError):
            connection.close()

    def close(self) -> None:
        # Both, so that a thread in accept() or recv() wakes.
        for one in (self.listener, *self.open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                one.close()


Serve = Callable[..., Server]


@pytest.fixture
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment name no proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Server] = []

    def start(handle: Handle, tls: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(handle, tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def without_tls() -> Iterator[int]:
    """Return a port that answers a TLS handshake in HTTP."""

    def reply() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            connection.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=reply, daemon=True).start()
        yield listener.getsockname()[1]


@contextmanager
def client_to(where: Server | str, credential: Credential | None = None, **options: Any) -> Iterator[Client]:
    url = where if isinstance(where, str) else f"{'https' if where.tls else 'http'}://127.0.0.1:{where.port}"
    secrets = options.pop("on_secret", lambda _: None)
    client = Client(Endpoint(base_url=url, credential=credential or bearer(SECRET), **options), on_secret=secrets)
    with closing(client):
        yield client


def gather(client: Client, count: int, patience: float = 20.0) -> dict[int, Result]:
    found: dict[int, Result] = {}
    deadline = time.monotonic() + patience
    while len(found) < count and time.monotonic() < deadline:
        found.update(client.collect(0.5))
    assert len(found) == count, "a request has no result"
    return found


def result_of(client: Client, request: Request = POST, *, timeout: float = 5.0, tag: int = 1) -> Result:
    client.submit(tag, request, not_after=time.monotonic() + 5.0, timeout=timeout)
    return gather(client, 1)[tag]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


def fine(wire: Wire) -> bool:
    return wire.say(200, b'{"ok": true}')


def silent(seconds: float) -> Handle:
    """Say nothing for a while, then hang up."""

    def handle(_: Wire) -> bool:
        time.sleep(seconds)
        return False

    return handle


def make_certificate(folder: Path, name: str, alternative: str) -> tuple[str, str]:
    """Make a certificate that signs itself; return the files of certificate and key."""
    key, cert = str(folder / f"{name}.key"), str(folder / f"{name}.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert]
    command += ["-days", "1", "-subj", f"/CN={name}", "-addext", f"subjectAltName={alternative}"]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return make_certificate(tmp_path_factory.mktemp("tls"), "127.0.0.1", "IP:127.0.0.1")


def tls_of(files: tuple[str, str]) -> ssl.SSLContext:
    """Return what a server with this certificate needs."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*files)
    return tls
