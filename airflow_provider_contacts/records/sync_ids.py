"""The default ``sync_id``: one text for each task, connection and destination."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from airflow_provider_contacts.errors import ConfigError

LookFirst = Callable[[Mapping[str, str]], None]
"""Is given the first records of a push, as identifiers and payload digests; may raise ``ConfigError``."""


def look_at_nothing(hashes: Mapping[str, str]) -> None:
    """Let a push begin with whatever records."""


class Known(NamedTuple):
    """Another ``sync_id``, which delivered so many of the first records with the same payload, and where to."""

    sync_id: str
    num_delivered: int
    looked_at: int
    place: str


@runtime_checkable
class KnowsOthers(Protocol):
    """A memory that holds more than one ``sync_id``."""

    def known_elsewhere(self, hashes: Mapping[str, str]) -> Known | None:
        """Return the ``sync_id`` that has delivered at least half of these records, if this one has no rows yet."""


def refuse_renamed(ledger: object, sync_id: str, *, given: str | None) -> LookFirst:
    """Return what refuses to send the records of a renamed DAG, task or connection again, unless it is written out."""
    if given is not None or not isinstance(ledger, KnowsOthers):
        return look_at_nothing

    def look(hashes: Mapping[str, str]) -> None:
        known = ledger.known_elsewhere(hashes)
        if known is not None:
            old, new = (json.dumps(one, ensure_ascii=False) for one in (known.sync_id, sync_id))
            raise ConfigError(
                f"the default sync_id {new} is new, and {known.num_delivered} of the first {known.looked_at} records "
                f"were delivered with the same payload to {known.place} under the sync_id {old}: a DAG, task or "
                "connection was renamed, or another task pushes the same records. Nothing was sent. "
                f"sync_id={old} goes on with what was delivered; sync_id={new}, written out, sends every record again"
            )

    return look


def default_sync_id(dag_id: str, task_id: str, contacts_conn_id: str, destination_object: str | None) -> str:
    """Return ``{dag_id}/{task_id}@{contacts_conn_id}[:{destination object}]``.

    No two of them are alike: ids of DAGs and tasks hold neither ``/`` nor ``@``, and a ``:`` in a connection id is
    percent-encoded, so that the first of each ends its part.
    """
    connection = contacts_conn_id.replace("%", "%25").replace(":", "%3A")
    return f"{dag_id}/{task_id}@{connection}" + (f":{destination_object}" if destination_object else "")
