"""What the tables hold of one ``sync_id``, for everybody who writes nothing: the ledger's look-ups and replays."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection, Engine, select  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.sql.batch_numbers import name_of
from airflow_provider_contacts.ledgers.sql.executions import sync_of
from airflow_provider_contacts.ledgers.sql.expressions import payload_of, status_of
from airflow_provider_contacts.ledgers.sql.lookups import (
    Lookup,
    chunks,
    delivered_as,
    of_place,
    parsed,
    state_columns,
    state_of,
)
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.ledgers.sql.transactions import in_one_exchange, reading, takes_pipelines
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.forgotten import forgotten_as
from airflow_provider_contacts.records.record_state import Holder, RecordState
from airflow_provider_contacts.records.sync_ids import Known
from airflow_provider_contacts.vendor_kit.vendor import Payload

Result = TypeVar("Result")

# Records that every other ``sync_id`` is asked for: of one that has delivered half, that it knows none of these will
# not happen once in four thousand million looks.
SAMPLE = 32
MOST = 10  # other sync ids that are asked for all of the records, those that know most of the sample first


class LedgerReader:
    """Reads the records of one ``sync_id``. Every method is one transaction that takes no lock.

    Every method raises ``LedgerError`` if the database fails. Tables that do not exist know nothing.
    """

    def __init__(self, engine: Engine, tables: Tables, binding: Binding, *, exists: bool) -> None:
        self._exists = exists
        self._engine = engine
        self._tables = tables
        self._binding = binding
        self._pipelines = takes_pipelines(engine)
        self._known: int | None = None
        self._forget_key: str | None = None
        self._named: Callable[[int | None], str | None] = name_of
        records, batches = tables.records.c, tables.batches.c
        self._states = Lookup(tables, state_columns(tables))
        payload = payload_of(records, batches, tables.flavour)
        self._payloads = Lookup(tables, (records.record_identifier, payload.label("payload")))

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Return what ``work`` makes of a connection."""
        return reading(self._engine, work)

    def sync_no(self, connection: Connection) -> int | None:
        """Return the number of the ``sync_id``, ``None`` while it has no records.

        :raises SyncTakenError: if it remembers records of another destination.
        """
        if self._known is None and self._exists:
            sync = sync_of(connection, self._tables, self._binding)
            if sync is not None:
                self._known, self._forget_key = sync.sync_no, sync.forget_key
        return self._known

    def states(self, identifiers: Collection[str]) -> Mapping[str, RecordState]:
        """Return the state of each of these records that has a row; a status that is none of ours is an error."""
        known, dialect = self._known, self._engine.dialect
        names: dict[str, str] = {}

        def named(some: Collection[str]) -> Collection[str]:
            names.update(self._names(some))
            return names

        if self._pipelines and known is not None and identifiers:
            named(identifiers)
            wanted = [self._states.statement(dialect, known, some) for some in chunks(names)]
            rows = [row for cursor in in_one_exchange(self._engine, lambda: wanted) or () for row in cursor.fetchall()]
        else:
            rows = self._found(self._states, identifiers, named)
        found = {row[0]: state_of(row, self._named) for row in rows}
        states: dict[str, RecordState] = {}
        # Those that are forgotten come last, and so stand over a row in clear.
        for name, identifier in names.items():
            if (state := found.get(name)) is not None:
                is_forgotten = name != identifier
                states[identifier] = (
                    replace(state, record_identifier=identifier, is_forgotten=True) if is_forgotten else state
                )
        return states

    def _names(self, identifiers: Collection[str]) -> dict[str, str]:
        """Return what these records may be called in the table: as they are, or as they were forgotten."""
        names = dict(zip(identifiers, identifiers, strict=True))
        key = self._forget_key
        return names if key is None else names | {forgotten_as(key, one): one for one in identifiers}

    def payloads(self, identifiers: Collection[str]) -> Mapping[str, Payload]:
        """Return the payloads that were sent last, of those records for which one is stored."""
        found = {identifier: parsed(payload) for identifier, payload in self._found(self._payloads, identifiers)}
        return {identifier: payload for identifier, payload in found.items() if isinstance(payload, dict)}

    def holders(self, record_ids: Collection[str]) -> Collection[Holder]:
        """Return the records of this destination, of any ``sync_id``, that were delivered as one of these contacts."""

        def look(connection: Connection) -> list[Holder]:
            own = self._binding.sync_id
            return [
                Holder(one.id, one.record_identifier if one.sync_id == own else None)
                for some in chunks(record_ids)
                for one in delivered_as(connection, self._tables, self._binding, some)
            ]

        return self.read(look) if self._exists else []

    def is_new(self) -> bool:
        """Tell whether others may be remembered here, and this ``sync_id`` is not."""
        return self._exists and self.read(self.sync_no) is None

    def known_elsewhere(self, hashes: Mapping[str, str]) -> Known | None:
        """Return the ``sync_id`` under which these records of a new one seem to be remembered."""
        return self.read(lambda connection: known_elsewhere(connection, self._tables, self._binding, hashes))

    def _found(
        self, lookup: Lookup, identifiers: Collection[str], named: Callable[[Collection[str]], Collection[str]] = tuple
    ) -> list[Any]:
        def look(connection: Connection) -> list[Any]:
            number = self.sync_no(connection) if identifiers else None
            if number is None:
                return []
            return [row for some in chunks(named(identifiers)) for row in lookup.run(connection, number, some)]

        return self.read(look)


def known_elsewhere(
    connection: Connection, tables: Tables, binding: Binding, hashes: Mapping[str, str]
) -> Known | None:
    """Return the other ``sync_id`` that has delivered most of these records, if at least half, to the same place.

    A task that was renamed must not send everybody again. Each look is a step in the primary key of records: one for
    every other ``sync_id`` of the same place and record of a sample, and one for every record and ``sync_id`` that
    knows most of those.

    :param hashes: identifier to the digest of the payload.
    """
    records, syncs = tables.records.c, tables.syncs.c
    status = status_of(records, tables.batches.c).label("status")
    lookup = Lookup(tables, (records.record_identifier, records.payload_hash, status))

    def count(sync_no: int, wanted: Collection[str]) -> int:
        """Return how many of the wanted records a ``sync_id`` has delivered with these very payloads."""
        found = (row for some in chunks(wanted) for row in lookup.run(connection, sync_no, some))
        return sum(
            status == Status.SUCCEEDED.value and payload_hash == hashes.get(identifier)
            for identifier, payload_hash, status in found
        )

    same = select(syncs.sync_no, syncs.sync_id).where(syncs.sync_id != binding.sync_id, of_place(tables, binding))
    others = {row.sync_no: row.sync_id for row in connection.execute(same.order_by(syncs.sync_id))}
    sample = random.sample(list(hashes), min(SAMPLE, len(hashes)))
    hits = {number: known for number in others if (known := count(number, sample))}
    counts = [
        Known(others[number], delivered, len(hashes), binding.place())
        for number in sorted(hits, key=hits.__getitem__, reverse=True)[:MOST]
        if 2 * (delivered := count(number, hashes)) >= len(hashes)
    ]
    return max(counts, key=lambda known: known.num_delivered, default=None)
