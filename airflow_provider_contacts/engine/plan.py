"""What a push would do now, without doing it: read, prepare, look up, decide, cut; send and remember nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_contacts.engine.admission import Admission
from airflow_provider_contacts.engine.memory_ledger import MemoryLedger
from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.errors import LedgerError
from airflow_provider_contacts.outcome import Outcome, digest_of
from airflow_provider_contacts.records.item import Item
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.record_state import SETTLING, Holder, RecordState
from airflow_provider_contacts.records.sync_ids import LookFirst, look_at_nothing
from airflow_provider_contacts.vendor_kit.push_settings import PushSettings
from airflow_provider_contacts.vendor_kit.vendor import Limits, Payload

ANSWER_SECONDS = 0.5
"""How long an answer is assumed to take, where a plan says how long a push would."""


@dataclass(slots=True)
class Plan:
    """What outcomes do not tell.

    :param most: keys of each kind that are listed.
    :param clear: list them in clear; else as digests, as logs show them.
    :param num_to_send: records that a push would send now.
    :param num_new: those of them that nothing is remembered of.
    :param num_requests: create requests that it would take if none is refused.
    :param listed: kind to keys: ``new`` and ``again`` are to be sent, the others are statuses.
    """

    most: int = 0
    clear: bool = False
    num_to_send: int = 0
    num_new: int = 0
    num_requests: int = 0
    listed: dict[str, list[str]] = field(default_factory=dict)

    def add(self, item: Item) -> None:
        """Count a record that is to be sent."""
        self.num_to_send += 1
        self.num_new += item.standing is None
        self.show("new" if item.standing is None else "again", item.prepared.record_identifier)

    def show(self, kind: str, identifier: str) -> None:
        """List a key, as long as there is room for its kind."""
        keys = self.listed.setdefault(kind, []) if self.most else []
        if len(keys) < self.most:
            keys.append(identifier if self.clear else digest_of(identifier))

    def minutes(self, limits: Limits) -> float:
        """Return about how long the requests take, each :data:`ANSWER_SECONDS`, at the rate that is known before."""
        seconds = self.num_requests * ANSWER_SECONDS / limits.max_in_flight
        if limits.requests_per_second is not None:
            seconds = max(seconds, self.num_requests / limits.requests_per_second)
        return round(seconds / 60, 2)


class Overlay:
    """What stands in a ledger, under what this plan has decided so far, which it keeps to itself.

    :param under: only asked.
    """

    durable = False

    def __init__(self, under: Ledger) -> None:
        self.token = under.token
        self.sync_run_id = under.sync_run_id
        self._under = under
        self._decided = MemoryLedger(under.token, under.sync_run_id)

    def standing(self, identifiers: Collection[str]) -> Mapping[str, RecordState]:
        """Return what is known of these records."""
        return {**self._under.standing(identifiers), **self._decided.standing(identifiers)}

    def note(self, outcomes: Collection[Outcome]) -> None:
        """Remember the outcomes of records that need no request."""
        self._decided.note(list(outcomes))

    def sent(self, identifiers: Collection[str]) -> Mapping[str, Payload]:
        """Return the payloads that were sent last."""
        return self._under.sent(identifiers)

    def holders(self, record_ids: Collection[str]) -> Collection[Holder]:
        """Return the rows that name one of these contacts."""
        return self._under.holders(record_ids)

    def claim(self, marks: Collection[Any]) -> Collection[str]:
        """Refuse: a plan sends nothing."""
        raise LedgerError(f"a plan claims nothing, not {len(marks)} records")

    def advance(self, outcomes: Collection[Outcome], marks: Collection[Any]) -> Collection[str]:
        """Refuse: a plan sends nothing."""
        raise LedgerError(f"a plan settles and claims nothing, not {len(outcomes)} and {len(marks)} records")

    def settle(self, outcomes: Collection[Outcome]) -> Collection[str]:
        """Refuse: a plan sends nothing."""
        raise LedgerError(f"a plan settles nothing, not {len(outcomes)} records")


@dataclass(slots=True)
class Cutter:
    """Counts the requests that the engine would cut a stream of records into.

    :param overhead: bytes of the envelope.
    """

    limits: Limits
    overhead: int
    count: int = 0
    size: int = field(default=0)

    def cut(self, item: Item) -> bool:
        """Return whether this record begins a new request."""
        if item.not_before:
            return True  # it waits until an earlier request must have ended, and then goes alone
        size = len(item.prepared.body)
        full = self.count >= self.limits.batch_size or self.size + 1 + size > self.limits.body_bytes
        if not self.count or full:
            self.count, self.size = 1, self.overhead + size
            return True
        self.count, self.size = self.count + 1, self.size + 1 + size
        return False


def planned(
    rows: Iterator[Any],
    *,
    mapper: Mapper,
    ledger: Ledger,
    settings: PushSettings,
    plan: Plan,
    look_first: LookFirst = look_at_nothing,
) -> Iterator[Outcome]:
    """Yield the outcomes that need no request; count the others in ``plan``.

    Remembers the identifiers it would send, some hundred bytes each, to tell the duplicates among them.

    :param look_first: see :class:`Admission`.
    """
    overlay, limits = Overlay(ledger), settings.limits
    intake = Admission(
        rows,
        mapper=mapper,
        ledger=overlay,
        # Nothing is read back for a plan: what is in doubt counts as held.
        on_unknown="hold" if settings.on_unknown == "reconcile" else settings.on_unknown,
        active={},
        # As the engine reads: copies of a key within one chunk are decided together.
        chunk_size=min(2000, max(100, limits.batch_size * limits.max_in_flight)),
        settling=settings.request_timeout + SETTLING,
        look_first=look_first,
    )
    cutter = Cutter(limits, sum(map(len, mapper.vendor.envelope)))
    while (taken := intake.take()) is not None:
        if taken.error is not None:
            raise taken.error
        overlay.note(taken.to_note)
        for outcome in taken.outcomes:
            plan.show(outcome.status.value, outcome.record_identifier)
        yield from taken.outcomes
        for item in taken.items:
            plan.add(item)
        plan.num_requests += sum(map(cutter.cut, taken.items))
    intake.keys.warn()
