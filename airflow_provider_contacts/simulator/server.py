"""The simulator on a real socket: in a thread for tests, or as a process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.simulator.asgi import EXTENSION, Receive, Scope, Send

STOP_SECONDS = 20.0
GRACE_SECONDS = 1


class TransportInScope(AutoHTTPProtocol):  # type: ignore[valid-type,misc]  # uvicorn picks the class when it is imported
    """uvicorn's HTTP protocol, with the connection's transport among the scope's extensions."""

    app: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Put the transport in front of the application, once for the connection."""
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[EXTENSION] = transport
            await app(scope, receive, send)

        self.app = with_transport


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=1024)


def url_of(listener: socket.socket) -> str:
    """Return the URL under which a listening socket is reached, from this machine at least."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not listened at
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _server(simulator: Simulator) -> uvicorn.Server:
    quiet: dict[str, Any] = {"log_config": None, "log_level": "error", "access_log": False}
    plain: dict[str, Any] = {"interface": "asgi3", "proxy_headers": False, "ws": "none", "lifespan": "off"}
    patience: dict[str, Any] = {"timeout_keep_alive": 75, "timeout_graceful_shutdown": GRACE_SECONDS}
    return uvicorn.Server(uvicorn.Config(simulator.app, http=TransportInScope, **quiet, **plain, **patience))


@contextlib.contextmanager
def running(simulator: Simulator, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve a simulator in a background thread; yield its base URL, without a slash at its end.

    :param host: address to listen at.
    :param port: port to listen at; 0 takes a free one.
    :raises OSError: if the port is taken.
    """
    listener = listen(host, port)
    simulator.allow(host, listener.getsockname()[0])
    server = _server(simulator)
    thread = threading.Thread(target=server.run, args=([listener],), name="simulator", daemon=True)
    thread.start()
    try:
        # The socket listens already: what comes before the server is ready waits in its queue.
        yield url_of(listener)
    finally:
        server.should_exit = True
        thread.join(STOP_SECONDS)
        listener.close()


def serve(simulator: Simulator, listener: socket.socket) -> None:
    """Serve a simulator until SIGINT or SIGTERM."""
    with contextlib.suppress(KeyboardInterrupt):
        _server(simulator).run([listener])
