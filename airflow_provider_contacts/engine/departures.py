"""From the queue to the vendor: which batches may leave now, and how they do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import inf

from msgspec.structs import replace

from airflow_provider_contacts.engine.context import PushContext
from airflow_provider_contacts.engine.queue import Queue
from airflow_provider_contacts.engine.responses import Responses
from airflow_provider_contacts.errors import BudgetError
from airflow_provider_contacts.records.batch import NOTHING, Batch, joined
from airflow_provider_contacts.vendor_kit.vendor import Request

FRESH = 5.0
"""Seconds for which a claim allows its request to leave."""


class Departures:
    """The requests of one push as they leave."""

    def __init__(self, context: PushContext, queue: Queue, responses: Responses) -> None:
        self._context = context
        self._queue = queue
        self._responses = responses
        self._path = context.vendor.request_path(context.mapper.destination)
        self._drawn = 0

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
            count = context.pace.available(now, min(self.free, len(self._queue.ready)))
        except BudgetError as error:
            context.brake.pull(error)
            return {}
        marked_at = context.clock.monotonic()
        batches = [replace(one, batch_id=self._batch_id(), marked_at=marked_at) for one in self._queue.take(count)]
        return {batch.batch_id: batch for batch in batches}

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
        tag, now = self._tag(), self._context.clock.monotonic()
        self._responses.expect(tag, replace(batch, sent_at=now))
        self._context.pace.take(now, 1)
        self._context.counts.num_requests += 1
        self._context.counts.num_sent += len(batch)
        request = Request("POST", self._path, before + b",".join(batch.bodies) + after)
        timeout = self._context.settings.request_timeout
        self._context.sender.submit(tag, request, not_after=batch.marked_at + FRESH, timeout=timeout)

    def ask(self, request: Request) -> int:
        """Send a read request; return its tag."""
        tag, timeout = self._tag(), self._context.settings.request_timeout
        self._context.sender.submit(tag, request, not_after=inf, timeout=timeout)
        return tag

    def _batch_id(self) -> str:
        return f"{self._context.ledger.token}.{self._tag()}"

    def _tag(self) -> int:
        self._drawn += 1
        return self._drawn
