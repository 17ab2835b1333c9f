"""One HTTP/1.1 connection: a request is written only to a silent one, and an answer counts only for what it follows.

An answer is told from another one by its place on the connection alone. So nothing may come before a request is
written, and an answer counts only if it began after its request had left.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import select
import socket
import struct
import sys
import termios
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httptools

if TYPE_CHECKING:
    from airflow_provider_contacts.transport.pool import Pool

# Bytes of an answer that may come without any of its body: its head, what frames its body, and what is behind that.
MOST_OF_A_HEAD = 1024 * 1024

# SO_LINGER of no seconds: what the other side has not received is dropped, and never sent later.
DROP_UNSENT = struct.pack("ii", 1, 0)

# Seconds: some systems deliver an answer a moment before they count what it acknowledges.
RECOUNT_AFTER = 0.001


@dataclass(slots=True, eq=False, repr=False)
class Transfer:
    """One request that leaves on a connection, and what comes back for it."""

    data: bytes
    largest: int  # bytes of the answer's body that are read
    done: asyncio.Future[None]
    left_at: float = 0.0  # the moment (monotonic) at which its first byte left
    reused: bool = False  # its connection has carried another request before
    early: bool = False  # its answer began before all of it had been handed to the socket
    unread: bool = False  # its answer began before the other side had acknowledged all of it
    status: int = 0  # 0 until the head of its answer is known
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)  # thousands of small chunks cost no more than one
    besides: int = 0  # bytes that have come since the head, or a part of the body, was read
    over: bool = False  # nothing more is read for it
    surplus: bool = False  # more came behind its answer
    trouble: str = ""  # why there is no answer, or none of its body
    expired: bool = False

    @property
    def whole(self) -> bool:
        """Whether the answer was read to its end."""
        return self.over and not self.trouble

    @property
    def good(self) -> bool:
        """Whether the answer is a 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004  # RFC 9110

    @property
    def refused(self) -> bool:
        """Whether the server refuses; one that gives up (504) does not."""
        return not self.good and (self.status < 500 or self.status == 503)  # noqa: PLR2004  # RFC 9110


