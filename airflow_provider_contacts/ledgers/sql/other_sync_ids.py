"""Look for the same records under other sync ids: a task that was renamed must not send everybody again."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.sql.destination_guard import BindingCheck, binding_of, first_row
from airflow_provider_contacts.ledgers.sql.statements import keys_for, rows_by_key
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.sync_ids import Known

if TYPE_CHECKING:
    from sqlalchemy import Connection

CHUNK = 1000

SAMPLE = 32
"""Records that every other ``sync_id`` is asked for: of one that has delivered half, that it knows none of these will
not happen once in four thousand million looks."""

MOST = 10
"""Other sync ids that are asked for all of the records, those that know most of the sample first."""


def known_elsewhere(
    connection: Connection, tables: Tables, binding: Binding, hashes: Mapping[str, str]
) -> Known | None:
    """Return the other ``sync_id`` that has delivered most of these records, if at least half, to the same place.

    Nothing where the ``sync_id`` has rows of its own. Each look is a step in the primary key: one for every other
    ``sync_id``, one for every one of the same place and record of a sample, and one for every record and ``sync_id``
    that knows most of those.

    :param hashes: identifier to the digest of the payload.
    """
    if not hashes or not BindingCheck(tables, binding).is_new(connection):
        return None
    sample = random.sample(list(hashes), min(SAMPLE, len(hashes)))
    hits = {
        sync_id: count
        for sync_id in of_the_same_place(connection, tables, binding)
        if (count := delivered(connection, tables, sync_id, hashes, sample))
    }
    counts = [
        Known(sync_id, count, len(hashes), binding.place())
        for sync_id in sorted(hits, key=hits.__getitem__, reverse=True)[:MOST]
        if 2 * (count := delivered(connection, tables, sync_id, hashes, hashes)) >= len(hashes)
    ]
    return max(counts, key=lambda known: known.num_delivered, default=None)


def of_the_same_place(connection: Connection, tables: Tables, binding: Binding) -> Iterator[str]:
    """Yield the other sync ids that remember records of the same destination."""
    place = (binding.destination, binding.destination_host, binding.destination_object)
    after = ""
    while held := binding_of(connection.execute(first_row(tables.outcomes, after, itself=False)).first()):
        if (held.destination, held.destination_host, held.destination_object) == place:
            yield held.sync_id
        after = held.sync_id


def delivered(
    connection: Connection, tables: Tables, sync_id: str, hashes: Mapping[str, str], wanted: Iterable[str]
) -> int:
    """Return how many of the wanted records a ``sync_id`` has delivered with these very payloads."""
    columns = tables.outcomes.c
    query = rows_by_key(tables, sync_id, columns.record_identifier, columns.payload_hash, columns.status)
    names = list(wanted)
    found: Iterator[Any] = (
        row
        for first in range(0, len(names), CHUNK)
        for row in connection.execute(query, keys_for(tables.flavour, names[first : first + CHUNK]))
    )
    return sum(
        status == Status.SUCCEEDED.value and payload_hash == hashes.get(identifier)
        for identifier, payload_hash, status in found
    )
