"""Exceptions that signal handlers raise, kept until the push is between two steps.

Airflow ends a task that is out of time by an exception from its SIGALRM handler; Ctrl-C is one from Python's. Either
could come between any two instructions. While a push runs in the main thread, the handlers run at safe points alone,
so that no step is ever half done: between two steps, and while the source is read, which may hang.
"""

from __future__ import annotations

import inspect
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from types import FrameType
from typing import Any

DEFERRED = (signal.SIGALRM, signal.SIGINT)

PATIENCE = 60.0
"""Seconds after which SIGALRM is heard in the middle of a step: a ledger that hangs must not hold a task for good."""

Handler = Callable[[int, FrameType | None], Any]


class Interrupts:
    """The signals of one push."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._pending: Callable[[], object] | None = None
        self._reader: FrameType | None = None
        self._timer = False

    @property
    def pending(self) -> bool:
        """Whether :meth:`check` is going to raise."""
        return self._pending is not None

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Keep what comes until :meth:`check` is called, or until the end of this block."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        found = {number: signal.getsignal(number) for number in DEFERRED}
        handlers: dict[int, Handler] = {number: handler for number, handler in found.items() if callable(handler)}

        def receive(number: int, frame: FrameType | None) -> None:
            handler = handlers[number]
            if self._pending is not None or (self._reader is not None and frame is not self._reader):
                handler(number, frame)
                return
            self._pending = lambda: handler(number, frame)
            if number == signal.SIGALRM:
                self._timer = True
                signal.setitimer(signal.ITIMER_REAL, self._patience)

        for number in handlers:
            signal.signal(number, receive)
        try:
            yield
        finally:
            for number, handler in handlers.items():
                if signal.getsignal(number) is receive:
                    signal.signal(number, handler)
            self.check()

    def check(self) -> None:
        """Run the handler of a signal that has come; this is a safe point."""
        pending, self._pending = self._pending, None
        if self._timer:
            self._timer = False
            signal.setitimer(signal.ITIMER_REAL, 0)
        if pending is not None:
            pending()

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Let a signal wait until the end of this block, also where the source is read."""
        reader, self._reader = self._reader, None
        try:
            yield
        finally:
            self._reader = reader
        self.check()

    def read(self, rows: Iterator[Any], count: int, into: list[Any]) -> None:
        """Append the next rows; what ends the reading from outside is raised by the next :meth:`check`.

        Rows that were read before stay in the list. A signal that comes in this very frame, between two rows, waits.
        """
        self._reader = inspect.currentframe()
        try:
            into.extend(islice(rows, count))
        except Exception:
            raise
        except BaseException as error:  # noqa: BLE001  # raised again at the next safe point
            self._pending = partial(throw, error)
        finally:
            self._reader = None


def throw(error: BaseException) -> None:
    """Raise an exception."""
    raise error
