"""What the outcome table knows that helps to look for a record at the vendor: what was sent, and whose a contact is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select  # noqa: TID253  # imported only by what uses a table

from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.sql.statements import Statements
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.record_state import Holder
from airflow_provider_contacts.vendor_kit.vendor import Payload


def payloads(
    connection: Connection, statements: Statements, identifiers: Sequence[str]
) -> Iterator[tuple[str, Payload]]:
    """Yield the stored payloads of some records by their identifiers."""
    columns = statements.table.c
    query = statements.rows_of(columns.record_identifier, columns.record_payload)
    for identifier, stored in connection.execute(query, statements.keys(identifiers)):
        payload = parsed(stored)
        if isinstance(payload, dict):
            yield identifier, payload


def parsed(stored: Any) -> Any:
    """Return stored JSON, which some drivers parse already; ``None`` for none, and for what is no JSON."""
    try:
        return json.loads(stored) if isinstance(stored, str | bytes) else stored
    except (ValueError, RecursionError):
        return None


def holders(connection: Connection, tables: Tables, binding: Binding, record_ids: Sequence[str]) -> Iterator[Holder]:
    """Yield the ``succeeded`` rows of a destination, of any ``sync_id``, that name one of these contacts.

    Reads the whole table, which has no index for this: it is asked once for each reading of the vendor.
    """
    columns = tables.outcomes.c
    query: Select[Any] = select(columns.destination_record_id, columns.sync_id, columns.record_identifier).where(
        columns.destination_record_id.in_(bindparam("record_ids", expanding=True)),
        columns.status == Status.SUCCEEDED.value,
        columns.destination == binding.destination,
        columns.destination_host == binding.destination_host,
        columns.destination_object.is_not_distinct_from(binding.destination_object),
    )
    for found, sync_id, identifier in connection.execute(query, {"record_ids": record_ids}):
        yield Holder(found, identifier if sync_id == binding.sync_id else None)
