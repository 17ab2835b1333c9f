"""Look for the same records under other sync ids: a task that was renamed must not send everybody again."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import select  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.sql.lookups import Lookup, chunks
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.sync_ids import Known

if TYPE_CHECKING:
    from sqlalchemy import Connection

SAMPLE = 32
"""Records that every other ``sync_id`` is asked for: of one that has delivered half, that it knows none of these will
not happen once in four thousand million looks."""

MOST = 10
"""Other sync ids that are asked for all of the records, those that know most of the sample first."""


def known_elsewhere(
    connection: Connection, tables: Tables, binding: Binding, hashes: Mapping[str, str]
) -> Known | None:
    """Return the other ``sync_id`` that has delivered most of these records, if at least half, to the same place.

    Each look at the records is a step in their primary key: one for every other ``sync_id`` of the same place and
    record of a sample, and one for every record and ``sync_id`` that knows most of those.

    :param hashes: identifier to the digest of the payload.
    """
    sample = random.sample(list(hashes), min(SAMPLE, len(hashes)))
    records = tables.records.c
    lookup = Lookup(tables, (records.record_identifier, records.payload_hash, records.status), alone=True)

    def count(sync_no: int, wanted: Collection[str]) -> int:
        """Return how many of the wanted records a ``sync_id`` has delivered with these very payloads."""
        found = (row for some in chunks(wanted) for row in lookup.run(connection, sync_no, some))
        return sum(
            row.status == Status.SUCCEEDED.value and row.payload_hash == hashes.get(row.record_identifier)
            for row in found
        )

    others = of_the_same_place(connection, tables, binding)
    hits = {number: known for number in others if (known := count(number, sample))}
    counts = [
        Known(others[number], delivered, len(hashes), binding.place())
        for number in sorted(hits, key=hits.__getitem__, reverse=True)[:MOST]
        if 2 * (delivered := count(number, hashes)) >= len(hashes)
    ]
    return max(counts, key=lambda known: known.num_delivered, default=None)


def of_the_same_place(connection: Connection, tables: Tables, binding: Binding) -> dict[int, str]:
    """Return the other sync ids that remember records of the same destination, by their numbers."""
    syncs = tables.syncs.c
    query = select(syncs.sync_no, syncs.sync_id).where(
        syncs.sync_id != binding.sync_id,
        syncs.destination == binding.destination,
        syncs.destination_host == binding.destination_host,
        syncs.destination_object.is_not_distinct_from(binding.destination_object),
    )
    return {row.sync_no: row.sync_id for row in connection.execute(query.order_by(syncs.sync_id))}
