"""One request on its way to a socket, and what the socket tells about it."""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_contacts.transport.gate import Guard


class HeldError(Exception):
    """A request was not written; see ``Transmission.held``."""


@dataclass(slots=True, eq=False)
class Transmission:
    """One request on its way to a socket.

    :param size: bytes of the body.
    :param not_after: the moment (monotonic) after which its first byte must not leave.
    :param on_leave: is called when the first byte leaves.
    :param began: the moment (monotonic) at which a connection was asked for.
    :param gated: its connection is guarded, so that ``left`` tells the truth.
    :param left: a byte of it may have been handed to a socket.
    :param held: why it was not: ``"late"``; ``"stale"``, the connection is not silent; ``"unasked"``, a new one is not.
    :param reused: its connection has carried another request before.
    :param early: its answer began before all of it had been handed to the socket.
    :param unread: its answer began before the other side had acknowledged all of it.
    :param too_long: the head of its answer is longer than is read.
    :param headed: the head of its answer is known.
    :param over: its result is no longer awaited.
    :param missing: bytes of it that were not written yet.
    """

    host: str
    size: int = 0
    not_after: float = float("inf")
    on_leave: Callable[[], None] = lambda: None
    began: float = 0.0
    gated: bool = False
    left: bool = False
    held: str = ""
    reused: bool = False
    early: bool = False
    unread: bool = False
    too_long: bool = False
    headed: bool = False
    over: bool = False
    guard: Guard | None = None
    missing: int = 0


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
