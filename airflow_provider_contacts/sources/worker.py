"""Calls that block signals run in a thread of their own, so that the task can end meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Any

from airflow_provider_contacts.errors import InterruptedPushError

PAUSE = 0.2
"""Seconds between two looks at whether to stop."""

LAST_CHANCE = 1.0
"""Seconds for a cancellation to get through, and as many for the call to end by it: Airflow kills after five."""

CLOSING = 2.0
"""Seconds that a connection may take to be closed."""


class Worker:
    """One thread that runs one call after the other; a driver's connection is used in it alone."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        # Not one of a pool: the interpreter would wait for it, and a call that nobody can cancel may take hours.
        self._thread = threading.Thread(target=_work, args=(self._jobs,), name="contacts-source", daemon=True)
        self._thread.start()
        self._stuck = False

    def call(self, job: Callable[[], Any], *, stopping: Callable[[], bool], cancel: Callable[[], None]) -> Any:
        """Return what a call returns, or raise what it raises.

        Once ``stopping()`` is true, ``cancel()`` ends the call, as it does after an exception out of a signal.
        """
        done = self._submit(job)
        try:
            while not wait((done,), PAUSE).done:
                if stopping():
                    raise InterruptedPushError("the push was told to stop while its source was read")  # noqa: TRY301  # as what a signal raises
        except BaseException:
            # An error in cancelling is of no interest: the query may have ended meanwhile.
            cancelled: Future[Any] = Future()
            threading.Thread(target=_run, args=(cancel, cancelled), name="contacts-cancel", daemon=True).start()
            wait((cancelled,), LAST_CHANCE)
            self._stuck = not wait((done,), LAST_CHANCE).done
            raise
        return done.result()

    def end(self, last: Callable[[], None]) -> None:
        """Run a last call and end the thread. A call that hangs is abandoned; the last one runs if it ever returns."""
        if threading.current_thread() is self._thread:
            # A source may be collected in this thread, which cannot wait for itself.
            last()
            self._jobs.put(None)
            return
        done = self._submit(last)
        self._jobs.put(None)
        if wait((done,), 0.0 if self._stuck else CLOSING).done:
            done.result()

    def _submit(self, job: Callable[[], Any]) -> Future[Any]:
        done: Future[Any] = Future()
        self._jobs.put((job, done))
        return done


def _work(jobs: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None]) -> None:
    while (job := jobs.get()) is not None:
        _run(*job)
        # Not kept alive while waiting for the next one.
        del job


def _run(call: Callable[[], Any], done: Future[Any]) -> None:
    try:
        done.set_result(call())
    except BaseException as error:  # noqa: BLE001  # raised where it is waited for
        done.set_exception(error)
