"""Between the HTTP client and its sockets: holds a request that is late, or could meet another's answer.

An answer is told from another one by its place on the connection alone. So a request is written only to a silent
connection, and an answer counts only if it began after its request had left.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from airflow_provider_contacts.transport.transmission import (
    TRANSMISSION,
    HeldError,
    Pool,
    Transmission,
    is_interim,
    unacknowledged,
    unread_byte,
)

log = logging.getLogger(__name__)

# Bytes that may come before the head of an answer has been read.
MOST_OF_A_HEAD = 1024 * 1024

# SO_LINGER of no seconds: what the other side has not received is dropped, and never sent later.
DROP_UNSENT = struct.pack("ii", 1, 0)

# Seconds: some systems deliver an answer a moment before they count what it acknowledges.
RECOUNT_AFTER = 0.001


class Gate:
    """A transport that asks its guard before it writes; the rest is the transport's own."""

    def __init__(self, guard: Guard, real: asyncio.Transport) -> None:
        self.guard = guard
        self.real = real

    def __getattr__(self, name: str) -> Any:
        """Return what the transport itself has."""
        return getattr(self.real, name)

    def is_closing(self) -> bool:
        """Tell whether nothing can be written any more."""
        transmission = TRANSMISSION.get(None)
        if transmission is not None:
            transmission.gated = True
        return self.real.is_closing()

    def write(self, data: bytes) -> None:
        """Write if the guard allows it."""
        self.guard.leave(data, len(data))
        self.real.write(data)

    def writelines(self, chunks: Iterable[bytes]) -> None:
        """Write if the guard allows it."""
        parts = list(chunks)
        self.guard.leave(parts[0], sum(map(len, parts)))
        self.real.writelines(parts)

    def close(self) -> None:
        """Close; unsent data is dropped."""
        self.guard.close()

    abort = close


