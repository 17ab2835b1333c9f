"""The steps of one push's loop. Each is whole: nothing interrupts it but the end of the process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from airflow_provider_contacts.engine.admission import Admission, AdmittedChunk
from airflow_provider_contacts.engine.context import PushContext
from airflow_provider_contacts.engine.departures import Departures, Queue
from airflow_provider_contacts.engine.interrupts import Interrupts
from airflow_provider_contacts.engine.recorder import Recorder
from airflow_provider_contacts.engine.responses import Responses
from airflow_provider_contacts.engine.results import not_sent
from airflow_provider_contacts.errors import BudgetError, ContactsError, LedgerError, SourceError, SupersededError
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.reconcile.findings import resolve
from airflow_provider_contacts.reconcile.reconciler import Reconciler
from airflow_provider_contacts.records.batch import Batch, Finished, batch_of
from airflow_provider_contacts.records.record import outcome_of_state

LOST_CLAIMS = 3
"""Claims that a record may lose to others before it is left to them."""


class Steps:
    """The parts of one push, and what is done with them in each turn.

    ``finished`` holds what is finished, whose rows are written, until it is yielded.
    """

    def __init__(
        self,
        rows: Iterator[Any],
        context: PushContext,
        *,
        stopping: Callable[[], bool],
        interrupts: Interrupts,
    ) -> None:
        self.finished: deque[Finished] = deque()
        self.source_error: Exception | None = None
        self._context, self.exhausted = context, False
        self._brake, self._limits = context.brake, context.settings.limits
        self._sync_run_id = context.ledger.sync_run_id
        self.reconciler = Reconciler(context)
        self.admission = Admission(
            rows,
            mapper=context.mapper,
            ledger=context.ledger,
            on_unknown=self.reconciler.on_unknown,
            settings=context.settings,
            monotonic=context.clock.monotonic,
            interrupts=interrupts,
            counts=context.counts,
        )
        self.queue = Queue(self._limits, context.vendor.envelope)
        self.responses = Responses(context, self.reconciler)
        self.departures = Departures(context, self.queue, self.responses)
        self._recorder = Recorder(context, wait=self.responses.collect, stopping=stopping)
        # Batches whose claim is being written, and the seconds that it took the last time.
        self._claiming: dict[str, Batch] = {}
        self.writing = 0.0

    def _finish(self, outcomes: Sequence[Outcome]) -> None:
        """Hand on records whose rows, if they have any, are written."""
        if outcomes:
            self.finished.append(Finished(others=outcomes))
        for outcome in outcomes:
            self.admission.keys.done(outcome)

    @property
    def done(self) -> bool:
        """Whether every record is finished."""
        return self.drained and self.responses.empty and self.reconciler.empty

    @property
    def drained(self) -> bool:
        """Whether nothing is left to be sent, nor will there be."""
        return self.exhausted and self.queue.empty

    # From the source to the queue.

    def take_in(self) -> None:
        """Read one chunk, while the queue is short: between two chunks, signals are heard and results absorbed."""
        if self._brake.code and not self._brake.drain:
            self.admission.end()
        if not self.hungry():
            return
        chunk = self.admission.take()
        self.exhausted = chunk is None or chunk.error is not None
        if chunk is not None:
            if isinstance(chunk.error, ContactsError) and not isinstance(chunk.error, SourceError):
                self._brake.pull(chunk.error)
            # What was read before a row that the source cannot give is sent.
            self.source_error = chunk.error
            self._admit(chunk)
        self.queue.cut(ended=self.exhausted)

    def hungry(self) -> bool:
        """Tell whether the source is to be read."""
        return not self.exhausted and not self.reconciler.busy and len(self.queue) < self._limits.max_in_flight

    def _admit(self, chunk: AdmittedChunk) -> None:
        """Queue what is to be sent, write the rows of what is decided, and look into what is in doubt."""
        self.queue.add(chunk.batch)
        self.queue.wait(chunk.later)
        # Not finished as others are: another record of the same key may be under way.
        if chunk.outcomes:
            self.finished.append(Finished(others=chunk.outcomes))
        try:
            self.reconciler.inherit(chunk.in_doubt, chunk.looked_at)
        except LedgerError as error:
            self._brake.pull(error)
            self._finish([outcome_of_state(*one, Status.UNKNOWN, self._sync_run_id) for one in chunk.in_doubt])
        self._recorder.outcomes(chunk.interrupted)
        self._recorder.unsent(chunk.unsent)

    # From the queue to the vendor, and back.

    def launch(self) -> None:
        """Claim the batches that may leave, write what is judged with the same commit, and send."""
        if self.reconciler.busy:
            return
        begun = self._context.clock.monotonic()
        self._claiming = self.departures.next()
        if not self._claiming:
            return
        results = [one.result for one in self.responses.judged]
        try:
            lost = self._context.ledger.record_and_claim(results, self._claiming)
        except ContactsError as error:
            # A ConfigError too: another push has just bound this sync_id to another place.
            self.give_up_claims(error)
            return
        self.writing = self._context.clock.monotonic() - begun
        self._book()
        claimed, self._claiming = self._claiming, {}
        self._yield_to_others(self.departures.send(claimed, lost))

    def give_up_claims(self, error: ContactsError | None) -> None:
        """Give up claims whose fate is not known: nothing was sent, and their rows say so if they can be written."""
        if error is not None:
            self._brake.pull(error)
        claimed, self._claiming = self._claiming, {}
        outcomes = [one for name, batch in claimed.items() for one in self._not_sent(batch, "not_attempted", name)]
        if not isinstance(error, SupersededError):
            self._recorder.outcomes(outcomes)
        self._finish(outcomes)

    def _yield_to_others(self, lost: Batch) -> None:
        """Decide anew about records whose claim was lost; who has lost too often leaves them to the others."""
        if not len(lost):
            return
        counts = [lost.history(place).claims + 1 for place in range(len(lost))]
        final = lost.select([place for place, count in enumerate(counts) if count >= LOST_CLAIMS])
        try:
            again = lost.select([place for place, count in enumerate(counts) if count < LOST_CLAIMS])
            self._admit(self.admission.decide_again(again))
        except LedgerError as error:
            self._brake.pull(error)
            final = lost
        self._finish(self._not_sent(final, "claimed_elsewhere", None))

    def _not_sent(self, batch: Batch, code: str, batch_id: str | None) -> list[Outcome]:
        return not_sent(batch, code, batch_id, self._sync_run_id)

    def idle_seconds(self) -> float:
        """Return how long nothing can happen but a result or a signal."""
        if self.hungry() or (self._brake.code and self.responses.empty):
            return 0.0
        now = self._context.clock.monotonic()
        moments = [now + 1.0, self.reconciler.next_at(now)]
        if not self.reconciler.busy:
            moments.append(self.queue.next_due)
            if self.queue.ready and self.departures.free > 0:
                moments.append(self._context.pace.next_at(now))
        return max(0.0, min(moments) - now)

    def write_results(self) -> None:
        """Write what is judged in one go, where that has not been done yet."""
        if found := self.responses.judged:
            self._recorder.results([one.result for one in found])
            self._book()

    def _book(self) -> None:
        """Hand on results whose rows are written, and queue what is sent again."""
        for one in self.responses.judged:
            self.queue.wait(one.again)
            if len(one.finished):
                self.finished.append(one.finished)
            self.admission.keys.delivered(one.identifiers)
        self.responses.written()

    # Records in doubt.

    def look(self) -> None:
        """Read the vendor back about records in doubt, and act on what has been found out."""
        if not self._brake.code:
            idle, room = self.responses.empty, self._limits.max_in_flight
            try:
                self.reconciler.advance(self.departures.ask, idle=idle, drained=self.drained, room=room)
            except BudgetError as error:
                self._brake.pull(error)
        findings = self.reconciler.findings()
        if not findings:
            return
        found = resolve(findings, self._sync_run_id)
        self._recorder.outcomes(found.changed)
        self._recorder.unsent(found.unsent)
        self.queue.add(batch_of([one for one, _ in found.again], [history for _, history in found.again]))
        self._finish(found.outcomes)
        self.queue.cut(ended=self.exhausted)

    # The end.

    def dismiss(self) -> None:
        """Give every record that waits its outcome: not sent in this try."""
        in_doubt = resolve(self.reconciler.give_up(), self._sync_run_id)
        self._recorder.outcomes(in_doubt.changed)
        self._finish(in_doubt.outcomes)
        left = self.queue.clear()
        outcomes = self._not_sent(left, self._brake.code, f"{self._context.ledger.token}.n")
        # Those whose row a dead execution left ``sending`` are in doubt, and their rows say so.
        states = [left.history(place).state for place in range(len(left))]
        pairs = zip(outcomes, states, strict=True)
        self._recorder.outcomes([one for one, state in pairs if state and state.status is Status.SENDING])
        if not isinstance(self._brake.error, SupersededError):
            self._recorder.unsent([outcome for outcome in outcomes if outcome.status is Status.FAILED])
        self._finish(outcomes)
