"""The event loop of the sockets of a push: every connection made on it is guarded, and can be closed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from airflow_provider_contacts.transport.gate import Guard
from airflow_provider_contacts.transport.transmission import TRANSMISSION, Pool

# Turns of the loop in which an aborted connection, also one within TLS, lets go of its socket.
TURNS = 3


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose connections are guarded, and that can close every one of them, also with unsent bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool()

    async def create_connection(  # type: ignore[override]  # what the HTTP client asks for
        self,
        factory: Callable[[], Any],
        *,
        sock: socket.socket,
        ssl: Any = None,
        server_hostname: str | None = None,
        **options: Any,
    ) -> tuple[Any, Any]:
        """Put a guard in front of a connected socket."""
        TRANSMISSION.get().gated = True
        inner = factory()
        if ssl is None:
            guard: Any = Guard(inner, sock, self.pool)
            await super().create_connection(lambda: guard, sock=sock)
        else:
            # In two steps, so that what is unsent below TLS can be seen, too.
            raw, _ = await super().create_connection(asyncio.Protocol, sock=sock)
            self.pool.made.add(raw)
            guard = Guard(inner, sock, self.pool, (raw,))
            guard.connection_made(await super().start_tls(raw, guard, ssl, server_hostname=server_hostname, **options))
        return inner.transport, inner

    async def start_tls(self, transport: Any, protocol: Any, sslcontext: Any, **options: Any) -> Any:
        """Begin TLS in a tunnel, with a new guard."""
        old: Guard = transport.guard
        guard: Any = Guard(protocol, old.line, self.pool, old.transports)
        real: Any = await super().start_tls(transport.real, guard, sslcontext, **options)
        return guard.gate(real)

    async def disconnect(self) -> None:
        """Close what is open, at once."""
        for one in list(self.pool.made):
            one.abort()
        for _ in range(TURNS):
            await asyncio.sleep(0)
