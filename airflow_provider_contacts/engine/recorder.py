"""Writing outcomes into a ledger that may be away for a while."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from airflow_provider_contacts.engine.context import PushContext
from airflow_provider_contacts.errors import LedgerError, SupersededError
from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.pacing.bucket import backoff
from airflow_provider_contacts.records.batch import BatchResult

log = logging.getLogger(__name__)

ATTEMPTS = 7
"""Times that outcomes are offered to a ledger that is away, with backoff: half a minute or so."""


class Recorder:
    """Writes outcomes patiently: what was sent must not be forgotten because a database restarts.

    ``wait`` lets so many seconds pass, or fewer when something comes back.
    """

    def __init__(self, context: PushContext, *, wait: Callable[[float], None], stopping: Callable[[], bool]) -> None:
        self._ledger = context.ledger
        self._brake = context.brake
        self._clock = context.clock
        self._wait = wait
        self._stopping = stopping
        self._attempts = ATTEMPTS
        # Records that were not sent are offered once to a ledger that is away.
        self._refused = False

    def results(self, results: Sequence[BatchResult]) -> None:
        """Write what answers say."""
        self._write(partial(self._ledger.record_results, results), sum(len(one.batch) for one in results))

    def outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes of records that have a row."""
        if outcomes:
            self._write(partial(self._ledger.record_outcomes, outcomes), len(outcomes))

    def unsent(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes of records that were not sent, where that can be done at once."""
        if not outcomes or self._refused:
            return
        try:
            self._ledger.record_unsent(outcomes)
        except LedgerError as error:
            self._brake.pull(error)
            self._refused = True
            log.warning("%s records that were not sent have no row: it could not be written", len(outcomes))

    def _write(self, write: Callable[[], object], count: int) -> None:
        for attempt in range(1, self._attempts + 1):
            try:
                write()
            except LedgerError as error:
                self._brake.pull(error)
                superseded = isinstance(error, SupersededError)
                if superseded or attempt == self._attempts or not self._rest(backoff(attempt, self._clock.random)):
                    break
            else:
                self._attempts = ATTEMPTS
                return
        # A ledger that has been waited for in vain is not waited for again, for each request that still comes back.
        self._attempts = 1
        log.error("%s outcomes could not be written; their rows stay as marked, and the next try holds them", count)

    def _rest(self, seconds: float) -> bool:
        """Let time pass; return ``False`` when the push is to end."""
        until = self._clock.monotonic() + seconds
        while not self._stopping():
            left = until - self._clock.monotonic()
            if left <= 0:
                return True
            self._wait(left)
        return False
