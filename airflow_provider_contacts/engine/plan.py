"""What a push would do now, without doing it: read, prepare, look up, decide, cut; send and remember nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_contacts.engine.admission import Admission
from airflow_provider_contacts.engine.departures import Queue
from airflow_provider_contacts.engine.ports import States
from airflow_provider_contacts.outcome import Outcome, digest_of
from airflow_provider_contacts.records.batch import Batch
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.vendor_kit.push_settings import PushSettings
from airflow_provider_contacts.vendor_kit.vendor import Limits

ANSWER_SECONDS = 0.5
"""How long an answer is assumed to take, where a plan says how long a push would."""


@dataclass(slots=True)
class Plan:
    """What outcomes do not tell."""

    most: int = 0  # keys of each kind that are listed
    clear: bool = False  # list them in clear; else as digests, as logs show them
    num_to_send: int = 0  # records that a push would send now
    num_new: int = 0  # those of them that have no row
    num_requests: int = 0  # create requests that it would take if none is refused
    listed: dict[str, list[str]] = field(default_factory=dict)  # ``new`` and ``again``, to be sent, and statuses

    def add(self, batch: Batch) -> None:
        """Count records that are to be sent."""
        self.num_to_send += len(batch)
        for place, identifier in enumerate(batch.identifiers):
            new = batch.history(place).state is None
            self.num_new += new
            self.show("new" if new else "again", identifier)

    def show(self, kind: str, identifier: str) -> None:
        """List a key, as long as there is room for its kind."""
        keys = self.listed.setdefault(kind, []) if self.most else []
        if len(keys) < self.most:
            keys.append(identifier if self.clear else digest_of(identifier))

    def minutes(self, limits: Limits, shared_rate: float | None = None) -> float:
        """Return about how long the requests take, each :data:`ANSWER_SECONDS`, at the rates that are known before."""
        rates = [limits.max_in_flight / ANSWER_SECONDS, limits.requests_per_second, shared_rate]
        return round(self.num_requests / min(rate for rate in rates if rate is not None) / 60, 2)


def planned(
    rows: Iterator[Any],
    *,
    mapper: Mapper,
    ledger: States,
    settings: PushSettings,
    plan: Plan,
) -> Iterator[Outcome]:
    """Yield the outcomes that need no request; count the others in ``plan``.

    Remembers the identifiers it would send, some hundred bytes each, to tell the duplicates among them.
    """
    limits = settings.limits
    admission = Admission(
        rows,
        mapper=mapper,
        ledger=ledger,
        # Nothing is read back for a plan: what is in doubt counts as held.
        on_unknown="hold" if settings.on_unknown == "reconcile" else settings.on_unknown,
        settings=settings,
    )
    queue = Queue(limits, mapper.vendor.envelope)
    while (chunk := admission.take()) is not None:
        if chunk.error is not None:
            raise chunk.error
        yield from chunk.outcomes
        for batch in (chunk.batch, *chunk.later):
            plan.add(batch)
        queue.add(chunk.batch)
        queue.cut(ended=False)
        plan.num_requests += len(chunk.later) + len(queue.take(len(queue)))
    queue.cut(ended=True)
    plan.num_requests += len(queue.take(len(queue)))
    admission.keys.warn()
