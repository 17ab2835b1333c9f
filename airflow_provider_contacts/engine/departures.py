"""Records that have not been sent: how they are cut into requests, and which of these may leave now."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count
from math import inf

from msgspec.structs import replace

from airflow_provider_contacts.engine.context import PushContext
from airflow_provider_contacts.engine.responses import Responses
from airflow_provider_contacts.errors import BudgetError
from airflow_provider_contacts.records.batch import NOTHING, Batch, joined
from airflow_provider_contacts.vendor_kit.vendor import Limits, Request

FRESH = 5.0
"""Seconds for which a claim allows its request to leave."""


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

    def take(self, number: int) -> list[Batch]:
        """Return the first batches."""
        return [self.ready.popleft() for _ in range(number)]

    def clear(self) -> Batch:
        """Return all records that are left."""
        left = joined([*self.ready, *self.waiting, self._loose])
        self.ready.clear()
        self.waiting, self._loose = [], NOTHING
        return left


def cuts(sizes: Sequence[int], limits: Limits, overhead: int = 0) -> Iterator[range]:
    """Yield the places of each request; together they are all places, in order.

    A record that is larger than ``body_bytes`` by itself comes alone: the vendor, not we, gets to refuse it.
    """
    # Each record but the first costs one more byte for its comma.
    start, total = 0, overhead
    for place, size in enumerate(sizes):
        if place > start and (place - start >= limits.batch_size or total + 1 + size > limits.body_bytes):
            yield range(start, place)
            start, total = place, overhead
        total += size + (1 if place > start else 0)
    if sizes:
        yield range(start, len(sizes))


class Departures:
    """The requests of one push as they leave."""

    def __init__(self, context: PushContext, queue: Queue, responses: Responses) -> None:
        self._context = context
        self._queue = queue
        self._responses = responses
        self._path = context.vendor.request_path(context.mapper.destination)
        self._tags = count(1)

    @property
    def free(self) -> int:
        """How many more requests may be in flight."""
        most = int(min(self._context.settings.limits.max_in_flight, self._context.pace.window))
        return most - self._responses.num_in_flight

    def next(self) -> dict[str, Batch]:
        """Take the batches that may leave now out of the queue, each under its new ``batch_id``."""
        context = self._context
        now = context.clock.monotonic()
        self._queue.promote(now)
        try:
            number = context.pace.available(now, min(self.free, len(self._queue.ready)))
        except BudgetError as error:
            context.brake.pull(error)
            return {}
        marked_at = context.clock.monotonic()
        claims: dict[str, Batch] = {}
        for batch in self._queue.take(number):
            batch_id = f"{context.ledger.token}.{next(self._tags)}"
            claims[batch_id] = replace(batch, batch_id=batch_id, marked_at=marked_at)
        return claims

    def send(self, batches: Mapping[str, Batch], lost: Mapping[str, Collection[int]]) -> Batch:
        """Hand over the records that are claimed; return those whose claim was lost."""
        left = NOTHING
        for batch_id, batch in batches.items():
            places = frozenset(lost.get(batch_id, ()))
            if places:
                left = joined([left, batch.select(sorted(places))])
                batch = batch.select([place for place in range(len(batch)) if place not in places])  # noqa: PLW2901
            if len(batch):
                self._submit(batch)
        return left

    def _submit(self, batch: Batch) -> None:
        before, after = self._context.vendor.envelope
        tag, now = next(self._tags), self._context.clock.monotonic()
        self._responses.expect(tag, replace(batch, sent_at=now))
        self._context.pace.take(now, 1)
        self._context.counts.num_requests += 1
        self._context.counts.num_sent += len(batch)
        request = Request("POST", self._path, before + b",".join(batch.bodies) + after)
        timeout = self._context.settings.request_timeout
        self._context.sender.submit(tag, request, not_after=batch.marked_at + FRESH, timeout=timeout)

    def ask(self, request: Request) -> int:
        """Send a read request; return its tag."""
        tag, timeout = next(self._tags), self._context.settings.request_timeout
        self._context.sender.submit(tag, request, not_after=inf, timeout=timeout)
        return tag
