"""The one loop: one stream of rows in, one stream of outcomes out, many requests in flight, constant memory.

Runs in the caller's thread: the ledger, and whatever stands behind it, is touched from there alone. Requests run
behind a :class:`Sender`. A record is claimed durably before its request is handed over; its outcome is durable before
the record can be claimed again, and before it is yielded.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from airflow_provider_contacts.engine.admission import Admission, AdmittedChunk
from airflow_provider_contacts.engine.batching import batch_of
from airflow_provider_contacts.engine.interrupts import Interrupts
from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.engine.queue import NOTHING, Queue
from airflow_provider_contacts.engine.recorder import Recorder
from airflow_provider_contacts.engine.responses import Responses
from airflow_provider_contacts.engine.results import not_sent
from airflow_provider_contacts.engine.stop_reason import Brake, StopReason
from airflow_provider_contacts.errors import (
    BudgetError,
    ContactsError,
    InterruptedPushError,
    LedgerError,
    SourceError,
    SupersededError,
)
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.pacing.adaptive import AdaptivePace
from airflow_provider_contacts.pacing.bucket import Pace
from airflow_provider_contacts.pacing.shared import Budget
from airflow_provider_contacts.reconcile.findings import held, resolve
from airflow_provider_contacts.reconcile.reconciler import Reconciler
from airflow_provider_contacts.records.batch import Batch, Finished, joined
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.record_state import SETTLING
from airflow_provider_contacts.records.sync_ids import LookFirst, look_at_nothing
from airflow_provider_contacts.records.vendor_ids import VendorIds
from airflow_provider_contacts.vendor_kit.push_settings import SYSTEM_CLOCK, Clock, PushSettings, at_destination
from airflow_provider_contacts.vendor_kit.results import Sender
from airflow_provider_contacts.vendor_kit.vendor import Request

log = logging.getLogger(__name__)

FRESH = 5.0
"""Seconds for which a claim allows its request to leave."""

LAST_WORD = 3.0
"""Seconds that requests in flight get when the push is told to stop: Airflow kills after five."""

LOST_CLAIMS = 3
"""Claims that a record may lose to others before it is left to them."""


class Push:
    """One push of one stream of rows to one vendor.

    ``num_requests`` counts create requests, ``num_sent`` the records in them. ``last_words`` is what was finished after
    the caller had stopped listening.

    :param rows: mappings, or anything: what is not a mapping becomes ``invalid``.
    :param stopping: asked often; once it is true, nothing new is sent.
    :param budget: the rate that this push shares with others.
    :param watch: called with the push again and again while it runs, also while nothing comes back.
    :param look_first: see :class:`Admission`.
    :param interrupts: what signals raise, at safe points.
    """

    def __init__(
        self,
        rows: Iterator[Any],
        *,
        mapper: Mapper,
        ledger: Ledger,
        sender: Sender,
        settings: PushSettings,
        stopping: Callable[[], bool] = lambda: False,
        budget: Budget | None = None,
        watch: Callable[[Push], None] = lambda _push: None,
        clock: Clock = SYSTEM_CLOCK,
        look_first: LookFirst = look_at_nothing,
        interrupts: Interrupts | None = None,
    ) -> None:
        self.num_requests = 0
        self.num_sent = 0
        self.last_words: list[Finished] = []
        self._watch = watch
        self._vendor = mapper.vendor
        self._path = mapper.vendor.request_path(mapper.destination)
        self._ledger = ledger
        self._sender = sender
        self._settings = settings
        self._stopping = stopping
        self._clock = clock
        self._interrupts = interrupts or Interrupts()
        limits = settings.limits
        rate = limits.requests_per_second
        self._pace = AdaptivePace(limits.max_in_flight, budget) if rate is None else Pace(rate, limits.burst, budget)
        self._active: dict[str, str] = {}
        self._brake = Brake()
        ids = VendorIds()
        self._reconciler = Reconciler(
            mapper=mapper, ledger=ledger, sender=sender, settings=settings, pace=self._pace, ids=ids, clock=clock
        )
        self._admission = Admission(
            rows,
            mapper=mapper,
            ledger=ledger,
            on_unknown=self._reconciler.on_unknown,
            active=self._active,
            chunk_size=min(2000, max(100, limits.batch_size * limits.max_in_flight)),
            settling=settings.request_timeout + SETTLING,
            monotonic=clock.monotonic,
            look_first=look_first,
            interrupts=self._interrupts,
        )
        self._queue = Queue(limits, sum(map(len, self._vendor.envelope)))
        self._responses = Responses(
            vendor=mapper.vendor,
            sender=sender,
            ledger=ledger,
            settings=at_destination(settings, mapper.destination),
            pace=self._pace,
            ids=ids,
            reconciler=self._reconciler,
            brake=self._brake,
            clock=clock,
        )
        self._recorder = Recorder(
            ledger,
            self._brake,
            clock,
            wait=self._responses.collect,
            stopping=lambda: stopping() or self._interrupts.pending,
        )
        self._exhausted = False
        self._source_error: Exception | None = None
        # Batches whose claim is being written, and records whose claim another execution has won.
        self._claiming: dict[str, Batch] = {}
        self._lost = NOTHING
        # Seconds that the last claims took to be written.
        self._writing = 0.0
        self._finished: deque[Finished] = deque()
        self._drawn = 0

    def run(self) -> Generator[Finished]:
        """Yield records as they are finished, each once; raise at the end what the push could not go on for.

        Closing the iterator early stops the push as a signal would: what is in flight gets three seconds.

        :raises ContactsError: see ``errors``; every record that was read has been yielded before.
        """
        try:
            yield from self._drive()
        except GeneratorExit:
            self._abandon()
            raise
        except BaseException:
            self._abandon()
            yield from self._handed_over()
            raise
        finally:
            self.last_words = list(self._finished)
            self._admission.keys.warn()
        if self._brake.halt is not None and self._brake.halt.error is not None:
            raise self._brake.halt.error
        if self._source_error is not None:
            raise self._source_error

    @property
    def num_read(self) -> int:
        """Rows that the source has given."""
        return self._admission.num_read

    @property
    def trouble(self) -> str | None:
        """Why the last request that got no usable answer got none."""
        return self._responses.trouble

    @property
    def num_answered(self) -> int:
        """Records whose request was answered, each time that it was."""
        return self._responses.num_answered

    @property
    def is_read(self) -> bool:
        """Whether the source is known to have given all its rows."""
        return self._exhausted or self._admission.ended

    def _drive(self) -> Iterator[Finished]:
        while True:
            self._watch(self)
            self._interrupts.check()
            if self._stopping():
                raise InterruptedPushError("the push was told to stop; what had not been answered is unknown")
            self._take_in()
            self._interrupts.check()
            if self._brake.halt:
                self._dismiss()
            else:
                self._launch()
            self._look()
            yield from self._handed_over()
            if self._drained and self._responses.empty and self._reconciler.empty:
                return
            self._responses.gather(self._idle_seconds(), writing=self._writing)
            self._responses.judge()
            if self._brake.halt is None and not self._stopping() and not self._responses.repeats:
                # What good answers have freed is sent with the same write that tells of them.
                self._launch()
            self._write_results()

    def _handed_over(self) -> Iterator[Finished]:
        while self._finished:
            yield self._finished.popleft()

    def _finish(self, outcomes: Sequence[Outcome]) -> None:
        """Hand on records whose rows, if they have any, are written."""
        if outcomes:
            self._finished.append(Finished(others=outcomes))
        for outcome in outcomes:
            self._admission.keys.done(outcome)

    @property
    def _drained(self) -> bool:
        """Whether nothing is left to be sent, nor will there be."""
        return self._exhausted and self._queue.empty

    # From the source to the queue.

    def _take_in(self) -> None:
        """Read one chunk, while the queue is short: between two chunks, signals are heard and results absorbed."""
        if self._brake.halt is not None and not self._brake.halt.drain:
            self._admission.end()
        if not self._hungry():
            return
        chunk = self._admission.take()
        self._exhausted = chunk is None or chunk.error is not None
        if chunk is not None:
            if isinstance(chunk.error, ContactsError) and not isinstance(chunk.error, SourceError):
                note = not isinstance(chunk.error, LedgerError)
                self._brake.pull(StopReason("not_attempted", chunk.error, drain=False, note=note))
            # What was read before a row that the source cannot give is sent.
            self._source_error = chunk.error
            self._admit(chunk)
        self._queue.cut(ended=self._exhausted)

    def _hungry(self) -> bool:
        return (
            not self._exhausted and not self._reconciler.busy and len(self._queue) < self._settings.limits.max_in_flight
        )

    def _admit(self, chunk: AdmittedChunk) -> None:
        """Queue what is to be sent, write the rows of what is decided, and look into what is in doubt."""
        self._queue.add(chunk.batch)
        self._queue.wait(chunk.later)
        # Not finished as others are: another record of the same key may be under way.
        if chunk.outcomes:
            self._finished.append(Finished(others=chunk.outcomes))
        try:
            self._reconciler.inherit(chunk.in_doubt, chunk.looked_at)
        except LedgerError as error:
            self._brake.pull(StopReason("not_attempted", error, drain=False, note=False))
            self._finish([held(record, state, self._ledger.sync_run_id) for record, state in chunk.in_doubt])
        self._recorder.outcomes(chunk.interrupted)
        self._recorder.unsent(chunk.unsent)

    # From the queue to the vendor.

    def _launch(self) -> None:
        if self._reconciler.busy:
            return
        now = self._clock.monotonic()
        self._queue.promote(now)
        try:
            count = self._pace.available(now, min(self._free, len(self._queue.ready)))
        except BudgetError as error:
            self._brake.pull(StopReason("not_attempted", error, drain=not self._ledger.durable))
            return
        if count <= 0:
            return
        begun = self._clock.monotonic()
        named = ((self._batch_id(), batch) for batch in self._queue.take(count))
        self._claiming = {one: replace(batch, batch_id=one, marked_at=begun) for one, batch in named}
        try:
            lost = self._ledger.record_and_claim([one.result for one in self._responses.judged], self._claiming)
        except ContactsError as error:
            # A ConfigError too: another push has just bound this sync_id to another place.
            self._give_up_claims(error)
            return
        self._writing = self._clock.monotonic() - begun
        self._book()
        claimed, self._claiming = self._claiming, {}
        for one, batch in claimed.items():
            places = frozenset(lost.get(one, ()))
            if places:
                self._lost = joined([self._lost, batch.select(sorted(places))])
            self._submit(batch.select([place for place in range(len(batch)) if place not in places]))
        if len(self._lost):
            self._yield_to_others()

    @property
    def _free(self) -> int:
        """How many more requests may be in flight."""
        return int(min(self._settings.limits.max_in_flight, self._pace.window)) - self._responses.num_in_flight

    def _batch_id(self) -> str:
        return f"{self._ledger.token}.{self._tag()}"

    def _tag(self) -> int:
        self._drawn += 1
        return self._drawn

    def _submit(self, batch: Batch) -> None:
        """Send the records of a batch that are claimed."""
        if not len(batch):
            return
        before, after = self._vendor.envelope
        tag, now = self._tag(), self._clock.monotonic()
        self._responses.expect(tag, replace(batch, sent_at=now))
        self._pace.take(now, 1)
        self.num_requests += 1
        self.num_sent += len(batch)
        self._sender.submit(
            tag,
            Request("POST", self._path, before + b",".join(batch.bodies) + after),
            not_after=batch.marked_at + FRESH,
            timeout=self._settings.request_timeout,
        )

    def _give_up_claims(self, error: ContactsError | None) -> None:
        """Give up claims whose fate is not known: nothing was sent, and their rows say so if they can be written."""
        superseded = isinstance(error, SupersededError)
        if error is not None:
            code = error.code if isinstance(error, SupersededError) else "not_attempted"
            self._brake.pull(StopReason(code, error, drain=False, note=not superseded))
        claimed, self._claiming = self._claiming, {}
        outcomes = [one for name, batch in claimed.items() for one in self._not_sent(batch, "not_attempted", name)]
        if not superseded:
            self._recorder.outcomes(outcomes)
        self._finish(outcomes)

    def _yield_to_others(self) -> None:
        """Decide anew about records whose claim was lost; who has lost too often leaves them to the others."""
        lost, self._lost = self._lost, NOTHING
        claims = [lost.history(place).claims + 1 for place in range(len(lost))]
        final = lost.select([place for place, count in enumerate(claims) if count >= LOST_CLAIMS])
        try:
            again = lost.select([place for place, count in enumerate(claims) if count < LOST_CLAIMS])
            self._admit(self._admission.decide_again(again))
        except LedgerError as error:
            self._brake.pull(StopReason("not_attempted", error, drain=False, note=False))
            final = lost
        self._finish(self._not_sent(final, "claimed_elsewhere", None))

    def _not_sent(self, batch: Batch, code: str, batch_id: str | None) -> list[Outcome]:
        return not_sent(batch, code, batch_id, self._ledger.sync_run_id)

    # From the vendor to the outcomes.

    def _idle_seconds(self) -> float:
        """Return how long nothing can happen but a result or a signal."""
        if self._hungry() or (self._brake.halt is not None and self._responses.empty):
            return 0.0
        now = self._clock.monotonic()
        moments = [now + 1.0, self._reconciler.next_at(now)]
        if not self._reconciler.busy:
            moments.append(self._queue.next_due)
            if self._queue.ready and self._free > 0:
                moments.append(self._pace.next_at(now))
        return max(0.0, min(moments) - now)

    def _write_results(self) -> None:
        """Write what is judged in one go, where that has not been done yet."""
        if found := self._responses.judged:
            self._recorder.results([one.result for one in found])
            self._book()

    def _book(self) -> None:
        """Hand on results whose rows are written, and queue what is sent again."""
        for one in self._responses.judged:
            self._queue.wait(one.again)
            finished = one.finished
            if len(finished):
                self._finished.append(finished)
            self._admission.keys.delivered(one.finished_identifiers)
        self._responses.written()

    # Records in doubt.

    def _look(self) -> None:
        """Read the vendor back about records in doubt, and act on what has been found out."""
        if self._brake.halt is None:
            room = self._settings.limits.max_in_flight
            try:
                self._reconciler.advance(self._ask, idle=self._responses.empty, drained=self._drained, room=room)
            except BudgetError as error:
                self._brake.pull(StopReason("not_attempted", error, drain=not self._ledger.durable))
        findings = self._reconciler.findings()
        if not findings:
            return
        resolution = resolve(findings, self._ledger.sync_run_id)
        self._recorder.outcomes(resolution.changed)
        self._recorder.unsent(resolution.unsent)
        self._queue.add(batch_of(resolution.again))
        self._finish(resolution.outcomes)
        self._queue.cut(ended=self._exhausted)

    def _ask(self, request: Request) -> int:
        tag = self._tag()
        self._sender.submit(tag, request, not_after=inf, timeout=self._settings.request_timeout)
        return tag

    # The end.

    def _dismiss(self) -> None:
        """Give every record that waits its outcome: not sent in this try."""
        halt = self._brake.halt or StopReason("not_attempted")
        in_doubt = resolve(self._reconciler.give_up(), self._ledger.sync_run_id)
        self._recorder.outcomes(in_doubt.changed)
        self._finish(in_doubt.outcomes)
        left = self._queue.clear()
        outcomes = self._not_sent(left, halt.code, f"{self._ledger.token}.n")
        states = [left.history(place).state for place in range(len(left))]
        self._recorder.outcomes(
            [one for one, state in zip(outcomes, states, strict=True) if state and state.status is Status.SENDING]
        )
        if halt.note:
            self._recorder.unsent([outcome for outcome in outcomes if outcome.status is Status.FAILED])
        self._finish(outcomes)

    def _abandon(self) -> None:
        """Give requests in flight a last chance, then write everything that is known."""
        self._brake.pull(StopReason("not_attempted", drain=False))
        deadline = self._clock.monotonic() + LAST_WORD
        while self._responses.awaited and (left := deadline - self._clock.monotonic()) > 0:
            self._responses.collect(left)
        self._responses.give_up()
        self._responses.judge()
        self._write_results()
        self._look()
        self._give_up_claims(None)
        self._dismiss()
