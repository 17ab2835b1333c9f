"""The records of a push that are in doubt, until a reading of the vendor has settled them or nothing can."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from math import inf

from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.reconcile.findings import Finding, InDoubt
from airflow_provider_contacts.reconcile.reader import ReadContext, Reader
from airflow_provider_contacts.records.batch import History
from airflow_provider_contacts.records.record import Record
from airflow_provider_contacts.records.record_state import INTERRUPTED, SETTLING, RecordState
from airflow_provider_contacts.records.stored_payloads import holds_replaced
from airflow_provider_contacts.vendor_kit.answers import says_exists
from airflow_provider_contacts.vendor_kit.push_settings import OnUnknown
from airflow_provider_contacts.vendor_kit.results import Result
from airflow_provider_contacts.vendor_kit.vendor import Request

log = logging.getLogger(__name__)

MOST_DOUBTS = 1000
"""Records of this try that are gathered before the vendor is read back; so many are kept in memory."""


class Reconciler:
    """The records in doubt, and the reading about them that goes on.

    ``on_unknown`` is what was asked for, or ``"hold"`` where the vendor has no reads. Nothing is sent during a reading,
    and none begins while a create request is under way: contacts created meanwhile could be taken for those sought.
    """

    def __init__(self, context: ReadContext) -> None:
        self._context, self._vendor, self._settings = context, context.vendor, context.settings
        self._ids, self._clock = context.ids, context.clock
        self.on_unknown: OnUnknown = self._settings.on_unknown
        if self.on_unknown == "reconcile" and self._vendor.read_back is None:
            log.warning("%s documents no way to read contacts back: what is in doubt stays unknown", self._vendor.title)
            self.on_unknown = "hold"
        self._inherited: list[InDoubt] = []
        self._new: list[InDoubt] = []
        self._reader: Reader | None = None
        self._findings: list[Finding] = []

    @property
    def busy(self) -> bool:
        """Whether nothing may be read from the source or sent for now."""
        return bool(self._inherited) or self._reader is not None or len(self._new) >= MOST_DOUBTS

    @property
    def empty(self) -> bool:
        """Whether nothing is in doubt any more."""
        return not self._inherited and not self._new and self._reader is None

    def inherit(self, found: Sequence[tuple[Record, RecordState]], looked_at: float) -> None:
        """Take in records that an earlier execution left in doubt.

        :param looked_at: the moment (monotonic) before their rows were read. Ages are counted back from it where a
            claim must not look too young, and from now where it must not look too old.
        """
        changed = [state.record_identifier for record, state in found if not is_as_sent(record, state)]
        stored = self._context.ledger.payloads(changed) if changed else {}
        sent = {key: payload for key, payload in stored.items() if not holds_replaced(payload)}
        now = self._clock.monotonic()
        for record, state in found:
            said = RecordError(state.error_code or "", None, state.status_message)
            exists = says_exists([said], state.http_status)
            in_doubt = InDoubt(
                record=record,
                state=state,
                sought=record.payload if is_as_sent(record, state) else sent.get(state.record_identifier),
                marked_at=looked_at - (state.age if state.oldest is None else state.oldest),
                absent_from=self._ended_at(state, now) + self._settings.reconcile_delay,
                exists=state.status is Status.UNKNOWN and exists,
            )
            self._inherited.append(in_doubt)

    def _ended_at(self, state: RecordState, now: float) -> float:
        """Return the moment by which the request of an earlier execution had ended."""
        seen = state.status is Status.UNKNOWN and state.error_code not in {None, INTERRUPTED}
        if seen and state.ended is not None:
            return now - state.ended
        return now - state.age + self._settings.request_timeout + SETTLING

    def add(self, record: Record, outcome: Outcome, history: History, *, marked_at: float, exists: bool) -> None:
        """Take in a record whose request has just ended in doubt, with its row as it has just been written."""
        if history.state is None:
            raise ValueError("a record in doubt has a row")
        in_doubt = InDoubt(
            record=record,
            state=history.state,
            sought=record.payload,
            marked_at=marked_at,
            absent_from=self._clock.monotonic() + self._settings.reconcile_delay,
            outcome=outcome,
            exists=exists,
            rounds=history.rounds,
        )
        self._new.append(in_doubt)

    def advance(self, submit: Callable[[Request], int], *, idle: bool, drained: bool, room: int) -> None:
        """Begin a reading if it is time, and ask what may be asked now.

        :param submit: sends a request and returns its tag.
        :param idle: no create request is under way.
        :param drained: nothing is left to be sent, nor will there be.
        :param room: requests that may be under way.
        """
        read_back = self._vendor.read_back if self.on_unknown == "reconcile" else None
        if self._reader is None and read_back is not None and idle:
            in_doubt, self._inherited = self._inherited, []
            if not in_doubt and (drained or len(self._new) >= MOST_DOUBTS):
                in_doubt, self._new = self._new, []
            if in_doubt:
                log.info("%s is read back about %s records in doubt", self._vendor.title, len(in_doubt))
                self._reader = Reader(in_doubt, read_back, self._context)
        if self._reader is not None:
            self._reader.ask(submit, room)
            self._gather(self._reader)

    def on_result(self, tag: int, result: Result) -> None:
        """Take in a result, if it is one of a read."""
        if self._reader is not None:
            if self._reader.on_result(tag, result):
                self._context.sender.renew(tag)
            self._gather(self._reader)

    def _gather(self, reader: Reader) -> None:
        if found := reader.findings():
            counts = sorted(Counter(one.word for one in found).items())
            log.info("Of the records in doubt: %s", ", ".join(f"{word} {count}" for word, count in counts))
        for one in found:
            if one.word == "found":
                self._ids.give(one.id, one.about.record.record_identifier)
        self._findings += found
        if reader.done:
            self._reader = None

    def findings(self) -> Sequence[Finding]:
        """Return what has been found out since the last call."""
        found, self._findings = self._findings, []
        return found

    def next_at(self, now: float) -> float:
        """Return the moment from which :meth:`advance` has something to do; infinity while responses are awaited."""
        return self._reader.next_at(now) if self._reader is not None else inf

    def give_up(self) -> Sequence[Finding]:
        """Return a finding for every record that has none; nothing more is asked about them."""
        left = [*(self._reader.give_up() if self._reader is not None else ()), *self._inherited, *self._new]
        self._reader, self._inherited, self._new = None, [], []
        return [Finding(one, "not_attempted") for one in left]


def is_as_sent(record: Record, state: RecordState) -> bool:
    """Tell whether what the source gives today is what was sent."""
    return not record.errors and record.payload_hash == state.payload_hash
