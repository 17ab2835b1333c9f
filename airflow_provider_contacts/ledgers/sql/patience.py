"""Opening a table takes a moment's trouble calmly: a fail-over, a lock, a server that starts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from airflow_provider_contacts.errors import InterruptedPushError
from airflow_provider_contacts.ledgers.sql.db_errors import MomentaryError

log = logging.getLogger(__name__)

Result = TypeVar("Result")

OPENING_SECONDS = 10.0
"""For how long opening a table is tried again."""

FIRST_WAIT, LONGEST_WAIT, SLICE = 0.2, 2.0, 0.1


class Patience:
    """Tries again what failed for a reason that may pass.

    :param seconds: after which no further attempt begins.
    :param stopping: asked while it waits.
    """

    def __init__(
        self,
        seconds: float = OPENING_SECONDS,
        *,
        stopping: Callable[[], bool] = lambda: False,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._seconds = seconds
        self._stopping = stopping
        self._monotonic = monotonic
        self._sleep = sleep

    def run(self, work: Callable[[], Result]) -> Result:
        """Return what ``work`` returns; it may be done over and over.

        :raises MomentaryError: of the last attempt.
        :raises InterruptedPushError: if the task is told to stop meanwhile.
        """
        until, wait = self._monotonic() + self._seconds, FIRST_WAIT
        while True:
            try:
                return work()
            except MomentaryError as error:
                if self._monotonic() + wait > until:
                    raise
                log.warning("%s. It is tried again in %.1f s", error, wait)
            self._rest(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _rest(self, seconds: float) -> None:
        until = self._monotonic() + seconds
        while (left := until - self._monotonic()) > 0:
            if self._stopping():
                raise InterruptedPushError("the task was told to stop while it opened the outcome table")
            self._sleep(min(left, SLICE))


AT_ONCE = Patience(0.0)
"""Tries once."""
