"""How fast to go where nobody states a rate: as fast as the vendor answers well, found out by the vendor's answers.

Two known laws. Requests in flight follow AIMD (additive increase, multiplicative decrease: Chiu and Jain, 1989), with
TCP's slow start (RFC 5681): one more for every good answer until the first sign of trouble, then one more for a window
of them, and 0.7 of them on a sign. A sign is an answer that says "later" (429 and its like), or one that took much
longer than the fastest of late. And once "later" has been said, requests a second follow CUBIC (RFC 9438), as in the
adaptive retry mode of the AWS SDKs: 0.7 of what was sent when it was said, back to that on a cubic curve, and only then
carefully beyond. A window alone would not do: at a few milliseconds an answer, even one request at a time can be far
too many.
"""

from __future__ import annotations

import math
from collections import defaultdict

from airflow_provider_contacts.pacing.bucket import Pace

START = 4
"""Requests in flight to begin with, or the most that may be, if that is less."""

DECREASE = 0.7
"""What is left of window and rate after a sign of trouble: CUBIC's beta."""

RECOVERY = 10.0
"""Seconds after which a rate is back where it was: CUBIC's K. RFC 9438 lets it follow from the rate, whose unit there
is segments of one connection; here it can be one request a second or a thousand, and each deserves the same patience.
"""

PERIOD = 1.0
"""Seconds in which trouble counts once: vendors count requests by the second at least."""

SLOWEST = 1.0
"""Requests a second that are always tried: a rate must be able to recover, and a push to end. A vendor that takes fewer
can say so by ``Retry-After``, or whoever knows it by a stated rate."""

HEADROOM = 2.0
"""Times the rate that is really sent to which a rate may grow: a task without records must not earn itself a burst."""

RISE = 2.0
"""Times the fastest answer of late from which latency counts as rising..."""

RISE_SECONDS = 0.25
"""...if it is these many seconds more, too: below that, it may be this machine that is busy."""

MEMORY = 30.0
"""Seconds for which the fastest answer is remembered, at least; twice that at most."""

MEASURE = 1.0
"""Seconds over which what is sent is counted."""


class AdaptivePace(Pace):
    """A pace that begins without a rate, and learns window and rate from answers.

    :param most: requests in flight at most.
    """

    def __init__(self, most: int) -> None:
        super().__init__(None)
        self._most = float(most)
        self._window = min(float(START), self._most)
        self._starting = True
        self._eased_at = -math.inf
        self._peak = 0.0
        self._limited_at = -math.inf
        self._sent = Sent()
        self._fastest: defaultdict[int, Fastest] = defaultdict(Fastest)

    @property
    def window(self) -> float:
        """Requests that may be in flight."""
        return int(self._window)

    @property
    def rate(self) -> float | None:
        """Requests a second, once there is a limit to be kept."""
        return self._rate

    def take(self, now: float, count: int) -> None:
        """Spend ``count`` requests."""
        super().take(now, count)
        self._sent.add(now, count)

    def hear(self, now: float, *, sent_at: float, later: bool, seconds: float | None, records: int = 1) -> None:
        """Take an answer for what it says of the pace.

        :param sent_at: when its request left; what left before the last decrease says nothing of the pace since.
        :param later: whether it asks to be left alone for now.
        :param seconds: from the first byte sent to the last one read, where that is known.
        :param records: how many records the request carried: halves are answered sooner than whole batches, and are
            compared only with requests that are at most twice as large.
        """
        slow = seconds is not None and self._fastest[records.bit_length()].is_slow(now, seconds)
        if (later or slow) and sent_at > self._eased_at and now > self._eased_at + PERIOD:
            self._ease(now, limited=later)
        elif not later and not slow:
            self._grow(now)

    def _ease(self, now: float, *, limited: bool) -> None:
        """Decrease, once for all that is in flight."""
        self._starting = False
        self._eased_at = now
        self._window = max(1.0, self._window * DECREASE)
        if limited:
            self._limited_at = now
            if self._rate is None:
                # It went far beyond, and nothing is taken until the vendor's own count has run down.
                self.pause(now + PERIOD)
            sent = self._sent.rate(now)
            self._peak = max(SLOWEST, sent if self._rate is None else min(self._rate, sent))
            self._limit(now, self._peak * DECREASE)

    def _grow(self, now: float) -> None:
        """Increase: the window by one for a window of good answers, the rate along its curve."""
        self._window = min(self._most, self._window + (1.0 if self._starting else 1.0 / self._window))
        if self._rate is not None:
            along = self._peak * (1.0 + (1.0 - DECREASE) * ((now - self._limited_at) / RECOVERY - 1.0) ** 3)
            self._limit(now, min(along, max(self._rate, HEADROOM * self._sent.rate(now))))

    def _limit(self, now: float, rate: float) -> None:
        rate = max(SLOWEST, rate)
        if self._rate is None:
            self._tokens, self._filled_at = 0.0, now
        else:
            self._fill(now)
        self._rate = rate


class Sent:
    """How many requests a second leave."""

    def __init__(self) -> None:
        self._since = -math.inf
        self._count = 0
        self._rate = 0.0

    def add(self, now: float, count: int) -> None:
        """Count requests that leave at ``now``."""
        if now - self._since >= MEASURE:
            self._rate = 0.0 if math.isinf(self._since) else self.rate(now)
            self._since, self._count = now, 0
        self._count += count

    def rate(self, now: float) -> float:
        """Return the requests of the last second, or a second in the mean where it is longer that one left."""
        passed = now - self._since
        if passed >= MEASURE:
            return self._count / passed
        # As if those before had left evenly.
        return self._count / MEASURE + self._rate * (1.0 - passed / MEASURE)


class Fastest:
    """The fastest answer of late."""

    def __init__(self) -> None:
        self._since = -math.inf
        self._now = math.inf
        self._before = math.inf

    def is_slow(self, now: float, seconds: float) -> bool:
        """Remember an answer's time, and tell whether it is much longer than it need be."""
        if now - self._since > MEMORY:
            self._since, self._before, self._now = now, self._now, math.inf
        self._now = min(self._now, seconds)
        least = min(self._now, self._before)
        return seconds > RISE * least and seconds > least + RISE_SECONDS
