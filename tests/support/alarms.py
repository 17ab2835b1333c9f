"""A signal whose handler raises, as Airflow's handler of SIGALRM does when a task's time is up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class OutOfTime(BaseException):
    """What the handler raises."""


@contextmanager
def raising(number: int = signal.SIGALRM) -> Iterator[None]:
    """Let a signal raise; afterwards no alarm is left."""

    def raise_it(_number: int, _frame: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(number, raise_it)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(number, before)
