"""Calls that block where no signal is heard run in a thread of their own, so that the task can end while they do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from airflow_provider_contacts.errors import InterruptedPushError

PAUSE = 0.2
"""Seconds between two looks at the stop sign."""

LAST_CHANCE = 1.0
"""Seconds for a cancellation to get through, and as many for the call to end by it: Airflow kills after five."""

CLOSING = 2.0
"""Seconds that a connection may take to be closed."""

Job = tuple[Callable[[], Any], "SimpleQueue[tuple[Any, BaseException | None]]"]


class Worker:
    """One thread that does one call after the other; a driver's connection belongs to it from first to last."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        # Not one of a pool: the interpreter would wait for it, and a call that nobody can cancel may take hours.
        self._thread = threading.Thread(target=_work, args=(self._jobs,), name="contacts-source", daemon=True)
        self._thread.start()
        self._stuck = False

    def call(self, job: Callable[[], Any], *, stopping: Callable[[], bool], cancel: Callable[[], None]) -> Any:
        """Return what a call returns, or raise what it raises.

        :param stopping: asked often; once it is true, the call is cancelled, as it is by an exception out of a signal.
        :param cancel: ends the call from another thread.
        :raises InterruptedPushError: when told to stop.
        """
        done: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._jobs.put((job, done))
        try:
            found = self._awaited(done, stopping)
        except BaseException:
            self._give_up(done, cancel)
            raise
        value, error = found
        if error is not None:
            raise error
        return value

    @staticmethod
    def _awaited(done: SimpleQueue[Any], stopping: Callable[[], bool]) -> tuple[Any, BaseException | None]:
        while not stopping():
            try:
                found: tuple[Any, BaseException | None] = done.get(timeout=PAUSE)
            except Empty:
                continue
            return found
        raise InterruptedPushError("the push was told to stop while its source was read")

    def _give_up(self, done: SimpleQueue[Any], cancel: Callable[[], None]) -> None:
        """Cancel a call, and wait a moment for its end."""
        canceller = threading.Thread(target=_silently, args=(cancel,), name="contacts-cancel", daemon=True)
        canceller.start()
        canceller.join(LAST_CHANCE)
        try:
            done.get(timeout=LAST_CHANCE)
        except Empty:
            self._stuck = True

    def end(self, last: Callable[[], None]) -> None:
        """Do one last call and end the thread; one that hangs is left behind."""
        if threading.current_thread() is self._thread:
            # Whoever forgets the source in this thread must not wait for it.
            last()
            self._jobs.put(None)
        else:
            done: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
            self._jobs.put((last, done))
            self._jobs.put(None)
            try:
                # What hangs is not waited for; it is closed if it ever comes back.
                _, error = done.get(timeout=0.0 if self._stuck else CLOSING)
            except Empty:
                return
            if error is not None:
                raise error


def _work(jobs: SimpleQueue[Job | None]) -> None:
    while (job := jobs.get()) is not None:
        call, done = job
        try:
            done.put((call(), None))
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            done.put((None, error))
        # Not held while the next one is waited for.
        del job, call, done


def _silently(cancel: Callable[[], None]) -> None:
    # The query may have ended meanwhile; the task ends either way.
    with suppress(Exception):
        cancel()
