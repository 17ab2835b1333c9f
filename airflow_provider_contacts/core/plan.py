"""What a push would do now, without doing it: read, prepare, look up, decide, cut; send and remember nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from airflow_provider_contacts.core.intake import Intake
from airflow_provider_contacts.core.ledger import Ledger
from airflow_provider_contacts.core.outcome import Outcome
from airflow_provider_contacts.core.policy import OnUnknown
from airflow_provider_contacts.core.record import Mapper
from airflow_provider_contacts.core.vendor import Limits

CHUNK = 2000


@dataclass(slots=True)
class Plan:
    """The two counts that outcomes do not tell.

    :param num_to_send: records that a push would send now.
    :param num_requests: create requests that it would take if none is refused.
    """

    num_to_send: int = 0
    num_requests: int = 0


def planned(
    rows: Iterator[Any], *, mapper: Mapper, ledger: Ledger, limits: Limits, on_unknown: OnUnknown, plan: Plan
) -> Iterator[Outcome]:
    """Yield the outcomes that need no request; count the others in ``plan``.

    Remembers the identifiers it would send, some hundred bytes each, to tell the duplicates among them.
    """
    active: set[str] = set()
    intake = Intake(
        rows, mapper=mapper, ledger=ledger, on_unknown=on_unknown, active=active, chunk_size=CHUNK, settling=0.0
    )
    overhead = sum(map(len, mapper.vendor.envelope))
    count, size = 0, overhead
    while (taken := intake.take()) is not None:
        if taken.error is not None:
            raise taken.error
        yield from taken.outcomes
        plan.num_to_send += len(taken.items)
        for item in taken.items:
            bytes_more = len(item.prepared.body) + (1 if count else 0)
            if not count or count >= limits.batch_size or size + bytes_more > limits.body_bytes or item.doubted:
                plan.num_requests += 1
                count, size, bytes_more = 0, overhead, len(item.prepared.body)
            count, size = count + 1, size + bytes_more
