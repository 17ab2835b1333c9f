"""One request on its way to a socket, what its socket tells about it, and what the connections of a client share."""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from airflow_provider_contacts.transport.gate import Guard


# Seconds for which another answer is awaited behind a refusal.
SHORTEST_LISTENING, LONGEST_LISTENING = 0.05, 1.0

# Weights of the latest observation in the running means.
LATEST_REFUSAL, LATEST_CONNECTION = 1 / 100, 1 / 4

# Seconds that a new connection counts at least: it costs both sides more than the waiting for it.
LEAST_CONNECTING = 0.002


class HeldError(Exception):
    """A request was not written; see ``Transmission.held``."""


@dataclass(slots=True, eq=False)
class Transmission:
    """One request on its way to a socket."""

    host: str
    size: int = 0  # bytes of the body
    not_after: float = float("inf")  # the moment (monotonic) after which its first byte must not leave
    on_leave: Callable[[], None] = lambda: None  # is called when the first byte leaves
    began: float = 0.0  # the moment (monotonic) at which a connection was asked for
    gated: bool = False  # its connection is guarded, so that ``left`` tells the truth
    left: bool = False  # a byte of it may have been handed to a socket
    held: str = ""  # why it was not: "late"; "stale", the connection is not silent; "unasked", a new one is not
    reused: bool = False  # its connection has carried another request before
    early: bool = False  # its answer began before all of it had been handed to the socket
    unread: bool = False  # its answer began before the other side had acknowledged all of it
    too_long: bool = False  # the head of its answer is longer than is read
    headed: bool = False  # the head of its answer is known
    over: bool = False  # its result is no longer awaited
    guard: Guard | None = None
    missing: int = 0  # bytes of it that were not written yet


@dataclass(slots=True, eq=False)
class Pool:
    """What the connections of one client share."""

    distrusted: bool = False  # the server has sent what no request had asked for: no connection is used twice
    slowest: float = 0.0  # seconds that answers take at most
    connecting: float = LEAST_CONNECTING  # seconds that a new connection takes
    refused: float = 0.0  # share of the requests that were refused
    made: WeakSet[Any] = field(default_factory=WeakSet)  # every open transport

    @property
    def listening(self) -> float:
        """Seconds for which another answer is awaited behind a refusal."""
        return min(LONGEST_LISTENING, max(SHORTEST_LISTENING, 2 * self.slowest))

    @property
    def reusable(self) -> bool:
        """Whether a connection is worth keeping: a refusal on a new one needs no listening."""
        return not self.distrusted and self.refused * self.listening <= self.connecting

    def on_connected(self, seconds: float) -> None:
        """Count a new connection."""
        self.connecting += (max(seconds, LEAST_CONNECTING) - self.connecting) * LATEST_CONNECTION

    def on_head(self, *, refused: bool) -> None:
        """Count an answer."""
        self.refused += (refused - self.refused) * LATEST_REFUSAL

    def on_answer(self, seconds: float) -> None:
        """Count the seconds that an answer took."""
        self.slowest = max(seconds, self.slowest * 0.98)


TRANSMISSION: ContextVar[Transmission] = ContextVar("transmission")
"""The request of the running task. Nothing else writes to these connections."""


def unread_byte(line: socket.socket) -> bytes | None:
    """Return an unread byte, nothing where the other side has closed, ``None`` where all is silent."""
    try:
        return line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""


def unacknowledged(line: socket.socket) -> int:
    """Return how many bytes the other side has not acknowledged; 0 where this system does not tell."""
    if sys.platform != "linux":
        return 0
    try:
        count: int = struct.unpack("i", fcntl.ioctl(line.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
    except (OSError, ValueError):
        return 0
    return count


def is_interim(data: bytes) -> bool:
    """Tell whether this is a 1xx answer and nothing else: the answer itself has not begun."""
    return data.startswith(b"HTTP/1.1 1") and data.endswith(b"\r\n\r\n") and data.count(b"\r\n\r\n") == 1
