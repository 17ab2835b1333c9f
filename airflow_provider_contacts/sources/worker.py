"""A thread that reads a source and can be abandoned: signals arrive while a database or a storage works."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue

from airflow_provider_contacts.errors import InterruptedPushError

# Seconds between two looks at whether to stop.
PAUSE = 0.2

# Seconds for a cancellation to get through, and as many for the call to end by it: Airflow kills after five.
LAST_CHANCE = 1.0

# Seconds that a connection may take to be closed.
CLOSING = 2.0


class Worker:
    """One thread that runs one call after the other; a driver's connection is used in it alone."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Callable[[], None], Future[None]] | None] = SimpleQueue()
        # Not one of a pool: the interpreter would wait for it, and a call that nobody can cancel may take hours.
        threading.Thread(target=work, args=(self._jobs,), name="contacts-source", daemon=True).start()
        self._stuck = False

    def call(self, job: Callable[[], None], *, stopping: Callable[[], bool], cancel: Callable[[], None]) -> None:
        """Run a call, and raise what it raises.

        Once ``stopping()`` is true, ``cancel()`` ends the call, as it does after an exception out of a signal.
        """
        done = self._submit(job)
        try:
            while not wait((done,), PAUSE).done:
                if stopping():
                    raise InterruptedPushError("the push was told to stop while its source was read")  # noqa: TRY301  # as what a signal raises
        except BaseException:
            cancelled: Future[None] = Future()
            threading.Thread(target=run, args=(cancel, cancelled), name="contacts-cancel", daemon=True).start()
            wait((cancelled,), LAST_CHANCE)
            self._stuck = not wait((done,), LAST_CHANCE).done
            raise
        done.result()

    def end(self, last: Callable[[], None]) -> None:
        """Run a last call and end the thread. A call that hangs is abandoned; the last one runs if it ever returns."""
        done = self._submit(last)
        self._jobs.put(None)
        if wait((done,), 0.0 if self._stuck else CLOSING).done:
            done.result()

    def _submit(self, job: Callable[[], None]) -> Future[None]:
        done: Future[None] = Future()
        self._jobs.put((job, done))
        return done


def work(jobs: SimpleQueue[tuple[Callable[[], None], Future[None]] | None]) -> None:
    """Run what comes, until ``None`` does."""
    while (job := jobs.get()) is not None:
        run(*job)
        # Not kept alive while waiting for the next one.
        del job


def run(call: Callable[[], None], done: Future[None]) -> None:
    """Run one call; what it raises is raised where it is waited for."""
    try:
        call()
        done.set_result(None)
    except BaseException as error:  # noqa: BLE001  # see above
        done.set_exception(error)