class Guard:
    """The protocol of one connection, in front of the HTTP client's own; ``below`` are the transports under TLS."""

    def __init__(self, inner: Any, line: socket.socket, pool: Pool, below: tuple[asyncio.Transport, ...] = ()) -> None:
        self._inner, self.line, self._pool, self.transports = inner, line, pool, below
        self._real: asyncio.Transport | None = None
        self._current: Transmission | None = None
        self._recounting: Transmission | None = None
        self._began = False
        self._served = False
        self._spent = False
        self._another: asyncio.Future[bool] | None = None
        self._received = 0

    def __getattr__(self, name: str) -> Any:
        """Pass on what is not guarded."""
        return getattr(self._inner, name)

    def gate(self, real: asyncio.Transport) -> Gate:
        """Return what the HTTP client writes to."""
        self._real = real
        self.transports = (*self.transports, real)
        made = Gate(self, real)
        self._pool.made.add(made)
        return made

    def connection_made(self, transport: Any) -> None:
        """Give the HTTP client its gate."""
        self._inner.connection_made(self.gate(transport))

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand on; nothing comes after this."""
        self._recount()
        self._hear(another=False)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hand on data that belongs to a request; data without a request ends the connection."""
        transmission = self._current
        if transmission is None:
            self._distrust()
            self._hear(another=True)
            self.close()
            return
        if not transmission.headed:
            self._received += len(data)
            if self._received > MOST_OF_A_HEAD:
                transmission.too_long = True
                self.close()
                return
        if not self._began and not is_interim(data):
            self._began = True
            transmission.early = transmission.missing > 0 or self._unsent() > 0
            transmission.unread = transmission.early or unacknowledged(self.line) > 0
            if transmission.unread and not transmission.early:
                self._recounting = transmission
                asyncio.get_running_loop().call_later(RECOUNT_AFTER, self._recount)
        self._inner.data_received(data)

    def _hear(self, *, another: bool) -> None:
        if self._another is not None and not self._another.done():
            self._another.set_result(another)

    def _recount(self) -> None:
        transmission, self._recounting = self._recounting, None
        if transmission is not None and self.line.fileno() >= 0:
            transmission.unread = unacknowledged(self.line) > 0

    def leave(self, first: bytes, size: int) -> None:
        """Let bytes of the running task's request pass, its first ones only to a silent connection and in time."""
        transmission = TRANSMISSION.get()
        transmission.gated = True
        if bytes(first[:8]) == b"CONNECT ":
            # Asks a proxy for a tunnel, and is no part of the request.
            self._current, self._began = transmission, True
            return
        if transmission.guard is self and self._current is transmission:
            transmission.missing -= size
            return
        transmission.reused = self._served
        transmission.on_leave()
        self._check(transmission)
        self._current, self._began, self._received, self._served = transmission, False, 0, True
        transmission.guard = self
        transmission.missing = bytes(first).find(b"\r\n\r\n") + 4 + transmission.size - size
        transmission.headed = transmission.early = transmission.unread = False
        transmission.left = True

    def _check(self, transmission: Transmission) -> None:
        silent = self._is_silent(transmission)
        # The clock comes last: the process may have been stopped meanwhile. Only the writing itself follows.
        now = time.monotonic()
        if not silent:
            transmission.held = "stale" if transmission.reused else "unasked"
        elif transmission.over or now > transmission.not_after:
            transmission.held = "late"
        else:
            if not transmission.reused:
                self._pool.on_connected(now - transmission.began)
            return
        self.close()
        raise HeldError(transmission.held)

    def _is_silent(self, transmission: Transmission) -> bool:
        """Tell whether the next bytes on this connection can only be the answer to the next request."""
        real = self._real
        if self._spent or self._recounting or real is None or real.is_closing() or not real.is_reading():
            return False
        if transmission.reused:
            if self._pool.distrusted:
                return False
            if self._inner.should_close:
                self._distrust()
                return False
        elif len(self.transports) > 1:
            # Session tickets may be waiting on a new TLS connection.
            return True
        found = unread_byte(self.line)
        if found and len(self.transports) == 1:
            self._distrust()
        return found is None

    def head(self, transmission: Transmission, status: int) -> None:
        """Take note of an answer's status: a server that refuses or gives up may still answer later."""
        transmission.headed = True
        good = 200 <= status < 300  # noqa: PLR2004  # RFC 9110
        refuses = not good and (status < 500 or status == 503)  # noqa: PLR2004  # RFC 9110
        self._pool.on_head(refused=refuses)
        if self._current is not transmission or (good and not transmission.early and self._pool.reusable):
            return
        self._spent = True
        if transmission.reused and refuses:
            self._another = asyncio.get_running_loop().create_future()

    def finish(self, transmission: Transmission, *, whole: bool) -> bool:
        """Take note that the answer has been read, or given up; return whether surplus data came with it."""
        if self._current is not transmission:
            # Another request has gone out on it; it looked for surplus data.
            return False
        self._current = None
        inner = self._inner
        # Later data is found when the next request is about to leave: the socket is asked then.
        surplus = whole and bool(getattr(inner, "_buffer", None) or getattr(inner, "_tail", None))
        if surplus:
            self._distrust()
        if surplus or not whole:
            self._another, self._spent = None, True
        if self._spent:
            self.close()
        return surplus

    async def listen(self, seconds: float, most: float) -> bool:
        """Wait for another answer behind a refusal that took ``seconds``, close, and return whether one came.

        A refusal that belongs to an earlier request is followed by the answer to the later one.
        """
        self._pool.on_answer(seconds)
        if self._another is None:
            return False
        try:
            async with asyncio.timeout(min(self._pool.listening, most)):
                return await self._another
        except TimeoutError:
            return False
        finally:
            self.stop_listening()

    def stop_listening(self) -> None:
        """Close the connection if it is listened to."""
        if self._another is not None:
            self._another = None
            self.close()

    def close(self) -> None:
        """Close the connection unless it is listened to; what the other side has not received is dropped."""
        if self._another is not None:
            return
        self._spent = True
        real = self._real
        if real is None or real.is_closing():
            return
        if self._unsent() or unacknowledged(self.line):
            with suppress(OSError):
                self.line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, DROP_UNSENT)
        real.abort()

    def _unsent(self) -> int:
        real = self._real
        if real is None or real.is_closing():
            return 0
        return sum(one.get_write_buffer_size() for one in self.transports if not one.is_closing())

    def _distrust(self) -> None:
        self._spent = True
        if self._served and not self._pool.distrusted:
            self._pool.distrusted = True
            log.warning("A server sent more answers than it was asked for: no connection is used for two requests now")
