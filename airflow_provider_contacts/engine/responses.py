"""What comes back for the requests of a push: gathered, judged, and kept until its rows are written."""

from __future__ import annotations

import logging
from datetime import timedelta
from math import inf

from msgspec.structs import replace

from airflow_provider_contacts.engine.context import PushContext
from airflow_provider_contacts.engine.policy import Disposition, all_in_doubt, judge
from airflow_provider_contacts.engine.results import Judged, history_after, judged, result_of
from airflow_provider_contacts.errors import LedgerError, RefusedError, RetryLaterError
from airflow_provider_contacts.pacing.bucket import backoff
from airflow_provider_contacts.reconcile.reconciler import Reconciler
from airflow_provider_contacts.records.batch import Batch
from airflow_provider_contacts.records.vendor_ids import but
from airflow_provider_contacts.vendor_kit.push_settings import refusal_text, trouble_text
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import Replies, Response, Stop

log = logging.getLogger(__name__)

BREAKER = 20
"""Requests in a row that end without a usable answer, after which the vendor is taken to be away."""

LINGER = 0.02
"""Seconds for which results are gathered at most, before they are written together."""

PATIENCE = 0.03
"""The same as a part of the fastest answer's time, where that is longer: places must not stand empty for it."""


class Responses:
    """The results of one push's requests, from the sender to their rows."""

    def __init__(self, context: PushContext, reconciler: Reconciler) -> None:
        self._context = context
        self._vendor, self._settings, self._clock = context.vendor, context.settings, context.clock
        self._brake, self._counts = context.brake, context.counts
        self._reconciler = reconciler
        # Requests under way, by tag; and of those that have come back the results, and what these mean.
        self._in_flight: dict[int, Batch] = {}
        self._results: dict[int, Result] = {}
        self._judged: dict[int, Judged] = {}
        # Seconds of the fastest answer; requests in a row without a usable one; causes that the log has named.
        self._fastest = inf
        self._silent = 0
        self._causes: set[str] = set()

    def expect(self, tag: int, batch: Batch) -> None:
        """Await the result of a request."""
        self._in_flight[tag] = batch

    @property
    def num_in_flight(self) -> int:
        """How many requests have not been judged."""
        return len(self._in_flight) - len(self._judged)

    @property
    def empty(self) -> bool:
        """Whether every request is finished and written."""
        return not self._in_flight

    @property
    def awaited(self) -> int:
        """How many requests have no result yet."""
        return len(self._in_flight) - len(self._results)

    @property
    def judged(self) -> list[Judged]:
        """What has been judged and is not written yet."""
        return list(self._judged.values())

    def collect(self, seconds: float) -> None:
        """Take what has come back; wait up to so many seconds for the first of it."""
        for tag, result in self._context.sender.collect(seconds):
            if tag in self._in_flight:
                self._results[tag] = result
                continue
            try:
                self._reconciler.on_result(tag, result)
            except LedgerError as error:
                self._brake.pull(error)

    def gather(self, seconds: float, *, writing: float) -> None:
        """Wait for results, and a moment longer for those that come right behind: many are written as fast as one.

        Another one is waited for where it can be expected sooner than it would be written by itself; ``writing`` are
        the seconds that the last write took.
        """
        self.collect(seconds)
        if not self._results:
            return
        times = [one.seconds for one in self._results.values() if isinstance(one, Response) and one.seconds is not None]
        self._fastest = min([self._fastest, *times])
        until = self._clock.monotonic() + (LINGER if self._fastest < LINGER else PATIENCE * self._fastest)
        while (awaited := self.awaited) > 0:
            left = min(until - self._clock.monotonic(), writing)
            count = len(self._results)
            if left <= 0 or self._fastest / awaited > left:
                return
            self.collect(left)
            if len(self._results) == count:
                return

    def judge(self) -> None:
        """Find out what results mean for their records, and for the push."""
        for tag, result in self._results.items():
            if tag not in self._judged:
                self._judged[tag] = self._judge(tag, self._in_flight[tag], self._named(result))

    def _judge(self, tag: int, batch: Batch, result: Result) -> Judged:
        now, answer = self._clock.monotonic(), result if isinstance(result, Response) else None
        said = judge(result, batch.payloads, self._vendor, self._settings.assumptions, self._clock.now())
        said = self._cleaned(said, batch)
        if said.usable or said.later:
            # A refusal is answered sooner than a batch that is stored, and says nothing of how fast those are.
            seconds = answer.seconds if answer is not None and not said.replies.exceptions else None
            self._context.pace.on_response(
                now, sent_at=batch.sent_at, later=said.later, seconds=seconds, records=len(batch)
            )
        if not said.usable or (said.later and not said.progress):
            told = trouble_text(self._vendor.title, result, self._settings.place)
            self._counts.trouble = told or self._counts.trouble
        due = self._due_again(tag, batch, result, said)
        found = judged(
            result_of(batch, said, answer.status if answer is not None else None),
            said,
            again_due=due,
            sync_run_id=self._context.ledger.sync_run_id,
            read_back=self._reconciler.on_unknown == "reconcile",
        )
        self._count_unusable(said, found)
        return found

    def _named(self, result: Result) -> Result:
        """Return a result whose cause names the connection, and log each cause once."""
        result = self._settings.place.told(result)
        message = result.trouble if isinstance(result, Response) else result.message
        if message and message not in self._causes:
            self._causes.add(message)
            code = f"http_{result.status}" if isinstance(result, Response) else result.code
            log.warning("%s: %s (%s)", self._vendor.title, message, code)
        return result

    def _cleaned(self, said: Disposition, batch: Batch) -> Disposition:
        """Return a disposition fit to be kept.

        A refusal of everything says what to check, secrets are masked, and a contact that another record holds is none.
        """
        hints = {
            place: Stop(reply.code, refusal_text(self._vendor.title, reply.code, self._settings.place))
            for place, reply in said.replies.exceptions.items()
            if isinstance(reply, Stop) and not reply.message
        }
        masked: Replies = self._settings.secrets.replies(but(said.replies, hints))
        replies = self._context.ids.sift(masked, batch.identifiers)
        if replies is said.replies:
            return said
        usable = said.usable and (replies is masked or not all_in_doubt(replies))
        return replace(said, replies=replies, usable=usable)

    def _due_again(self, tag: int, batch: Batch, result: Result, said: Disposition) -> float | None:
        """Return when this batch's records may go again, and halt the push where the result says so."""
        now = self._clock.monotonic()
        stop = next((reply for reply in said.replies.exceptions.values() if isinstance(reply, Stop)), None)
        if stop is not None and said.renew and self._context.sender.renewable and not batch.renewed:
            self._context.sender.renew(tag)
            return now if not self._brake.code else None
        if stop is not None:
            # The vendor's own words, which may quote a record, are not among these.
            message = result.message if isinstance(result, NotSent) else None
            text = refusal_text(self._vendor.title, stop.code, self._settings.place, message)
            self._brake.pull(RefusedError(text))
            return None
        wait = said.wait or 0.0
        if wait > self._settings.max_wait:
            until = self._clock.now() + timedelta(seconds=wait)
            who = f"{self._vendor.title}{self._settings.place.named}"
            text = f"{who} asked to wait {wait:.0f} s (Retry-After), longer than max_wait={self._settings.max_wait:g}"
            self._brake.pull(RetryLaterError(text, until, remembered=self._context.ledger.durable))
        self._context.pace.pause(now + wait)
        if self._brake.code:
            return None
        if said.progress:
            return now + wait
        tries = batch.tries + 1
        return None if tries >= self._settings.request_attempts else now + max(wait, backoff(tries, self._clock.random))

    def _count_unusable(self, said: Disposition, found: Judged) -> None:
        """Count requests that ended without a usable answer; too many in a row, and the vendor is away."""
        if said.usable:
            self._silent = 0
        elif not found.again:
            self._silent += 1
            if self._silent == BREAKER:
                log.warning(
                    "%s requests in a row without a usable answer; the rest is not sent. The last: %s",
                    self._silent,
                    self._counts.trouble or "no answer",
                )
                self._brake.pull(None, "vendor_unreachable")

    def give_up(self) -> None:
        """Wait for nothing more: what has no result is interrupted."""
        for tag in self._in_flight:
            self._results.setdefault(tag, NoAnswer("interrupted"))

    def written(self) -> None:
        """Forget what is judged: its rows are written. Its doubts are looked for from now on."""
        for tag, one in self._judged.items():
            batch = self._in_flight.pop(tag)
            if isinstance(self._results.pop(tag), Response):
                self._counts.num_answered += len(batch)
            for place, exists in one.in_doubt.items():
                outcome = one.result.exceptions[place]
                history = history_after(batch, place, outcome, self._context.ledger.sync_run_id)
                record = batch.record(place)
                self._reconciler.add(record, outcome, history, marked_at=batch.marked_at, exists=exists)
        self._judged.clear()
