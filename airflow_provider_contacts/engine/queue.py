"""Records that have not been sent: loose, cut into batches that are ready, or waiting for their moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from airflow_provider_contacts.records.batch import NOTHING, Batch, joined
from airflow_provider_contacts.vendor_kit.vendor import Limits


class Queue:
    """The batches of one push that have not been sent."""

    def __init__(self, limits: Limits, envelope: tuple[bytes, bytes] = (b"", b"")) -> None:
        self._limits = limits
        self._overhead = sum(map(len, envelope))
        self._loose = NOTHING
        self.ready: deque[Batch] = deque()
        self.waiting: list[Batch] = []

    def __len__(self) -> int:
        """Return how many batches there are."""
        return len(self.ready) + len(self.waiting)

    @property
    def empty(self) -> bool:
        """Whether no record is left."""
        return not (self.ready or self.waiting or len(self._loose))

    @property
    def next_due(self) -> float:
        """The moment (monotonic) at which a waiting batch may leave."""
        return min((batch.due for batch in self.waiting), default=float("inf"))

    def add(self, records: Batch) -> None:
        """Take in records that are not cut into requests yet."""
        if len(records):
            self._loose = joined([self._loose, records])

    def cut(self, *, ended: bool) -> None:
        """Cut loose records into batches; unless the source has ended, an unfilled last one waits for more."""
        loose, self._loose = self._loose, NOTHING
        for places in cuts([len(body) for body in loose.bodies], self._limits, self._overhead):
            if places.stop == len(loose) and not ended and len(places) < self._limits.batch_size:
                self._loose = loose.select(places)
            else:
                self.ready.append(loose.select(places))

    def wait(self, batches: Iterable[Batch]) -> None:
        """Take in batches that leave at their own moment."""
        self.waiting.extend(batches)

    def promote(self, now: float) -> None:
        """Put batches whose wait is over first."""
        due = [batch for batch in self.waiting if batch.due <= now]
        if due:
            self.ready.extendleft(reversed(due))
            self.waiting = [batch for batch in self.waiting if batch.due > now]

    def take(self, count: int) -> list[Batch]:
        """Return the first batches."""
        return [self.ready.popleft() for _ in range(count)]

    def clear(self) -> Batch:
        """Return all records that are left."""
        left = joined([*self.ready, *self.waiting, self._loose])
        self.ready.clear()
        self.waiting, self._loose = [], NOTHING
        return left


def cuts(sizes: Sequence[int], limits: Limits, overhead: int = 0) -> Iterator[range]:
    """Yield the places of each request; together they are all places, in order.

    A record that is larger than ``body_bytes`` by itself comes alone: the vendor, not we, gets to refuse it.

    :param sizes: encoded bytes of each record.
    :param overhead: encoded bytes of the envelope; each record but the first costs one more byte for its comma.
    """
    start, total = 0, overhead
    for place, size in enumerate(sizes):
        if place > start and (place - start >= limits.batch_size or total + 1 + size > limits.body_bytes):
            yield range(start, place)
            start, total = place, overhead
        total += size + (1 if place > start else 0)
    if sizes:
        yield range(start, len(sizes))
