"""The pace where nobody states a rate: as fast as the vendor answers well, learned from its responses.

Two known laws. Requests in flight follow AIMD with TCP's slow start (RFC 5681): one more for every good response until
the first congestion, then one more for a window of them, and 0.7 of them on congestion: a response that says "later"
(429 and its like), or one that took much longer than the recent fastest. Once "later" has been said, requests a second
follow CUBIC (RFC 9438): 0.7 of what was sent then, back to that on a cubic curve, and only then carefully beyond. At a
few milliseconds a response, even a window of one can be far too many.
"""

from __future__ import annotations

import math
from collections import defaultdict

from airflow_provider_contacts.pacing.bucket import Pace
from airflow_provider_contacts.pacing.shared import Budget

START = 4  # requests in flight at first, or ``max_in_flight`` if that is less
DECREASE = 0.7  # of window and rate is left after congestion: CUBIC's beta
RECOVERY = 10.0  # seconds after which a rate is back where it was: CUBIC's K, the same for slow and fast vendors
PERIOD = 1.0  # seconds in which congestion counts once and requests are counted: vendors count by the second
# Requests a second that are always tried: a rate must recover, and a push must end. A vendor that takes fewer can say
# so by ``Retry-After``, and a user by a stated rate.
SLOWEST = 1.0
HEADROOM = 2.0  # times the rate really sent to which a rate may grow: a task without records must not earn a burst
# Latency rises if a response takes this multiple of the recent fastest, and so many seconds more: below that, this
# machine may be the busy one.
RISE, RISE_SECONDS = 2.0, 0.25
MEMORY = 30.0  # seconds for which the fastest response is remembered, at least; twice that at most


class AdaptivePace(Pace):
    """A pace that begins without a rate, and learns from responses a window of at most ``most`` and a rate."""

    def __init__(self, most: int, budget: Budget | None = None) -> None:
        super().__init__(None, budget=budget)
        self._most, self._window = most, float(min(START, most))
        self._starting, self._eased_at = True, -math.inf
        self._peak, self._limited_at = 0.0, -math.inf
        self._sent = SentRate()
        self._fastest: defaultdict[int, Fastest] = defaultdict(Fastest)

    @property
    def window(self) -> float:
        """Requests that may be in flight."""
        return int(self._window)

    def take(self, now: float, count: int) -> None:
        """Spend ``count`` requests."""
        super().take(now, count)
        self._sent.add(now, count)

    def on_response(self, now: float, *, sent_at: float, later: bool, seconds: float | None, records: int = 1) -> None:
        """Learn from a response; latency is compared only among requests of a similar size."""
        slow = seconds is not None and self._fastest[records.bit_length()].is_slow(now, seconds)
        # What left before the last decrease says nothing of the pace since.
        if (later or slow) and sent_at > self._eased_at and now > self._eased_at + PERIOD:
            self._ease(now, limited=later)
        elif not later and not slow:
            self._grow(now)

    def _ease(self, now: float, *, limited: bool) -> None:
        """Decrease, once for all that is in flight."""
        self._starting, self._eased_at = False, now
        self._window = max(1.0, self._window * DECREASE)
        if limited:
            self._limited_at, sent = now, self._sent.at(now)
            if self._rate is None:
                # It went far beyond, and nothing is accepted until the vendor's own count has run down.
                self.pause(now + PERIOD)
            self._peak = max(SLOWEST, sent if self._rate is None else min(self._rate, sent))
            self._limit(now, self._peak * DECREASE)

    def _grow(self, now: float) -> None:
        """Increase: the window by one for a window of good responses, the rate along its curve."""
        self._window = min(self._most, self._window + (1.0 if self._starting else 1.0 / self._window))
        if self._rate is not None:
            along = self._peak * (1.0 + (1.0 - DECREASE) * ((now - self._limited_at) / RECOVERY - 1.0) ** 3)
            self._limit(now, min(along, max(self._rate, HEADROOM * self._sent.at(now))))

    def _limit(self, now: float, rate: float) -> None:
        self._fill(now)
        if self._rate is None:
            self._tokens, self._filled_at = 0.0, now
        self._rate = max(SLOWEST, rate)


class SentRate:
    """How many requests a second leave."""

    def __init__(self) -> None:
        self._since, self._count, self._before = -math.inf, 0, 0.0

    def add(self, now: float, count: int) -> None:
        """Count requests that leave at ``now``."""
        if now - self._since >= PERIOD:
            self._before = 0.0 if math.isinf(self._since) else self.at(now)
            self._since, self._count = now, 0
        self._count += count

    def at(self, now: float) -> float:
        """Return the requests of the last second, or their mean where none left for longer."""
        passed = now - self._since
        # Within it, as if those before had left evenly.
        return self._count / passed if passed >= PERIOD else self._count / PERIOD + self._before * (1 - passed / PERIOD)


class Fastest:
    """The recent fastest response."""

    def __init__(self) -> None:
        self._since, self._now, self._before = -math.inf, math.inf, math.inf

    def is_slow(self, now: float, seconds: float) -> bool:
        """Remember a response's time, and tell whether it is much longer than it need be."""
        if now - self._since > MEMORY:
            self._since, self._before, self._now = now, self._now, math.inf
        self._now = min(self._now, seconds)
        least = min(self._now, self._before)
        return seconds > RISE * least and seconds > least + RISE_SECONDS
