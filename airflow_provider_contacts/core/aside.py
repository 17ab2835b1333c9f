"""Two things at the same time, and both over before the next one begins."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

Result = TypeVar("Result")


class Aside:
    """A thread in which a database writes, while the caller computes what does not depend on it.

    A database takes what it is given without Python's lock, so that both cores have something to do. The two halves
    must share nothing that either of them changes.
    """

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    def run(self, work: Callable[[], Result], meanwhile: Callable[[], None]) -> Result:
        """Do ``work`` in the thread and ``meanwhile`` in this one; return what the work gave once both have ended.

        Whatever ends ``meanwhile``, a signal's exception too, is raised only after the work has come to its end: what
        it has changed is whole.
        """
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, thread_name_prefix="contacts-ledger")
        future = self._threads.submit(work)
        try:
            meanwhile()
        finally:
            wait([future])
        return future.result()

    def close(self) -> None:
        """End the thread."""
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None
