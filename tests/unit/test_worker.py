"""The thread that reads a source: how a call ends that runs on, and what becomes of the thread."""

from __future__ import annotations

import gc
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Event
from typing import Any

import pytest

from airflow_provider_contacts.errors import InterruptedPushError
from airflow_provider_contacts.sources.worker import CLOSING, LAST_CHANCE, Worker
from tests.support.alarms import OutOfTime, raising
from tests.support.rows import after

SOON = 0.5 * min(CLOSING, LAST_CHANCE)


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    with raising():
        signal.setitimer(signal.ITIMER_REAL, 30)
        yield


@pytest.fixture
def worker() -> Iterator[Worker]:
    before = set(threading.enumerate())
    yield Worker()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


class OwnError(Exception):
    pass


def fail() -> None:
    raise OwnError


def never() -> bool:
    return False


def leave() -> None:
    pass


def ended(worker: Worker) -> float:
    """End a thread whose last call fails, which must be heard; return how long it took."""
    begun = time.monotonic()
    with pytest.raises(OwnError):
        worker.end(fail)
    return time.monotonic() - begun


def by_stopping(call: Callable[[Callable[[], bool]], None]) -> None:
    with pytest.raises(InterruptedPushError):
        call(after(1))


def by_a_signal(call: Callable[[Callable[[], bool]], None]) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    with pytest.raises(OutOfTime):
        call(never)


@pytest.mark.parametrize("interrupted", [by_stopping, by_a_signal])
def test_a_call_that_is_cancelled_ends_and_the_thread_closes_its_source(worker: Worker, interrupted: Any) -> None:
    cancelled = Event()
    interrupted(lambda stopping: worker.call(lambda: fail_after(cancelled), stopping=stopping, cancel=cancelled.set))
    assert ended(worker) < SOON


def fail_after(event: Event) -> None:
    event.wait(60)
    raise OwnError


def test_cancelling_and_ending_may_each_take_their_time(worker: Worker) -> None:
    cancelled = Event()

    def cancel() -> None:
        time.sleep(0.6 * LAST_CHANCE)
        cancelled.set()

    def job() -> None:
        cancelled.wait(60)
        time.sleep(0.6 * LAST_CHANCE)

    by_stopping(lambda stopping: worker.call(job, stopping=stopping, cancel=cancel))
    assert ended(worker) < SOON


def test_a_call_that_nobody_can_cancel_is_left_and_its_source_closed_when_it_returns(worker: Worker) -> None:
    returns, closed = Event(), Event()
    begun = time.monotonic()
    # Neither does cancelling return.
    by_stopping(
        lambda stopping: worker.call(lambda: fail_after(returns), stopping=stopping, cancel=lambda: fail_after(returns))
    )
    assert time.monotonic() - begun < 2 * LAST_CHANCE + SOON
    begun = time.monotonic()
    worker.end(closed.set)
    assert time.monotonic() - begun < SOON
    assert not closed.is_set()
    returns.set()
    assert closed.wait(10)


def test_closing_may_hang(worker: Worker) -> None:
    returns, begun = Event(), time.monotonic()
    worker.end(lambda: fail_after(returns))
    assert time.monotonic() - begun < CLOSING + SOON
    returns.set()


@pytest.mark.parametrize("error", [OwnError, SystemExit, OutOfTime])
def test_what_a_call_raises_is_raised_where_it_is_waited_for(worker: Worker, error: type[BaseException]) -> None:
    def job() -> None:
        raise error

    with pytest.raises(error):
        worker.call(job, stopping=never, cancel=leave)
    # And the thread goes on.
    found: SimpleQueue[int] = SimpleQueue()
    worker.call(lambda: found.put(1), stopping=never, cancel=leave)
    assert found.get(timeout=1) == 1
    ended(worker)


def test_a_call_is_not_kept_alive(worker: Worker) -> None:
    class Job:
        def __call__(self) -> None:
            pass

    job = Job()
    kept = weakref.ref(job)
    worker.call(job, stopping=never, cancel=leave)
    del job
    end = time.monotonic() + 5
    while kept() is not None and time.monotonic() < end:
        gc.collect()
        time.sleep(0.01)
    assert kept() is None
    ended(worker)
