"""The flag by which a signal handler stops a push."""

from __future__ import annotations

from collections.abc import Callable


class StopSign:
    """Says that nothing more may be sent. Set from a signal handler, read by the engine."""

    def __init__(self) -> None:
        self._is_set = False
        self._wake: Callable[[], None] = lambda: None

    def set(self) -> None:
        """Stop, and end whatever wait is going on."""
        self._is_set = True
        self._wake()

    def is_set(self) -> bool:
        """Tell whether to stop."""
        return self._is_set

    def wakes(self, wake: Callable[[], None]) -> None:
        """Say what ends the engine's wait."""
        self._wake = wake
