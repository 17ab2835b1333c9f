"""Closing a connection below HTTP: with FIN, as a server that stops, or RST, as one that dies."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

EXTENSION = "airflow_provider_contacts.transport"
"""Key in the scope's extensions under which the server hands on the transport of the connection."""

_NO_LINGER = struct.pack("ii", 1, 0)


class ConnectionDroppedError(OSError):
    """Raised where there is no connection to close, as in a test without sockets.

    :param form: ``fin``, ``rst``, or ``timeout`` for an answer that never comes.
    """

    def __init__(self, form: str) -> None:
        super().__init__(f"the simulator dropped the connection ({form})")
        self.form = form


async def drop(scope: Scope, receive: Receive, form: str) -> None:
    """Close the connection of a request and wait until it is gone; ``timeout`` waits until the client gives up.

    With ``fin``, what has been written before goes out first. Where bytes of the request are still unread, the
    operating system sends RST in any case.

    :raises ConnectionDroppedError: without a connection.
    """
    transport: asyncio.Transport | None = scope.get("extensions", {}).get(EXTENSION)
    if transport is None:
        raise ConnectionDroppedError(form)
    if form == "rst":
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    elif form == "fin":
        transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
