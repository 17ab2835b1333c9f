"""What a person sees of the demo: each step as it begins, and again while it lasts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO


class Screen:
    """A place to print to that is never silent for long.

    :param file: what is written to.
    :param every: seconds after which a step that still lasts is named again.
    """

    def __init__(self, file: TextIO, every: float = 2.0) -> None:
        self._file = file
        self._every = every

    def say(self, text: str = "") -> None:
        """Print lines at once."""
        self._file.write(f"{text}\n")
        self._file.flush()

    @contextmanager
    def during(self, step: str, so_far: Callable[[], str] = lambda: "") -> Iterator[None]:
        """Name a step again and again while it lasts, with its seconds and what it has done so far."""
        started, done = time.monotonic(), threading.Event()

        def repeat() -> None:
            while not done.wait(self._every):
                self.say(f"   ... {step}, {time.monotonic() - started:.0f} s{so_far()}")

        thread = threading.Thread(target=repeat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
