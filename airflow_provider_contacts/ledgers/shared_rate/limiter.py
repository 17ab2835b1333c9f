"""A task's part of a shared rate: it books moments at which its next requests may leave, in one queue with all others.

The limiter library says when: its GCRA keeps one number an account, the moment up to which the rate is spoken for.
Each task holds one short run of moments at a time, so that tasks take turns, however near they are to the database.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from typing import TYPE_CHECKING

from airflow_provider_contacts.pacing.shared import SharedRate
from airflow_provider_contacts.vendor_kit.push_settings import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from pyrate_limiter import Rate

    from airflow_provider_contacts.ledgers.shared_rate.rate_table import RateRow

log = logging.getLogger(__name__)

RUN = 0.05  # seconds of the whole rate that a task books at once: few questions to the database, and nobody waits long
LATE = 0.25  # seconds after which an unused moment is lost: tasks that were all held up must not all go at once
QUEUE_SECONDS, QUEUE_REQUESTS = 10.0, 100  # how far ahead all tasks together may book: the longer of the two
INTERVAL_MS = 1_000_000_000  # what rates are stated for: the library counts whole requests, and rates have fractions
AGAIN = 0.05  # seconds, and by chance up to twice as many, after which a task asks again that has found no place
LONG = 60.0  # seconds of waiting that are told to a person
TRIES = 5  # times that the state is read again because another task has changed it


class LimiterBudget:
    """See :class:`airflow_provider_contacts.pacing.shared.Budget`."""

    def __init__(self, row: RateRow, shared: SharedRate, *, clock: Clock = SYSTEM_CLOCK) -> None:
        from pyrate_limiter import GCRA

        self._row = row
        self._clock = clock
        self._algorithm = GCRA()
        self._rate = rate_of(shared, shared.burst or 1)
        self._queue = rate_of(shared, max(QUEUE_REQUESTS, int(shared.sustained * QUEUE_SECONDS)) + self._rate.burst)
        self._run = max(1, round(shared.sustained * RUN))
        self._sustained = shared.sustained
        self._booked: deque[float] = deque()
        self._not_before = -math.inf

    def take(self, wanted: int) -> int:
        """Return how many of ``wanted`` requests may leave now, from one state of the row at most."""
        if wanted < 1:
            return 0
        now = self._clock.monotonic()
        while self._booked and self._booked[0] < now - LATE:
            self._booked.popleft()
        if not self._booked and now >= self._not_before:
            self._book(wanted)
            now = self._clock.monotonic()
        taken = 0
        while taken < wanted and self._booked and self._booked[0] <= now:
            self._booked.popleft()
            taken += 1
        return taken

    def wait(self) -> float:
        """Return the seconds after which asking again makes sense."""
        return max(0.0, (self._booked[0] if self._booked else self._not_before) - self._clock.monotonic())

    def close(self) -> None:
        """Close the connection; what is booked is lost."""
        self._row.close()

    def _book(self, count: int) -> None:
        waits = self._reserve(count)
        # Counted from the answer: later than the database meant, never earlier.
        now = self._clock.monotonic()
        self._booked.extend(now + wait for wait in waits or ())
        if not waits:
            # The queue is full until a request's time has gone by; or others were faster, who are soon done.
            pause = AGAIN if waits is None else max(AGAIN, 1 / self._sustained)
            self._not_before = now + pause * (1 + self._clock.random())
        elif waits[0] > LONG:
            log.warning("The shared rate has room in %.0f s: it is slow, or the database's clock went back", waits[0])

    def _reserve(self, count: int) -> list[float] | None:
        """Return the seconds until each request that has a place now; ``None`` where others were faster every time."""
        for _ in range(TRIES):
            before, now = self._row.read()
            after, waits = self._places(before, now, count)
            if not waits or self._row.replace(before, after):
                return waits
        return None

    def _places(self, text: str, now: int, count: int) -> tuple[str, list[float]]:
        """Return the state with all that may leave at once, or a run of later ones, and the seconds until each."""
        rates = [self._rate]
        state = self._algorithm.decode(text.split(",")) if text else self._algorithm.initial(rates)
        waits: list[float] = []
        for _ in range(count):
            _, decision = self._algorithm.step(rates, state, now, 1)
            if len(waits) >= self._run and not decision.allowed:
                break
            state, place = self._algorithm.step([self._queue], state, now, 1)
            if not place.allowed:
                break
            waits.append((decision.retry_after_ms or 0) / 1000)
        return ",".join(map(str, state)), waits


def rate_of(shared: SharedRate, burst: int) -> Rate:
    """Return the rate in the library's words, rounded down to a millionth of a request a second."""
    from pyrate_limiter import Rate

    return Rate(max(1, int(shared.sustained * INTERVAL_MS / 1000)), INTERVAL_MS, burst=burst)
