"""Cutting records into requests: the cuts cover the input in order, within the vendor's count and bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from airflow_provider_contacts.records.batch import Batch, History
from airflow_provider_contacts.records.mapper import Record
from airflow_provider_contacts.vendor_kit.vendor import Limits


def cuts(sizes: Sequence[int], limits: Limits, overhead: int = 0) -> Iterator[range]:
    """Yield the places of each request; together they are all places, in order.

    A record that is larger than ``body_bytes`` by itself comes alone: the vendor, not we, gets to refuse it.

    :param sizes: encoded bytes of each record.
    :param overhead: encoded bytes of the envelope; each record but the first costs one more byte for its comma.
    """
    start, total = 0, overhead
    for place, size in enumerate(sizes):
        if place > start and (place - start >= limits.batch_size or total + 1 + size > limits.body_bytes):
            yield range(start, place)
            start, total = place, overhead
        total += size + (1 if place > start else 0)
    if sizes:
        yield range(start, len(sizes))


def batch_of(records: Iterable[tuple[Record, History]], due: float = 0.0) -> Batch:
    """Return records, each with what was known of it before, as a batch."""
    found = list(records)
    return Batch(
        identifiers=[record.record_identifier for record, _ in found],
        row_indexes=[record.row_index for record, _ in found],
        payloads=[record.payload for record, _ in found],
        bodies=[record.body for record, _ in found],
        payload_hashes=[record.payload_hash for record, _ in found],
        histories={place: history for place, (_, history) in enumerate(found)},
        due=due,
    )
