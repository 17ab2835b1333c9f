"""The connections of a client to one host: how they are opened, and which of them are used again."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import Any

from airflow_provider_contacts.transport.address import address_of, proxy_authorization, request_target
from airflow_provider_contacts.transport.connection import Endpoint, proxy_for, tls_context
from airflow_provider_contacts.transport.failure_causes import (
    NotConnectedError,
    explained,
    too_late,
    tunnel_refusal,
)
from airflow_provider_contacts.transport.http_connection import HttpConnection

log = logging.getLogger(__name__)

# Servers close idle connections, often after five seconds; a request on a connection that is just being closed would
# be in doubt for nothing. So ours are closed first.
KEEPALIVE = 2.0

# Seconds for the name, and the socket, of a host or its proxy; and between two addresses of it (RFC 8305).
CONNECT_TIMEOUT, NEXT_ADDRESS = 10.0, 0.25

# Seconds for which another answer is awaited behind a refusal.
SHORTEST_LISTENING, LONGEST_LISTENING = 0.05, 1.0

# Weights of the latest observation in the running means.
LATEST_REFUSAL, LATEST_CONNECTION = 1 / 100, 1 / 4

# Seconds that a new connection counts at least: it costs both sides more than the waiting for it.
LEAST_CONNECTING = 0.002

# Turns of the loop in which an aborted connection, also one within TLS, lets go of its socket.
TURNS = 3

COMMON_HEADERS = {"Accept": "*/*", "Accept-Encoding": "gzip", "User-Agent": "airflow-provider-contacts"}


class Pool:
    """The connections to one host, used from one event loop."""

    def __init__(self, endpoint: Endpoint, url: str) -> None:
        self._target = address_of(url)
        proxy = proxy_for(url, endpoint.proxy)
        self._proxy = address_of(proxy) if proxy else None
        self._proxy_headers = proxy_authorization(proxy) if proxy else {}
        # Reading the usual certificates takes longer than a hundred requests; without TLS, nobody needs them.
        encrypted = self._target.tls or (self._proxy is not None and self._proxy.tls)
        self._tls: Any = tls_context(endpoint.verify) if encrypted else None
        self._asked: Any = None
        self._head = b""
        self._idle: list[HttpConnection] = []
        self.connections: set[HttpConnection] = set()
        self.stage = ""  # of the opening of the latest connection: connect, proxy, tls
        self.distrusted = False  # the server has sent what no request had asked for: no connection is used twice
        self.slowest = 0.0  # seconds that answers take at most
        self.connecting = LEAST_CONNECTING  # seconds that a new connection takes
        self.refused = 0.0  # share of the requests that were refused

    @property
    def host(self) -> str:
        """The host, as it is asked for."""
        return self._target.host

    @property
    def listening(self) -> float:
        """Seconds for which another answer is awaited behind a refusal."""
        return min(LONGEST_LISTENING, max(SHORTEST_LISTENING, 2 * self.slowest))

    @property
    def reusable(self) -> bool:
        """Whether a connection is worth keeping: a refusal on a new one needs no listening."""
        return self.refused * self.listening <= self.connecting

    def on_connected(self, seconds: float) -> None:
        """Count a new connection."""
        self.connecting += (max(seconds, LEAST_CONNECTING) - self.connecting) * LATEST_CONNECTION

    def on_answer(self, seconds: float, *, refused: bool) -> None:
        """Count an answer and the seconds that it took."""
        self.refused += (refused - self.refused) * LATEST_REFUSAL
        self.slowest = max(seconds, self.slowest * 0.98)

    def distrust(self) -> None:
        """Use no connection twice from now on."""
        if not self.distrusted:
            self.distrusted = True
            log.warning("A server sent more answers than it was asked for: no connection is used for two requests now")

    def keep(self, connection: HttpConnection) -> None:
        """Keep a connection for another request."""
        connection.idle_since = time.monotonic()
        self._idle.append(connection)

    def idle(self) -> HttpConnection | None:
        """Return a silent connection that has been used before, if there is one."""
        oldest = time.monotonic() - KEEPALIVE
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since > oldest and connection.is_silent():
                return connection
            connection.close()
        return None

    def written(
        self, method: str, url: str, query: tuple[tuple[str, str], ...], headers: dict[str, str], body: bytes | None
    ) -> bytes:
        """Return a request as it leaves; ``headers`` take the place of the common ones of the same name."""
        # Nearly all requests of a push share one head.
        asked = (method, url, query, headers, body is None)
        if self._asked != asked:
            self._asked, self._head = asked, self._head_of(method, url, query, headers)
        return self._head + (b"\r\n" if body is None else b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    def _head_of(self, method: str, url: str, query: tuple[tuple[str, str], ...], headers: dict[str, str]) -> bytes:
        host, path = self._target.host_header, request_target(url, query)
        lines = {"Host": host, **COMMON_HEADERS, **headers}
        if self._proxy is not None and not self._target.tls:
            path = f"http://{host}{path}"
            lines |= self._proxy_headers
        texts = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in lines.items())]
        if not all(map(str.isprintable, texts)):
            raise ValueError("no header can carry this")
        return "\r\n".join([*texts, ""]).encode("ascii")

    async def open(self, seconds: float) -> HttpConnection:
        """Return a new, silent connection within so many seconds; raises ``NotConnectedError``."""
        begun = time.monotonic()
        layers: list[Any] = []
        try:
            async with asyncio.timeout(seconds):
                connection = await self._connect(layers)
        except BaseException as error:
            for one in layers:
                one.abort()
            if isinstance(error, TimeoutError):
                raise NotConnectedError(too_late(self.host, seconds)) from None
            raise
        if not connection.is_silent():
            connection.close()
            text = "sent something before it was asked: this is no HTTP server, or it refuses connections"
            raise NotConnectedError(f"{self.host} {text}")
        self.on_connected(time.monotonic() - begun)
        return connection

    async def _connect(self, layers: list[Any]) -> HttpConnection:
        """Connect, through a proxy and with TLS where they are asked for; ``layers`` receives what is opened."""
        loop, proxy = asyncio.get_running_loop(), self._proxy
        reader = asyncio.StreamReader()
        opening = asyncio.StreamReaderProtocol(reader)
        first = proxy or self._target
        self.stage = "connect"
        with explained(first, proxied=proxy is not None):
            making = loop.create_connection(lambda: opening, first.host, first.port, happy_eyeballs_delay=NEXT_ADDRESS)
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    layers.append((await making)[0])
            except TimeoutError as error:
                if error.errno is not None:
                    raise
                raise NotConnectedError(too_late(self.host, CONNECT_TIMEOUT)) from None
            if proxy is not None:
                self.stage = "proxy"
            if proxy is not None and proxy.tls:
                layers.append(await loop.start_tls(layers[-1], opening, self._tls, server_hostname=proxy.host))
            if proxy is not None and self._target.tls:
                await self._ask_for_tunnel(layers[-1], reader)
        with explained(self._target, proxied=False):
            if self._target.tls:
                self.stage = "tls"
                layers.append(await loop.start_tls(layers[-1], opening, self._tls, server_hostname=self.host))
            return HttpConnection(self, layers)

    async def _ask_for_tunnel(self, transport: asyncio.Transport, reader: asyncio.StreamReader) -> None:
        where = self._target.authority
        lines = {"Host": where, **self._proxy_headers}
        head = "\r\n".join([f"CONNECT {where} HTTP/1.1", *(f"{one}: {lines[one]}" for one in lines), "", ""])
        transport.write(head.encode("ascii"))
        said = re.match(rb"HTTP/1\.[01] (\d{3})", await reader.readuntil(b"\r\n\r\n"))
        status = int(said[1]) if said else 0
        if not 200 <= status < 300:  # noqa: PLR2004  # RFC 9110
            raise NotConnectedError(tunnel_refusal(self.host, status))

    async def close(self) -> None:
        """Close what is open, at once."""
        for connection in list(self.connections):
            connection.close()
        for _ in range(TURNS):
            await asyncio.sleep(0)
