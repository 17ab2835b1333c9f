"""What comes back for the requests of a push: gathered, judged, and kept until its rows are written."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from math import inf

from airflow_provider_contacts.engine.in_flight import BatchResult, Flight, land
from airflow_provider_contacts.engine.policy import Verdict, judge
from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.engine.stop_reason import Brake, StopReason
from airflow_provider_contacts.errors import LedgerError, RefusedError, RetryLaterError
from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.pacing.bucket import Pace, backoff
from airflow_provider_contacts.reconcile.reconciler import Reconciler
from airflow_provider_contacts.records.vendor_ids import VendorIds
from airflow_provider_contacts.vendor_kit.push_settings import Clock, PushSettings
from airflow_provider_contacts.vendor_kit.refusal_messages import refusal_text, trouble_text
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result, Sender
from airflow_provider_contacts.vendor_kit.vendor import Again, Created, Doubt, Reply, Response, Stop, Vendor

log = logging.getLogger(__name__)

BREAKER = 20
"""Requests in a row that end without a usable answer, after which the vendor is taken to be away."""

LINGER = 0.02
"""Seconds for which results are gathered at most, before they are written together."""

PATIENCE = 0.03
"""The same as a part of the fastest answer's time, where that is longer: places must not stand empty for it."""


class Responses:
    """The results of one push's requests, from the sender to their rows.

    :param flights: requests under way, by tag: whoever sends puts them in, and with :meth:`book` they are gone.
    :param ids: which contact each record was given.
    :param doubts: takes in what comes back for its own questions, and records that end in doubt.
    :param brake: is pulled where a result says that the push cannot go on.
    """

    def __init__(
        self,
        flights: dict[int, Flight],
        *,
        vendor: Vendor,
        sender: Sender,
        ledger: Ledger,
        settings: PushSettings,
        pace: Pace,
        ids: VendorIds,
        doubts: Reconciler,
        brake: Brake,
        clock: Clock,
    ) -> None:
        self._flights = flights
        self._vendor = vendor
        self._sender = sender
        self._ledger = ledger
        self._settings = settings
        self._pace = pace
        self._ids = ids
        self._doubts = doubts
        self._brake = brake
        self._clock = clock
        self._results: dict[int, Result] = {}
        self._landed: dict[int, BatchResult] = {}
        # Seconds of the fastest answer to come.
        self._fastest = inf
        self._silent = 0
        # Causes that the log has named.
        self._causes: set[str] = set()
        self.num_answered = 0
        # Why the last request that got no usable answer got none.
        self.trouble: str | None = None

    @property
    def awaited(self) -> int:
        """How many requests have no result yet."""
        return len(self._flights) - len(self._results)

    @property
    def judged(self) -> int:
        """How many results have been judged and not been booked."""
        return len(self._landed)

    @property
    def written(self) -> list[Outcome]:
        """What wants to be written of those."""
        return [one for landing in self._landed.values() for one in landing.written]

    @property
    def repeats(self) -> bool:
        """Whether some of their records are to be sent again."""
        return any(landing.groups for landing in self._landed.values())

    def collect(self, seconds: float) -> None:
        """Take what has come back; wait up to so many seconds for the first of it."""
        for tag, result in self._sender.collect(seconds):
            if tag in self._flights:
                self._results[tag] = result
                continue
            try:
                self._doubts.land(tag, result)
            except LedgerError as error:
                self._brake.pull(StopReason("not_attempted", error, drain=False))

    def gather(self, seconds: float, *, writing: float) -> None:
        """Wait for results, and a moment longer for those that come right behind: many are written as fast as one.

        Another one is waited for where it can be expected sooner than it would be written by itself.

        :param writing: seconds that the last write took.
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
        """Find out what results make of their records, and of the push."""
        for tag, result in self._results.items():
            if tag not in self._landed:
                self._landed[tag] = self._land(tag, self._flights[tag], result)

    def _land(self, tag: int, flight: Flight, result: Result) -> BatchResult:
        now = self._clock.monotonic()
        result = self._told(result)
        judged = self._explained(
            judge(result, flight.sent, self._vendor, self._settings.assumptions, self._clock.now())
        )
        verdict = self._sifted(replace(judged, replies=list(map(self._settings.secrets.reply, judged.replies))), flight)
        if verdict.usable or verdict.later:
            # A refusal is answered sooner than a batch that is stored, and says nothing of how fast those are.
            stored = all(type(reply) is Created for reply in verdict.replies)
            self._pace.on_response(
                now,
                sent_at=flight.sent_at,
                later=verdict.later,
                seconds=result.seconds if stored and isinstance(result, Response) else None,
                records=len(verdict.replies),
            )
        if not verdict.usable or (verdict.later and not verdict.progress):
            self.trouble = trouble_text(self._vendor.title, result, self._settings.place) or self.trouble
        due = self._due_again(tag, flight, result, verdict)
        landing = land(
            flight,
            result,
            verdict,
            again_due=due,
            sync_run_id=self._ledger.sync_run_id,
            read_back=self._doubts.read_back,
            exists_codes=self._vendor.exists_codes,
        )
        self._watch(verdict, landing)
        return landing

    def _told(self, result: Result) -> Result:
        """Return a result whose cause names the connection, and say each cause once."""
        result = self._settings.place.told(result)
        message = result.trouble if isinstance(result, Response) else result.message
        if message and message not in self._causes:
            self._causes.add(message)
            code = f"http_{result.status}" if isinstance(result, Response) else result.code
            log.warning("%s: %s (%s)", self._vendor.title, message, code)
        return result

    def _explained(self, verdict: Verdict) -> Verdict:
        """Return a verdict whose refusals of everything say what to look at."""
        if not any(isinstance(reply, Stop) and not reply.message for reply in verdict.replies):
            return verdict
        return replace(verdict, replies=[self._with_hint(reply) for reply in verdict.replies])

    def _with_hint(self, reply: Reply) -> Reply:
        if not isinstance(reply, Stop) or reply.message:
            return reply
        return replace(reply, message=refusal_text(self._vendor.title, reply.code, self._settings.place))

    def _sifted(self, verdict: Verdict, flight: Flight) -> Verdict:
        """Return a verdict without the creations whose ids other records hold."""
        replies = self._ids.sift(verdict.replies, [item.prepared.record_identifier for item in flight.group.items])
        if replies == verdict.replies:
            return verdict
        usable = verdict.usable and not all(isinstance(reply, Doubt) for reply in replies)
        return replace(verdict, replies=replies, usable=usable)

    def _refusal(self, code: str, result: Result) -> str:
        # The vendor's own words, which may quote a record, are not among these.
        message = result.message if isinstance(result, NotSent) else None
        return refusal_text(self._vendor.title, code, self._settings.place, message)

    def _due_again(self, tag: int, flight: Flight, result: Result, verdict: Verdict) -> float | None:
        """Return when this flight's records may go again, and halt the push where the result says so."""
        now = self._clock.monotonic()
        stop = next((reply for reply in verdict.replies if isinstance(reply, Stop)), None)
        if stop is not None and verdict.renew and self._sender.renewable and not flight.group.renewed:
            self._sender.renew(tag)
            return now if self._brake.halt is None else None
        if stop is not None:
            self._brake.pull(StopReason("not_attempted", RefusedError(self._refusal(stop.code, result))))
            return None
        wait = verdict.wait or 0.0
        if wait > self._settings.max_wait:
            until = self._clock.now() + timedelta(seconds=wait)
            text = (
                f"{self._who(verdict)} asked to wait {wait:.0f} s (Retry-After), longer than "
                f"max_wait={self._settings.max_wait:g}"
            )
            self._brake.pull(StopReason("rate_limited", RetryLaterError(text, until), drain=not self._ledger.durable))
        self._pace.pause(now + wait)
        if self._brake.halt is not None:
            return None
        if verdict.progress:
            return now + wait
        tries = flight.group.tries + 1
        if tries >= self._settings.request_attempts:
            return None
        return now + max(wait, backoff(tries, self._clock.random))

    def _who(self, verdict: Verdict) -> str:
        """Return who asks for a wait: a request without a token has not reached the vendor's API."""
        tokens = any(isinstance(reply, Again) and reply.code.startswith("token_") for reply in verdict.replies)
        name = f"{self._vendor.title}'s token endpoint" if tokens else self._vendor.title
        return name + self._settings.place.named

    def _watch(self, verdict: Verdict, landing: BatchResult) -> None:
        """Count requests that ended without a usable answer; too many in a row, and the vendor is away."""
        if verdict.usable:
            self._silent = 0
        elif not landing.groups:
            self._silent += 1
            if self._silent == BREAKER:
                log.warning(
                    "%s requests in a row without a usable answer; the rest is not sent. The last: %s",
                    self._silent,
                    self.trouble or "no answer",
                )
                self._brake.pull(StopReason("vendor_unreachable"))

    def give_up(self) -> None:
        """Wait for nothing more: what has no result is interrupted."""
        for tag in self._flights:
            self._results.setdefault(tag, NoAnswer("interrupted"))

    @property
    def landings(self) -> list[BatchResult]:
        """What has been judged and not been booked."""
        return list(self._landed.values())

    def book(self) -> None:
        """Be done with the judged: their rows are written, and their outcomes safe."""
        for tag, landing in list(self._landed.items()):
            if isinstance(self._results[tag], Response):
                self.num_answered += len(self._flights[tag].group.items)
            for doubted in landing.doubts:
                self._doubts.arise(doubted, self._flights[tag].marked_at)
            del self._flights[tag], self._results[tag], self._landed[tag]
