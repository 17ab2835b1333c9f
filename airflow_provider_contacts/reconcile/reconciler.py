"""The records of a push that are in doubt, until a reading of the vendor has settled them or nothing can."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf
from typing import Protocol, TypeGuard

from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.pacing.bucket import Pace
from airflow_provider_contacts.reconcile.in_doubt import Ask, Case, Finding, Found, fit_to_keep
from airflow_provider_contacts.reconcile.reading import Reading, summary_of
from airflow_provider_contacts.records.batch import History
from airflow_provider_contacts.records.mapper import InvalidRecord, Mapper, Prepared
from airflow_provider_contacts.records.record_state import INTERRUPTED, SETTLING, Holder, RecordState
from airflow_provider_contacts.records.stored_payloads import holds_replaced
from airflow_provider_contacts.records.vendor_ids import VendorIds
from airflow_provider_contacts.vendor_kit.answers import says_exists
from airflow_provider_contacts.vendor_kit.push_settings import Clock, OnUnknown, PushSettings
from airflow_provider_contacts.vendor_kit.results import Result, Sender
from airflow_provider_contacts.vendor_kit.vendor import Payload

log = logging.getLogger(__name__)

MOST_DOUBTS = 1000
"""Doubts born in this try that are gathered before they are looked into; so many are kept in memory."""


class Evidence(Protocol):
    """What the reconciler asks of a ledger."""

    def payloads(self, identifiers: Collection[str]) -> Mapping[str, Payload]:
        """Return the payloads that were sent last, of those records for which one is stored."""

    def holders(self, record_ids: Collection[str]) -> Collection[Holder]:
        """Return the ``succeeded`` rows of this destination that name one of these contacts."""


class Reconciler:
    """What is in doubt, and the reading that goes on about it.

    ``on_unknown`` is what can be done about doubts: what was asked for, or ``"hold"`` where the vendor has no reads.

    Nothing is sent while a reading goes on, and none begins while a create request is under way: contacts that other
    requests create meanwhile could be taken for those sought.
    """

    def __init__(
        self,
        *,
        mapper: Mapper,
        ledger: Evidence,
        sender: Sender,
        settings: PushSettings,
        pace: Pace,
        ids: VendorIds,
        clock: Clock,
    ) -> None:
        self._vendor = mapper.vendor
        self._destination = mapper.destination
        self._ledger = ledger
        self._sender = sender
        self._settings = settings
        self._pace = pace
        self._ids = ids
        self._clock = clock
        wanted = settings.on_unknown == "reconcile"
        self._words = mapper.vendor.read_back if wanted else None
        self.on_unknown: OnUnknown = "hold" if wanted and self._words is None else settings.on_unknown
        if wanted and self._words is None:
            log.warning("%s documents no way to read contacts back: what is in doubt stays unknown", self._vendor.title)
        self._inherited: list[Case] = []
        self._born: list[Case] = []
        self._reading: Reading | None = None
        self._asked: dict[int, Ask] = {}
        self._findings: list[Finding] = []

    @property
    def read_back(self) -> bool:
        """Whether doubts are looked into at all."""
        return self._words is not None

    @property
    def busy(self) -> bool:
        """Whether nothing may be read from the source or sent for now."""
        return bool(self._inherited or self._reading is not None or len(self._born) >= MOST_DOUBTS)

    @property
    def empty(self) -> bool:
        """Whether nothing is in doubt any more."""
        return not (self._inherited or self._born or self._reading is not None)

    def inherit(self, found: Sequence[tuple[Prepared | InvalidRecord, RecordState]], looked_at: float) -> None:
        """Take in records that an earlier execution left in doubt.

        :param looked_at: the moment (monotonic) before their rows were read. From it ages are counted back where a
            mark must not look too young, and from now where it must not look too old.
        :raises LedgerError: where the payloads that were sent cannot be read.
        """
        changed = [standing.record_identifier for record, standing in found if not is_as_sent(record, standing)]
        sent = self._ledger.payloads(changed) if changed else {}
        now = self._clock.monotonic()
        for record, standing in found:
            stored = sent.get(standing.record_identifier)
            sought = stored if stored is not None and not holds_replaced(stored) else None
            oldest = standing.oldest
            self._inherited.append(
                Case(
                    record=record,
                    standing=standing,
                    sought=record.payload if is_as_sent(record, standing) else sought,
                    marked_at=looked_at - (standing.age if oldest is None else oldest),
                    exact=oldest is None,
                    absent_from=self._ended_at(standing, now) + self._settings.reconcile_delay,
                    exists=self._exists(standing),
                )
            )

    def _exists(self, standing: RecordState) -> bool:
        """Tell whether the doubt is the vendor's word that the contact exists."""
        said = RecordError(standing.error_code or "", None, standing.status_message)
        return standing.status is Status.UNKNOWN and says_exists(
            [said], standing.http_status, self._vendor.exists_codes
        )

    def _ended_at(self, standing: RecordState, now: float) -> float:
        """Return the moment by which the request of an earlier execution had come to its end."""
        seen = standing.status is Status.UNKNOWN and standing.error_code not in {None, INTERRUPTED}
        if seen and standing.ended is not None:
            return now - standing.ended
        return now - standing.age + self._settings.request_timeout + SETTLING

    def arise(self, record: Prepared, outcome: Outcome, history: History, *, marked_at: float, exists: bool) -> None:
        """Take in a record whose request has just ended in doubt.

        :param history: with its row as it has just been written.
        :param exists: the vendor refused it, saying that it exists: then no reading proves that it does not.
        """
        if history.state is None:
            raise ValueError("a record in doubt has a row")
        self._born.append(
            Case(
                record=record,
                standing=history.state,
                sought=record.payload,
                marked_at=marked_at,
                absent_from=self._clock.monotonic() + self._settings.reconcile_delay,
                doubt=outcome,
                exists=exists,
                rounds=history.rounds,
            )
        )

    def advance(self, submit: Callable[[Ask], int], *, idle: bool, drained: bool, room: int) -> None:
        """Begin a reading if it is time, and ask what may be asked now.

        :param submit: sends a request and returns its tag.
        :param idle: no create request is under way.
        :param drained: nothing is left to be sent, nor will there be.
        :param room: requests that may be under way.
        """
        if self._reading is None and idle:
            self._begin(drained=drained)
        if self._reading is not None:
            for ask in self._reading.take(self._clock.monotonic(), room - len(self._asked)):
                self._asked[submit(ask)] = ask
            self._gather()

    def _begin(self, *, drained: bool) -> None:
        cases = self._inherited
        if not cases and (drained or len(self._born) >= MOST_DOUBTS):
            cases, self._born = self._born, []
        if not cases or self._words is None:
            return
        self._inherited = []
        log.info("%s is read back about %s records in doubt", self._vendor.title, len(cases))
        self._reading = Reading(
            cases,
            vendor=self._vendor,
            read_back=self._words,
            destination=self._destination,
            settings=self._settings,
            pace=self._pace,
            clock=self._clock,
            held=self._held,
            renewable=self._sender.renewable,
        )

    def _held(self, record_ids: Collection[str]) -> list[Holder]:
        """Return the records, of this push and of all that the ledger knows, that hold one of these contacts."""
        return [*self._ledger.holders(record_ids), *self._ids.holders(record_ids)]

    def land(self, tag: int, result: Result) -> bool:
        """Take in a result, if it is one of a read; return whether it was.

        :raises LedgerError: where the ledger cannot say which contacts are held.
        """
        ask = self._asked.pop(tag, None)
        if ask is not None and self._reading is not None:
            if self._reading.land(ask, result):
                self._sender.renew(tag)
            self._gather()
        return ask is not None

    def _gather(self) -> None:
        if self._reading is not None:
            found = self._reading.findings()
            if found:
                log.info("Of the records in doubt: %s", summary_of(found))
            for one in (fit_to_keep(finding, self._settings.secrets) for finding in found):
                if isinstance(one, Found):
                    self._ids.give(one.id, one.case.record.record_identifier)
                self._findings.append(one)
            if self._reading.done:
                self._reading = None

    @property
    def findings(self) -> Sequence[Finding]:
        """What has been found out and is not written yet."""
        return self._findings

    def written(self) -> None:
        """Forget the findings: their rows and outcomes are safe."""
        self._findings = []

    def next_at(self, now: float) -> float:
        """Return the moment from which :meth:`advance` has something to do; infinity while answers are awaited."""
        return self._reading.next_at(now) if self._reading is not None else inf

    def give_up(self) -> list[Case]:
        """Return every case that has no finding; nothing more is asked about them."""
        reading, self._reading = self._reading, None
        left = [*(reading.give_up() if reading is not None else ()), *self._inherited, *self._born]
        self._inherited, self._born = [], []
        self._asked.clear()
        return left


def is_as_sent(record: Prepared | InvalidRecord, standing: RecordState) -> TypeGuard[Prepared]:
    """Tell whether what the source gives today is what was sent."""
    return isinstance(record, Prepared) and record.payload_hash == standing.payload_hash
