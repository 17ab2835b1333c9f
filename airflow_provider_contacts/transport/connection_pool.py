"""What the connections of one client share, and when one of them is worth using again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

SHORTEST_LISTENING, LONGEST_LISTENING = 0.05, 1.0
"""Seconds for which another answer is awaited behind a refusal."""

LATEST_REFUSAL, LATEST_CONNECTION = 1 / 100, 1 / 4
"""Weights of the latest observation in the running means."""

LEAST_CONNECTING = 0.002
"""Seconds that a new connection counts at least: it costs both sides more than the waiting for it."""


@dataclass(slots=True, eq=False)
class Pool:
    """What the connections of one client share.

    :param distrusted: the server has sent what no request had asked for: no connection is used twice.
    :param slowest: seconds that answers take at most.
    :param connecting: seconds that a new connection takes.
    :param refused: share of the requests that were refused.
    :param made: every open transport.
    """

    distrusted: bool = False
    slowest: float = 0.0
    connecting: float = LEAST_CONNECTING
    refused: float = 0.0
    made: WeakSet[Any] = field(default_factory=WeakSet)

    @property
    def listening(self) -> float:
        """Seconds for which another answer is awaited behind a refusal."""
        return min(LONGEST_LISTENING, max(SHORTEST_LISTENING, 2 * self.slowest))

    @property
    def reusable(self) -> bool:
        """Whether a connection is worth keeping: a refusal on a new one needs no listening."""
        return not self.distrusted and self.refused * self.listening <= self.connecting

    def on_connected(self, seconds: float) -> None:
        """Count a new connection."""
        self.connecting += (max(seconds, LEAST_CONNECTING) - self.connecting) * LATEST_CONNECTION

    def on_head(self, *, refused: bool) -> None:
        """Count an answer."""
        self.refused += (refused - self.refused) * LATEST_REFUSAL

    def on_answer(self, seconds: float) -> None:
        """Count the seconds that an answer took."""
        self.slowest = max(seconds, self.slowest * 0.98)
