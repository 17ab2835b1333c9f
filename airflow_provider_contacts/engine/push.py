"""The one loop: one stream of rows in, one stream of outcomes out, many requests in flight, constant memory.

Runs in the caller's thread: the ledger, and whatever stands behind it, is touched from there alone. Requests run
behind a :class:`Sender`. A row is marked durably before its request is handed over; its outcome is durable before
the row can be marked again, and before it is yielded.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from itertools import islice
from math import inf
from typing import Any

from airflow_provider_contacts.engine.admission import Admission, AdmittedChunk
from airflow_provider_contacts.engine.batching import batches
from airflow_provider_contacts.engine.in_flight import Flight, Group, mark, never_sent
from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.engine.responses import Responses
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
from airflow_provider_contacts.pacing.bucket import Pace, backoff
from airflow_provider_contacts.pacing.shared import Budget
from airflow_provider_contacts.reconcile.findings import held, look
from airflow_provider_contacts.reconcile.in_doubt import Ask, Case, Open
from airflow_provider_contacts.reconcile.reconciler import Reconciler
from airflow_provider_contacts.records.item import Item
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.record_state import SETTLING
from airflow_provider_contacts.records.sync_ids import LookFirst, look_at_nothing
from airflow_provider_contacts.records.vendor_ids import VendorIds
from airflow_provider_contacts.vendor_kit.push_settings import SYSTEM_CLOCK, Clock, PushSettings, at_destination
from airflow_provider_contacts.vendor_kit.results import Sender
from airflow_provider_contacts.vendor_kit.vendor import Request

log = logging.getLogger(__name__)

FRESH = 5.0
"""Seconds for which a mark allows its request to leave."""

LAST_WORD = 3.0
"""Seconds that requests in flight get when the push is told to stop: Airflow kills after five."""

LOST_CLAIMS = 3
"""Claims that a record may lose to others before it is left to them."""

SETTLE_ATTEMPTS = 7
"""Times that outcomes are offered to a ledger that is away, with backoff: half a minute or so."""


class Push:
    """One push of one stream of rows to one vendor.

    ``num_requests`` counts create requests, ``num_sent`` the records in them. ``last_words`` are outcomes that were
    settled but could not be yielded; the first of them may have been, if an exception from outside came just then.

    :param rows: mappings, or anything: what is not a mapping becomes ``invalid``.
    :param stopping: asked often; once it is true, nothing new is sent.
    :param budget: the rate that this push shares with others.
    :param watch: called with the push again and again while it runs, also while nothing comes back.
    :param look_first: see :class:`Admission`.
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
    ) -> None:
        self.num_requests = 0
        self.num_sent = 0
        self._watch = watch
        self.last_words: list[Outcome] = []
        self._vendor = mapper.vendor
        self._path = mapper.vendor.request_path(mapper.destination)
        self._ledger = ledger
        self._sender = sender
        self._settings = settings
        self._stopping = stopping
        self._clock = clock
        limits = settings.limits
        rate = limits.requests_per_second
        self._pace = AdaptivePace(limits.max_in_flight, budget) if rate is None else Pace(rate, limits.burst, budget)
        self._active: dict[str, str] = {}
        ids = VendorIds()
        self._doubts = Reconciler(
            mapper=mapper, ledger=ledger, sender=sender, settings=settings, pace=self._pace, ids=ids, clock=clock
        )
        self._intake = Admission(
            rows,
            mapper=mapper,
            ledger=ledger,
            on_unknown=self._doubts.on_unknown,
            active=self._active,
            chunk_size=min(2000, max(100, limits.batch_size * limits.max_in_flight)),
            settling=settings.request_timeout + SETTLING,
            monotonic=clock.monotonic,
            look_first=look_first,
        )
        self._exhausted = False
        self._source_error: Exception | None = None
        self._loose: list[Item] = []
        self._ready: deque[Group] = deque()
        self._waiting: list[Group] = []
        self._claiming: dict[str, Group] = {}
        # Records whose claim was lost to somebody else, until it is decided anew about them.
        self._lost: list[Item] = []
        self._flights: dict[int, Flight] = {}
        self._brake = Brake()
        self._arrivals = Responses(
            self._flights,
            vendor=mapper.vendor,
            sender=sender,
            ledger=ledger,
            settings=at_destination(settings, mapper.destination),
            pace=self._pace,
            ids=ids,
            doubts=self._doubts,
            brake=self._brake,
            clock=clock,
        )
        # Seconds that the last marks took to be written.
        self._writing = 0.0
        self._settled: deque[Outcome] = deque()
        self._patience = SETTLE_ATTEMPTS
        self._drawn = 0

    def run(self) -> Generator[Outcome]:
        """Yield one outcome a record, as they settle; raise at the end what the push could not go on for.

        Closing the iterator early stops the push as a signal would: what is in flight gets three seconds.

        :raises ContactsError: see ``errors``; every record that was read has been yielded before.
        """
        try:
            yield from self._drive()
        except InterruptedPushError:
            self._abandon()
            yield from self._handed_over()
            raise
        except BaseException:
            # A time-out's exception or the caller's closing: no more can be yielded, but all can be written.
            try:
                self._abandon()
            finally:
                self.last_words = once_each(self._settled)
            raise
        finally:
            self._intake.keys.warn()
        if self._brake.halt is not None and self._brake.halt.error is not None:
            raise self._brake.halt.error
        if self._source_error is not None:
            raise self._source_error

    @property
    def num_read(self) -> int:
        """Rows that the source has given."""
        return self._intake.num_read

    @property
    def trouble(self) -> str | None:
        """Why the last request that got no usable answer got none."""
        return self._arrivals.trouble

    @property
    def num_answered(self) -> int:
        """Records whose request was answered, each time that it was."""
        return self._arrivals.num_answered

    @property
    def is_read(self) -> bool:
        """Whether the source is known to have given all its rows."""
        return self._exhausted or self._intake.ended

    def _drive(self) -> Iterator[Outcome]:
        while True:
            self._watch(self)
            if self._stopping():
                raise InterruptedPushError("the push was told to stop; what had not been answered is unknown")
            self._take_in()
            if self._brake.halt:
                self._dismiss()
            else:
                self._launch()
            self._look()
            yield from self._handed_over()
            if self._drained and not self._flights and self._doubts.empty:
                return
            self._arrivals.gather(self._idle_seconds(), writing=self._writing)
            self._arrivals.judge()
            if self._brake.halt is None and not self._stopping() and not self._arrivals.repeats:
                # What good answers have freed is sent with the same write that tells of them.
                self._launch()
            self._write_results()

    def _handed_over(self) -> Iterator[Outcome]:
        """Yield what is settled; what is not yielded when the caller stops listening stays for the last words.

        An exception from outside can come at any instruction: an outcome leaves its queue only when it was taken.
        """
        while self._settled:
            try:
                yield self._settled[0]
            except GeneratorExit:
                self._settled.popleft()
                raise
            self._settled.popleft()

    def _finish(self, outcomes: Iterable[Outcome]) -> None:
        """Be done with records: their rows, if they have any, are written."""
        finished = list(outcomes)
        # First of all: who is interrupted may find a record twice, and must not lose it.
        self._settled.extend(finished)
        for outcome in finished:
            self._intake.keys.done(outcome)

    @property
    def _drained(self) -> bool:
        """Whether nothing is left to be sent, nor will there be."""
        return self._exhausted and not (self._ready or self._waiting or self._loose)

    # From the source to the queue.

    def _take_in(self) -> None:
        """Read one chunk, while the queue is short: between two chunks, signals are heard and results absorbed."""
        if self._brake.halt is not None and not self._brake.halt.drain:
            self._intake.end()
        if self._hungry():
            self._take(self._intake.take())

    def _take(self, taken: AdmittedChunk | None) -> None:
        if taken is not None:
            if isinstance(taken.error, ContactsError) and not isinstance(taken.error, SourceError):
                note = not isinstance(taken.error, LedgerError)
                self._brake.pull(StopReason("not_attempted", taken.error, drain=False, note=note))
            # What was read before a row that the source cannot give is sent.
            self._source_error = taken.error
            self._loose.extend(taken.items)
            self._record(taken)
        self._intake.handed_over()
        if taken is None or taken.error is not None:
            self._exhausted = True
        self._cut()

    def _hungry(self) -> bool:
        queued = len(self._ready) + len(self._waiting)
        return not self._exhausted and not self._doubts.busy and queued < self._settings.limits.max_in_flight

    def _record(self, taken: AdmittedChunk) -> None:
        """Write the rows of what was decided without sending, and hand it on; doubts go where they are looked into."""
        # Before anything is written, which may be interrupted. Not finished as others are: another record of the same
        # key may be under way.
        self._settled.extend(taken.outcomes)
        try:
            self._doubts.inherit(taken.doubts, taken.looked_at)
        except BaseException as error:
            self._finish(held(record, standing, self._ledger.sync_run_id) for record, standing in taken.doubts)
            if not isinstance(error, LedgerError):
                raise
            self._brake.pull(StopReason("not_attempted", error, drain=False, note=False))
        if taken.to_settle:
            self._settle(taken.to_settle)
        if taken.to_note:
            self._note(taken.to_note)

    def _cut(self) -> None:
        """Cut loose records into groups; an unfilled last one waits for more, while there is more."""
        limits = self._settings.limits
        due = [item for item in self._loose if not item.not_before]
        early = [item for item in self._loose if item.not_before]
        now = self._clock.monotonic()
        # A doubt is sent again alone and only when the earlier request must have ended.
        self._waiting.extend(Group(items=(item,), due=now + item.not_before) for item in early)
        cut = list(
            batches(
                due,
                batch_size=limits.batch_size,
                body_bytes=limits.body_bytes,
                size_of=lambda item: len(item.prepared.body),
                overhead=sum(map(len, self._vendor.envelope)),
            )
        )
        left = cut.pop() if cut and not self._exhausted and len(cut[-1]) < limits.batch_size else []
        self._ready.extend([Group(items=tuple(items)) for items in cut])
        self._loose = left

    # From the queue to the vendor.

    def _launch(self) -> None:
        if self._doubts.busy:
            return
        now = self._clock.monotonic()
        self._promote(now)
        try:
            count = self._pace.available(now, min(self._free, len(self._ready)))
        except BudgetError as error:
            self._brake.pull(StopReason("not_attempted", error, drain=not self._ledger.durable))
            return
        if count <= 0:
            return
        begun = self._clock.monotonic()
        self._claiming = {self._batch_id(): group for group in islice(self._ready, count)}
        for _ in range(count):
            self._ready.popleft()
        marks = [mark(item, batch_id) for batch_id, group in self._claiming.items() for item in group.items]
        answered = self._arrivals.written
        try:
            claimed = set(self._ledger.advance(answered, marks) if answered else self._ledger.claim(marks))
        except ContactsError as error:
            # A ConfigError too: another push has just bound this sync_id to another place.
            self._unclaim(error)
            return
        self._writing = self._clock.monotonic() - begun
        self._book()
        self._send(claimed, begun)
        if self._lost:
            self._yield_to_others()

    def _send(self, claimed: Collection[str], begun: float) -> None:
        """Hand over the requests whose marks are written, without the records that were not claimed."""
        for batch_id, wanted in list(self._claiming.items()):
            kept = [item for item in wanted.items if item.prepared.record_identifier in claimed]
            group = wanted
            if len(kept) < len(wanted.items):
                self._lost.extend(item for item in wanted.items if item.prepared.record_identifier not in claimed)
                group = self._with(wanted, kept)
            if kept:
                self._submit(group, batch_id, begun)
            del self._claiming[batch_id]

    @property
    def _free(self) -> int:
        """How many more requests may be in flight."""
        most = int(min(self._settings.limits.max_in_flight, self._pace.window))
        return most - len(self._flights) + self._arrivals.judged

    def _promote(self, now: float) -> None:
        """Put groups whose wait is over first in the queue."""
        due = [group for group in self._waiting if group.due <= now]
        if due:
            self._ready.extendleft(reversed(due))
            self._waiting = [group for group in self._waiting if group.due > now]

    def _batch_id(self) -> str:
        self._drawn += 1
        return f"{self._ledger.token}.{self._drawn}"

    @staticmethod
    def _with(group: Group, items: Iterable[Item]) -> Group:
        return Group(items=tuple(items), tries=group.tries, renewed=group.renewed, due=group.due)

    def _submit(self, group: Group, batch_id: str, marked_at: float) -> None:
        before, after = self._vendor.envelope
        body = before + b",".join([item.prepared.body for item in group.items]) + after
        tag, now = self._drawn_tag(), self._clock.monotonic()
        self._flights[tag] = Flight(group=group, batch_id=batch_id, marked_at=marked_at, sent_at=now)
        self._pace.take(now, 1)
        self.num_requests += 1
        self.num_sent += len(group.items)
        self._sender.submit(
            tag,
            Request("POST", self._path, body),
            not_after=marked_at + FRESH,
            timeout=self._settings.request_timeout,
        )

    def _drawn_tag(self) -> int:
        self._drawn += 1
        return self._drawn

    def _unclaim(self, error: ContactsError | None) -> None:
        """Give up on marks whose fate is not known: nothing was sent, and their rows say so if they can be written.

        :param error: of the claim; ``None`` where it was interrupted.
        """
        superseded = isinstance(error, SupersededError)
        if error is not None:
            code = error.code if isinstance(error, SupersededError) else "not_attempted"
            self._brake.pull(StopReason(code, error, drain=False, note=not superseded))
        flying = {flight.batch_id for flight in self._flights.values()}
        given_up = [(one, batch_id) for batch_id, group in self._claiming.items() for one in group.items]
        outcomes = [self._never_sent(one, "not_attempted", batch) for one, batch in given_up if batch not in flying]
        self._claiming = {}
        if not superseded:
            self._settle(outcomes)
        self._finish(outcomes)

    def _yield_to_others(self) -> None:
        lost = self._lost
        final = [item for item in lost if item.claims + 1 >= LOST_CLAIMS]
        try:
            taken = self._intake.decide_again([item for item in lost if item.claims + 1 < LOST_CLAIMS])
        except LedgerError as error:
            self._brake.pull(StopReason("not_attempted", error, drain=False, note=False))
            final, taken = lost, AdmittedChunk()
        now = self._clock.monotonic()
        self._waiting.extend([Group(items=(item,), due=now + item.not_before) for item in taken.items])
        self._record(taken)
        self._finish(self._never_sent(item, "claimed_elsewhere", None) for item in final)
        self._lost = []

    def _never_sent(self, item: Item, code: str, batch_id: str | None) -> Outcome:
        return never_sent(item, code, batch_id, self._ledger.sync_run_id)

    # From the vendor to the outcomes.

    def _idle_seconds(self) -> float:
        """Return how long nothing can happen but a result or a signal."""
        if self._hungry() or (self._brake.halt is not None and not self._flights):
            return 0.0
        now = self._clock.monotonic()
        moments = [now + 1.0, self._doubts.next_at(now)]
        if self._doubts.busy:
            return max(0.0, min(moments) - now)
        if self._waiting:
            moments.append(min(group.due for group in self._waiting))
        if self._ready and self._free > 0:
            moments.append(self._pace.next_at(now))
        return max(0.0, min(moments) - now)

    def _absorb(self) -> None:
        """Turn results into outcomes, and write them."""
        self._arrivals.judge()
        self._write_results()

    def _write_results(self) -> None:
        """Write outcomes in one go, where that has not been done yet."""
        if self._arrivals.judged:
            self._settle(self._arrivals.written)
            self._book()

    def _book(self) -> None:
        """Be done with results whose rows are written, and queue what is sent again."""
        landings = self._arrivals.landings
        self._waiting.extend([group for landing in landings for group in landing.groups])
        self._finish(outcome for landing in landings for outcome in landing.outcomes)
        self._arrivals.book()

    # Records in doubt.

    def _look(self) -> None:
        """Read the vendor back about records in doubt, and act on what has been found out."""
        if self._brake.halt is None:
            room = self._settings.limits.max_in_flight
            try:
                self._doubts.advance(self._ask, idle=not self._flights, drained=self._drained, room=room)
            except BudgetError as error:
                self._brake.pull(StopReason("not_attempted", error, drain=not self._ledger.durable))
        if not self._doubts.findings:
            return
        looked = look(self._doubts.findings, self._ledger.sync_run_id)
        self._settle(looked.settled)
        if looked.noted:
            self._note(looked.noted)
        self._loose.extend(looked.items)
        self._finish(looked.outcomes)
        # Only now: who is interrupted before must find them again.
        self._doubts.written()
        self._cut()

    def _ask(self, ask: Ask) -> int:
        tag = self._drawn_tag()
        timeout = self._settings.request_timeout
        self._sender.submit(tag, ask.request, not_after=inf, timeout=timeout)
        return tag

    # The end.

    def _dismiss(self) -> None:
        """Give every record that waits its outcome: not sent in this try."""
        halt = self._brake.halt or StopReason("not_attempted")
        items = [item for group in (*self._ready, *self._waiting) for item in group.items] + self._loose
        self._hold(self._doubts.give_up())
        if not items:
            return
        outcomes = [self._never_sent(item, halt.code, f"{self._ledger.token}.n") for item in items]
        inherited = [
            o for o, i in zip(outcomes, items, strict=True) if i.standing and i.standing.status is Status.SENDING
        ]
        if inherited:
            self._settle(inherited)
        if halt.note:
            self._note([outcome for outcome in outcomes if outcome.status is Status.FAILED])
        self._finish(outcomes)
        self._ready.clear()
        self._waiting.clear()
        self._loose = []

    def _hold(self, cases: Sequence[Case]) -> None:
        """Give every record that could not be looked for its outcome: in doubt, as it was."""
        looked = look([Open(case, "not_attempted") for case in cases], self._ledger.sync_run_id)
        if looked.settled:
            self._settle(looked.settled)
        self._finish(looked.outcomes)

    def _abandon(self) -> None:
        """Give requests in flight a last chance, then write everything that is known."""
        self._brake.pull(StopReason("not_attempted", drain=False))
        deadline = self._clock.monotonic() + LAST_WORD
        while self._arrivals.awaited and (left := deadline - self._clock.monotonic()) > 0:
            self._arrivals.collect(left)
        self._arrivals.give_up()
        self._absorb()
        self._look()
        if self._claiming:
            self._unclaim(None)
        self._finish(self._never_sent(item, "claimed_elsewhere", None) for item in self._lost)
        self._lost = []
        self._dismiss()
        self._intake.end()
        if not self._exhausted:
            # What has been read has an outcome, too. Last of all: it asks the ledger, which may be what failed.
            self._take(self._intake.take_last())
            self._dismiss()

    def _settle(self, outcomes: list[Outcome]) -> None:
        """Write outcomes, patiently: what was sent must not be forgotten because a database restarts."""
        for attempt in range(1, self._patience + 1):
            try:
                self._ledger.settle(outcomes)
            except SupersededError as error:
                self._brake.pull(StopReason(error.code, error, drain=False, note=False))
                break
            except LedgerError as error:
                self._brake.pull(StopReason("not_attempted", error, drain=False))
                if attempt == self._patience or not self._rest(backoff(attempt, self._clock.random)):
                    break
            else:
                self._patience = SETTLE_ATTEMPTS
                return
        # What it was waited for once in vain is not waited for again, for each request that still comes back.
        self._patience = 1
        log.error(
            "%s outcomes could not be written; their rows stay as marked, and the next try holds them", len(outcomes)
        )

    def _rest(self, seconds: float) -> bool:
        """Let time pass, whatever comes back meanwhile; return ``False`` when the push is told to stop."""
        until = self._clock.monotonic() + seconds
        while not self._stopping():
            left = until - self._clock.monotonic()
            if left <= 0:
                return True
            self._arrivals.collect(left)
        return False

    def _note(self, outcomes: list[Outcome]) -> None:
        try:
            self._ledger.note(outcomes)
        except LedgerError as error:
            self._brake.pull(StopReason("not_attempted", error, drain=False, note=False))
            log.warning("%s records that were not sent have no row: the ledger is away", len(outcomes))


def once_each(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return one outcome a record: who was interrupted between two steps may have done the first one twice."""
    found: dict[int, Outcome] = {}
    for outcome in outcomes:
        found.setdefault(outcome.row_index, outcome)
    return list(found.values())
