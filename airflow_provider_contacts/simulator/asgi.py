"""Below HTTP: who is let in, how much is read, and closing with FIN (a server that stops) or RST (one that dies)."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import struct
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

EXTENSION = "airflow_provider_contacts.transport"
"""Key in the scope's extensions under which the server hands on the transport of the connection."""

_NO_LINGER = struct.pack("ii", 1, 0)


class ConnectionDroppedError(OSError):
    """There is no connection to close, as in a test without sockets; ``form`` is ``fin``, ``rst`` or ``timeout``."""

    def __init__(self, form: str) -> None:
        super().__init__(f"the simulator dropped the connection ({form})")
        self.form = form


async def drop(scope: Scope, receive: Receive, form: str) -> None:
    """Close the connection of a request and wait until it is gone; ``timeout`` waits until the client gives up.

    With ``fin``, what has been written before goes out first; where bytes of the request are unread, RST comes anyway.
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


_AUTHORITY = re.compile(r"(\[[^\s\[\]]+\]|[^\s/?#@:\[\]]+)(:[0-9]*)?")
_ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared, not listened at


class GoneError(Exception):
    """The client has left before its request was whole."""


def refusal(scope: Scope, hosts: Collection[str]) -> str:
    """Return why a request is not let in, empty if it is; ``hosts`` are let in beside this machine's own.

    A web page in the user's browser reaches loopback, too: its Origin tells, or, where its own name has been pointed
    here (DNS rebinding), the Host.
    """
    given = [(name, value.decode("latin-1")) for name, value in scope["headers"] if name in {b"host", b"origin"}]
    for name, text in given:
        if not _is_ours(text.partition("://")[2] if name == b"origin" else text, hosts):
            return (
                f"the {name.decode().title()} header names {text[:100]!r}, not this simulator: "
                "use 127.0.0.1 or localhost, or start it with --allow-host NAME"
            )
    return "" if [name for name, _ in given].count(b"host") == 1 else "one Host header is wanted"


def is_loopback(host: str) -> bool:
    """Tell whether a name or an address is this machine's own."""
    return host == "localhost" or ((address := _address(host)) is not None and address.is_loopback)


def _is_ours(authority: str, hosts: Collection[str]) -> bool:
    match = _AUTHORITY.fullmatch(authority)
    host = match[1].strip("[]").removesuffix(".").lower() if match else ""
    if is_loopback(host) or host in hosts:
        return True
    return not _ANY_ADDRESS.isdisjoint(hosts) and _address(host) is not None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


async def read_body(receive: Receive, most: int) -> bytes | None:
    """Return the whole body of a request, ``None`` for a longer one; what is too much is read on a little, not kept."""
    parts: list[bytes] = []
    size, more = 0, True
    # A client that is still writing when the connection is closed may never see the answer.
    while more and size <= most + 5_000_000:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        part = message.get("body", b"")
        size += len(part)
        if size <= most:
            parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts) if size <= most else None
