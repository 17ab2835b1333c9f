"""A record on its way to the vendor."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from airflow_provider_contacts.frozen import Value
from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.records.mapper import Prepared
from airflow_provider_contacts.records.record_state import RecordState


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubted:
    """A record that may exist, to be looked for at the vendor.

    :param item: with its row as it has just been written.
    :param exists: the vendor refused it, saying that it exists: then no reading proves that it does not.
    """

    item: Item
    outcome: Outcome
    exists: bool = False


def again(item: Item, interim: Outcome, sync_run_id: str) -> Item:
    """Return a record to be sent once more, with its row as it has just been written."""
    standing = RecordState(
        record_identifier=interim.record_identifier,
        status=interim.status,
        batch_id=interim.batch_id,
        sync_run_id=sync_run_id,
        payload_hash=interim.payload_hash,
        destination_record_id=interim.destination_record_id,
        error_code=interim.error_code,
        error_field=interim.error_field,
        status_message=interim.status_message,
        http_status=interim.http_status,
        attempts=interim.attempts,
        was_in_doubt=item.reconciled,
    )
    return replace(item, standing=standing, attempts=interim.attempts, not_before=0.0)


class Item(Value, frozen=True, kw_only=True):
    """A record on its way to the vendor.

    :param standing: its row as last read or written; a claim is made against this version.
    :param attempts: requests that have carried it, over all tries and runs.
    :param doubted: it may exist already, and is sent again because the user asked for it: whatever comes of it but
        success is ``unknown``.
    :param not_before: seconds that must have passed since the row was read, so that an earlier request has ended.
    :param claims: claims that were lost to somebody else.
    :param reconciled: it was in doubt once, and a reading or a person said that it does not exist.
    :param rounds: readings in this try that it has been through.
    """

    prepared: Prepared
    standing: RecordState | None = None
    attempts: int = 0
    doubted: bool = False
    not_before: float = 0.0
    claims: int = 0
    reconciled: bool = False
    rounds: int = 0
