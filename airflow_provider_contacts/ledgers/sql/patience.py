"""Trying again to open a table: a fail-over, a lock or a server that starts passes within seconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from airflow_provider_contacts.errors import InterruptedPushError
from airflow_provider_contacts.ledgers.sql.db_errors import MomentaryError

log = logging.getLogger(__name__)

Result = TypeVar("Result")

OPENING_SECONDS = 10.0
FIRST_WAIT, LONGEST_WAIT, SLICE = 0.2, 2.0, 0.1


@dataclass(frozen=True, slots=True)
class Patience:
    """How long work is repeated that fails for a reason that may pass.

    :param seconds: no further attempt begins after them.
    :param stopping: asked while it waits.
    """

    seconds: float = OPENING_SECONDS
    stopping: Callable[[], bool] = field(default=lambda: False, kw_only=True)
    monotonic: Callable[[], float] = field(default=time.monotonic, kw_only=True)
    sleep: Callable[[float], None] = field(default=time.sleep, kw_only=True)

    def run(self, work: Callable[[], Result]) -> Result:
        """Return what ``work`` returns; it may run several times.

        :raises MomentaryError: of the last attempt.
        :raises InterruptedPushError: if the task is told to stop meanwhile.
        """
        until, wait = self.monotonic() + self.seconds, FIRST_WAIT
        while True:
            try:
                return work()
            except MomentaryError as error:
                if self.monotonic() + wait > until:
                    raise
                log.warning("%s. It is tried again in %.1f s", error, wait)
            self._rest(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _rest(self, seconds: float) -> None:
        until = self.monotonic() + seconds
        while (left := until - self.monotonic()) > 0:
            if self.stopping():
                raise InterruptedPushError("the task was told to stop while it opened the outcome table")
            self.sleep(min(left, SLICE))


AT_ONCE = Patience(0.0)
