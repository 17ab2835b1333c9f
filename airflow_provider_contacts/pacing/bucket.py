"""When the next request may leave: a token bucket, ``Retry-After``, backoff. Arithmetic on seconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from airflow_provider_contacts.pacing.shared import Budget

LONGEST_WAIT = 86_400.0
"""Seconds of a ``Retry-After`` that are obeyed at most: one day."""

GRAIN = 0.02
"""Seconds whose requests may leave together, where a high rate allows several: one write claims them."""


class Pace:
    """How many requests may leave now, and when the next one may.

    A token bucket on a monotonic clock that the caller reads.

    :param rate: requests per second; ``None``: no limit.
    :param burst: requests that may leave at once after a pause; at least one, and what :data:`GRAIN` holds.
    :param budget: the rate that is shared with other tasks. What is available is taken from it at once.
    """

    def __init__(self, rate: float | None, burst: int = 1, budget: Budget | None = None) -> None:
        self._rate = rate
        self._burst = max(1, burst, int(GRAIN * (rate or 0.0)))
        self._budget = budget
        self._tokens = float(self._burst)
        self._filled_at = -math.inf
        self._paused_until = -math.inf

    @property
    def window(self) -> float:
        """Requests that may be in flight, as far as the pace limits them."""
        return math.inf

    def on_response(self, now: float, *, sent_at: float, later: bool, seconds: float | None, records: int = 1) -> None:
        """Learn from a response: nothing, where the rate is stated.

        :param later: whether it asks to wait.
        :param seconds: from the first byte sent to the last one read, where that is known.
        """

    def available(self, now: float, wanted: int) -> int:
        """Return how many of ``wanted`` requests may leave at ``now``.

        :raises BudgetError: when the database of the shared rate cannot be used.
        """
        if now < self._paused_until:
            return 0
        self._fill(now)
        # Rounding errors of float steps must not cost a whole wait.
        count = wanted if self._rate is None else min(wanted, int(self._tokens + 1e-9))
        return count if self._budget is None or count <= 0 else self._budget.take(count)

    def take(self, now: float, count: int) -> None:
        """Spend ``count`` requests."""
        self._fill(now)
        self._tokens -= count if self._rate is not None else 0

    def next_at(self, now: float) -> float:
        """Return the moment from which at least one request may leave."""
        self._fill(now)
        wait = 0.0 if self._rate is None else (1.0 - self._tokens) / self._rate
        shared = 0.0 if self._budget is None else self._budget.wait()
        return max(now + max(0.0, wait, shared), self._paused_until)

    def pause(self, until: float) -> None:
        """Let nothing leave before ``until``; an earlier moment never shortens a later one."""
        self._paused_until = max(self._paused_until, until)

    def _fill(self, now: float) -> None:
        if self._rate is not None and now > self._filled_at:
            gained = 0.0 if math.isinf(self._filled_at) else (now - self._filled_at) * self._rate
            self._tokens = min(float(self._burst), self._tokens + gained)
            self._filled_at = now


def backoff(attempt: int, random: Callable[[], float]) -> float:
    """Return the seconds to wait after ``attempt`` attempts: half a second, doubled each time up to half a minute.

    Half of it is random, so that many tasks do not come back together.
    """
    full = min(30.0, 0.5 * 2.0 ** min(attempt - 1, 60))
    return full * (0.5 + random() / 2)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds of a ``Retry-After`` header, or ``None`` where there is none that can be read.

    Seconds (a fraction is accepted, of several the longest) or an HTTP date. The past is 0, and a day is the most.
    """
    text = "" if value is None else value.strip()
    try:
        seconds = max(map(float, text.split(", "))) if text.isascii() else math.nan
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):
            return None
        seconds = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT)
