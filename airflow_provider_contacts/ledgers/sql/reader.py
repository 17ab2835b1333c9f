"""What the tables say, for everybody who writes nothing: the ledger's look-ups, replays, a page, a command line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.sql.database import READING
from airflow_provider_contacts.ledgers.sql.db_errors import transact
from airflow_provider_contacts.ledgers.sql.destination_guard import DestinationGuard
from airflow_provider_contacts.ledgers.sql.lookups import Lookup, chunks, delivered_as
from airflow_provider_contacts.ledgers.sql.other_sync_ids import known_elsewhere
from airflow_provider_contacts.ledgers.sql.state_rows import parsed, state_columns, state_of
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.records.record_state import Holder, RecordState
from airflow_provider_contacts.records.sync_ids import Known
from airflow_provider_contacts.vendor_kit.vendor import Payload

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

Result = TypeVar("Result")


class LedgerReader:
    """Reads the records of one ``sync_id``. Every method is one transaction that takes no lock.

    :param exists: whether the tables are there; those that are not know nothing.
    :raises LedgerError: from every method, if the database fails.
    """

    def __init__(self, engine: Engine, tables: Tables, binding: Binding, *, exists: bool = True) -> None:
        self._exists = exists
        self._engine = engine
        self._tables = tables
        self._binding = binding
        self._guard = DestinationGuard(tables, binding)
        self._known: int | None = None
        records = tables.records.c
        self._states = Lookup(tables, state_columns(tables))
        self._payloads = Lookup(tables, (records.record_identifier, records.record_payload), alone=True)

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Return what ``work`` makes of a connection."""
        return transact(self._engine, work, repeatable=True, options={READING: True})

    def sync_no(self, connection: Connection) -> int | None:
        """Return the number of the ``sync_id``, ``None`` while it has no records.

        :raises SyncTakenError: if it remembers records of another destination.
        """
        if self._known is None and self._exists:
            self._known = self._guard.look(connection)
        return self._known

    def standing(self, identifiers: Collection[str]) -> Mapping[str, RecordState]:
        """Return what is known of these records; those without a row are left out.

        :raises LedgerError: also for a row whose status is none of ours.
        :raises SyncTakenError: see :meth:`sync_no`.
        """
        return {
            row["record_identifier"]: state_of(row) for rows in self._found(self._states, identifiers) for row in rows
        }

    def sent(self, identifiers: Collection[str]) -> Mapping[str, Payload]:
        """Return the payloads that were sent last, of those records for which one is stored."""
        rows = (row for rows in self._found(self._payloads, identifiers) for row in rows)
        found = {row["record_identifier"]: parsed(row["record_payload"]) for row in rows}
        return {identifier: payload for identifier, payload in found.items() if isinstance(payload, dict)}

    def holders(self, record_ids: Collection[str]) -> Collection[Holder]:
        """Return the records of this destination, of any ``sync_id``, that name one of these contacts."""

        def look(connection: Connection) -> list[Holder]:
            queries = (delivered_as(self._tables, self._binding, some) for some in chunks(record_ids))
            rows = [row for query in queries for row in connection.execute(query)]
            own = self._binding.sync_id
            return [Holder(found, identifier if sync_id == own else None) for found, sync_id, identifier in rows]

        return self.read(look) if self._exists else []

    def known_elsewhere(self, hashes: Mapping[str, str]) -> Known | None:
        """Return the ``sync_id`` under which these records seem to be remembered, where this one has no rows yet.

        :param hashes: identifier to the digest of the payload.
        """

        def look(connection: Connection) -> Known | None:
            if not hashes or self.sync_no(connection) is not None:
                return None
            return known_elsewhere(connection, self._tables, self._binding, hashes)

        return self.read(look) if self._exists else None

    def _found(self, lookup: Lookup, identifiers: Collection[str]) -> list[Sequence[Any]]:
        def look(connection: Connection) -> list[Sequence[Any]]:
            sync_no = self.sync_no(connection) if identifiers else None
            if sync_no is None:
                return []
            return [lookup.run(connection, sync_no, some).mappings().all() for some in chunks(identifiers)]

        return self.read(look)
