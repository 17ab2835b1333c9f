"""The default ``sync_id``: one text for each task, connection and destination."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.records.batch import records_of

if TYPE_CHECKING:
    from airflow_provider_contacts.records.mapper import Mapper

FIRST = 1000
"""Records of a push by which a renamed task is known."""


class Known(NamedTuple):
    """Another ``sync_id``, which delivered so many of the first records with the same payload, and where to."""

    sync_id: str
    num_delivered: int
    looked_at: int
    place: str


def refuse_renamed(ledger: Any, sync_id: str, mapper: Mapper, first: Callable[[int], Sequence[Any]]) -> None:
    """Refuse to send the first records of a renamed DAG, task or connection again under a default ``sync_id``.

    :param first: gives so many records, which come again. It is not asked under a ``sync_id`` that is remembered.
    """
    look = getattr(ledger, "known_elsewhere", None)
    if look is None or not ledger.is_new():
        return
    hashes: dict[str, str] = {}
    for record in records_of(*mapper.prepare_chunk(0, first(FIRST))):
        hashes.setdefault(record.record_identifier, record.payload_hash)
    known: Known | None = look(hashes) if hashes else None
    if known is not None:
        old, new = (json.dumps(one, ensure_ascii=False) for one in (known.sync_id, sync_id))
        raise ConfigError(
            f"the default sync_id {new} is new, and {known.num_delivered} of the first {known.looked_at} records "
            f"were delivered with the same payload to {known.place} under the sync_id {old}: a DAG, task or "
            "connection was renamed, or another task pushes the same records. Nothing was sent. "
            f"sync_id={old} goes on with what was delivered; sync_id={new}, written out, sends every record again"
        )


def default_sync_id(dag_id: str, task_id: str, contacts_conn_id: str, destination_object: str | None) -> str:
    """Return ``{dag_id}/{task_id}@{contacts_conn_id}[:{destination object}]``.

    No two of them are alike: ids of DAGs and tasks hold neither ``/`` nor ``@``, and a ``:`` in a connection id is
    percent-encoded, so that the first of each ends its part.
    """
    connection = contacts_conn_id.replace("%", "%25").replace(":", "%3A")
    return f"{dag_id}/{task_id}@{connection}" + (f":{destination_object}" if destination_object else "")