class HttpConnection(asyncio.Protocol):
    """One open connection; ``layers`` are its transports, that of the socket first, TLS above it."""

    def __init__(self, pool: Pool, layers: list[Any]) -> None:
        self._pool, self._layers, self._transport = pool, layers, layers[-1]
        self._socket: socket.socket = self._transport.get_extra_info("socket")
        self._poll = select.poll()
        self._poll.register(self._socket.fileno(), select.POLLIN)
        self._parser = httptools.HttpResponseParser(self)
        # Until there is a request, and after its answer, whatever comes is surplus.
        self._unasked = self._transfer = Transfer(b"", 0, asyncio.get_running_loop().create_future(), over=True)
        self._another: asyncio.Future[bool] | None = None
        self._served = self._spent = self._recounting = False
        self.idle_since = 0.0
        self._transport.set_protocol(self)
        pool.connections.add(self)

    def is_silent(self) -> bool:
        """Tell whether the next bytes on this connection can only be the answer to the next request."""
        if self._spent or self._recounting or self._transport.is_closing() or (self._served and self._pool.distrusted):
            return False
        encrypted = len(self._layers) > 1
        # Session tickets may be waiting on a new TLS connection.
        if (encrypted and not self._served) or not self._poll.poll(0):
            return True
        if not encrypted and ioctl_count(self._socket, termios.FIONREAD):
            self._distrust()
        return False

    def send(self, transfer: Transfer, not_after: float) -> bool:
        """Write a request, unless its time is over: the first byte decides."""
        transfer.reused = self._served
        self._transfer, self._served = transfer, True
        # The clock comes last: the process may have been stopped meanwhile. Only the writing itself follows.
        transfer.left_at = time.monotonic()
        if transfer.left_at > not_after:
            self.end("not sent")
            return False
        self._transport.write(transfer.data)
        return True

    def end(self, trouble: str = "", *, expired: bool = False) -> None:
        """End an answer; behind trouble nothing more is read."""
        transfer = self._transfer
        if transfer.over:
            return
        transfer.over, transfer.trouble, transfer.expired = True, trouble, expired
        if not transfer.done.done():
            transfer.done.set_result(None)
        if trouble:
            self.close()

    def data_received(self, data: bytes) -> None:
        """Read an answer; data that no request has asked for ends the connection."""
        transfer = self._transfer
        if transfer.whole:
            self._surplus()
        if transfer.over:
            return
        transfer.besides += len(data)
        if transfer.besides > MOST_OF_A_HEAD:
            which = "end" if transfer.status else "head"
            self.end(f"the {which} of the answer is longer than 1 MiB, which is not read")
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if transfer.whole:
                self._surplus()
            # The parser's own words; nothing of the answer is repeated.
            self.end(f"the answer is no HTTP that can be read ({error})")

    def on_message_begin(self) -> None:
        """Note whether an answer begins before its request has been received."""
        transfer = self._transfer
        if transfer.whole:
            self._surplus()
        if transfer.over:
            return
        transfer.early = any(one.get_write_buffer_size() for one in self._layers if not one.is_closing())
        transfer.unread = transfer.early or unacknowledged(self._socket) > 0
        if transfer.unread and not transfer.early:
            self._recounting = True
            asyncio.get_running_loop().call_later(RECOUNT_AFTER, self._recount)

    def on_header(self, name: bytes, text: bytes) -> None:
        """Keep one header line; what comes behind a body is no header."""
        if not self._transfer.status:
            self._transfer.headers.append((name, text))

    def on_headers_complete(self) -> None:
        """Keep the status; behind a 1xx the answer itself is still to come."""
        transfer, status = self._transfer, self._parser.get_status_code()
        if transfer.status or transfer.over:
            return
        if status < 200:  # noqa: PLR2004  # RFC 9110
            transfer.headers.clear()
        else:
            transfer.status, transfer.besides = status, 0
            self._spent = not self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        """Keep a part of the body, up to the bound."""
        transfer = self._transfer
        if transfer.over:
            return
        if not transfer.status:
            self.end("a body came before the answer itself")
            return
        transfer.besides = 0
        transfer.body += data
        if len(transfer.body) > transfer.largest:
            self.end(too_large(f"{transfer.largest} bytes"))

    def on_message_complete(self) -> None:
        """End the answer."""
        if self._transfer.status:
            self.end()

    def eof_received(self) -> None:
        """Close: no answer can come any more, and what has not left yet must not leave later."""
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End an answer that the end of its connection ends, or that is lost with it."""
        self._pool.connections.discard(self)
        self._recount()
        self._end_waiting(another=False)
        transfer = self._transfer
        # One that says either of them ends before its connection does.
        framed = {name.lower() for name, _ in transfer.headers} & {b"content-length", b"transfer-encoding"}
        if not transfer.status:
            number = errno.errorcode.get(getattr(exc, "errno", None) or 0, type(exc).__name__)
            # Of an alert of TLS, the reason; its number is none of the system's.
            known = getattr(exc, "reason", None) or number
            broke = f"the connection broke before the answer had come ({known})"
            self.end(broke if exc else "the server closed the connection before it answered")
        elif exc or framed:
            self.end("the body of the answer broke off")
        else:
            self.end()

    async def finish(self, most: float) -> bool:
        """Let go of a request that is over: keep, or close; return whether more came than its answer.

        A refusal that belongs to an earlier request is followed by the answer to the later one: it is listened for.
        A server that gives up may still answer later, too.
        """
        transfer, pool = self._transfer, self._pool
        if transfer.whole:
            pool.on_answer(time.monotonic() - transfer.left_at, refused=transfer.refused)
            if transfer.good and not (transfer.unread or self._spent) and pool.reusable:
                # While it is idle, neither the request nor its answer is held.
                self._transfer = self._unasked
                pool.keep(self)
                return False
            if transfer.refused and transfer.reused and not self._transport.is_closing():
                transfer.surplus = await self._wait_for_another(min(pool.listening, most))
        self.close()
        return transfer.surplus

    async def _wait_for_another(self, seconds: float) -> bool:
        self._another = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                return await self._another
        except TimeoutError:
            return False

    def close(self) -> None:
        """Close; what the other side has not received is dropped."""
        self._spent = True
        if self._socket.fileno() < 0:
            return
        if unacknowledged(self._socket) or any(one.get_write_buffer_size() for one in self._layers):
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, DROP_UNSENT)
        self._transport.abort()

    def _surplus(self) -> None:
        self._transfer.surplus = True
        self._distrust()
        self._end_waiting(another=True)
        self.close()

    def _end_waiting(self, *, another: bool) -> None:
        if self._another is not None and not self._another.done():
            self._another.set_result(another)

    def _recount(self) -> None:
        if self._recounting and self._socket.fileno() >= 0:
            self._transfer.unread = unacknowledged(self._socket) > 0
        self._recounting = False

    def _distrust(self) -> None:
        self._spent = True
        if self._served:
            self._pool.distrust()


def too_large(bound: str) -> str:
    """Return the message about an answer that is not read."""
    return f"the body of the answer has more than {bound}, which no answer to this request needs"


def ioctl_count(line: socket.socket, request: int) -> int:
    """Return how many bytes a socket holds that are not read, or not acknowledged."""
    try:
        count: int = struct.unpack("i", fcntl.ioctl(line.fileno(), request, bytes(4)))[0]
    except (OSError, ValueError):
        return 0
    return count


def unacknowledged(line: socket.socket) -> int:
    """Return how many bytes the other side has not acknowledged; 0 where this system does not tell."""
    return ioctl_count(line, termios.TIOCOUTQ) if sys.platform == "linux" else 0
