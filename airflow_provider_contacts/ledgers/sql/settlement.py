"""A person's verdict on records in doubt, written into their rows: only as they were read, and only while in doubt."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, literal, null, select, update  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.sql.db_errors import place_of
from airflow_provider_contacts.ledgers.sql.executions import binding_of
from airflow_provider_contacts.ledgers.sql.expressions import now
from airflow_provider_contacts.ledgers.sql.lookups import Lookup, chunks, delivered_as, state_columns, state_of
from airflow_provider_contacts.ledgers.sql.rows import Policy
from airflow_provider_contacts.ledgers.sql.statements import open_batches
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.ledgers.sql.transactions import transact
from airflow_provider_contacts.nearest import did_you_mean
from airflow_provider_contacts.outcome import Status, digest_of
from airflow_provider_contacts.records.record_state import BY_HAND, RESPECT, RecordState
from airflow_provider_contacts.records.vendor_ids import key_of, spellings

DIGEST = re.compile("[0-9A-Fa-f]{12}")  # what may be an identifier's digest, as logs show it

MOST_OFFERED = 3
LISTED = "airflow contacts runs -o yaml shows the sync_id of every push"


class Finding(StrEnum):
    """What became of one named record."""

    SETTLED = "settled"
    ALREADY_SETTLED = "already_settled"
    NOT_IN_DOUBT = "not_in_doubt"
    STILL_SENDING = "still_sending"
    ID_TAKEN = "id_taken"
    ABSENT = "absent"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a person says.

    :param status: ``SUCCEEDED`` or ``FAILED``.
    :param records: identifier, or its digest, to the vendor's id; ``None`` for ``FAILED``.
    """

    sync_id: str
    status: Status
    records: Mapping[str, str | None] = field(repr=False)
    settled_by: str
    store_payload: Policy


def settle(engine: Engine, tables: Tables, verdict: Verdict) -> tuple[dict[str, Finding], dict[str, str]]:
    """Write a verdict where it may be written; return what became of each named record, and its digest.

    All in one transaction. May be repeated: what has the same verdict already is found so.

    :raises ConfigError: if the table does not know the ``sync_id``, or two names with two ids mean one record.
    """

    def write(connection: Connection) -> tuple[dict[str, Finding], dict[str, str]]:
        syncs = tables.syncs
        sync = connection.execute(select(syncs).where(syncs.c.sync_id == verdict.sync_id)).first()
        if sync is None:
            known = connection.execute(select(syncs.c.sync_id)).scalars()
            offer = did_you_mean(verdict.sync_id, known, MOST_OFFERED) or f"; {LISTED}"
            raise ConfigError(f"{place_of(engine)} has no sync_id {verdict.sync_id!r}: nothing is settled{offer}")
        meant = meaning(connection, tables, verdict.records, [sync.sync_no])
        check_distinct(meant, verdict.status)
        records = {one: verdict.records[name] for name, (one, *others) in meant.items() if not others}
        settler = Settler(connection, tables, replace(verdict, records=records), sync.sync_no, binding_of(sync))
        # In one order everywhere, so that two that settle wait for each other rather than block each other.
        found = {one: finding for chunk in chunks(sorted(records)) for one, finding in settler.settle(chunk).items()}
        findings = {name: Finding.AMBIGUOUS if others else found[one] for name, (one, *others) in meant.items()}
        return findings, {name: digest_of(one) for name, (one, *_) in meant.items()}

    return transact(engine, write)


def meaning(
    connection: Connection, tables: Tables, names: Collection[str], sync_nos: Collection[int]
) -> dict[str, list[str]]:
    """Return the identifiers that each name can mean: itself, where it has a row, else those with such a digest."""
    columns = tables.records.c
    of_syncs = select(columns.record_identifier).where(columns.sync_no.in_(sync_nos))
    meant = {name: [name] for name in sorted(names)}
    digests = {name for name in meant if DIGEST.fullmatch(name)}
    for chunk in chunks(sorted(digests)):
        there = connection.execute(of_syncs.where(columns.record_identifier.in_(chunk)))
        digests.difference_update(there.scalars())
    if digests:
        found: dict[str, set[str]] = {name.lower(): set() for name in digests}
        for (identifier,) in connection.execute(of_syncs.execution_options(yield_per=5000)):
            if (some := found.get(digest_of(identifier))) is not None:
                some.add(identifier)
        meant |= {name: sorted(some) for name in digests if (some := found[name.lower()])}
    return meant


def check_distinct(meant: Mapping[str, Sequence[str]], status: Status) -> None:
    """Refuse two of the vendor's ids for one record."""
    alone = [one for one, *others in meant.values() if not others]
    if status is Status.SUCCEEDED and len(set(alone)) != len(alone):
        raise ConfigError("records names one record twice, once by its digest, with two of the vendor's ids")


@dataclass(frozen=True, slots=True)
class Settler:
    """Settles records within one transaction."""

    connection: Connection
    tables: Tables
    verdict: Verdict
    sync_no: int
    binding: Binding

    def settle(self, names: Sequence[str]) -> dict[str, Finding]:
        """Settle some records; return what became of each."""
        found = Lookup(self.tables, state_columns(self.tables)).run(self.connection, self.sync_no, names)
        rows = {row.record_identifier: (state_of(row), row.batch_no) for row in found}
        open_batches(self.connection, self.tables, {number for state, number in rows.values() if is_left(state)})
        taken = self._taken(rows)
        return {name: self._settle(*rows[name], taken) if name in rows else Finding.ABSENT for name in names}

    def _taken(self, names: Collection[str]) -> frozenset[str]:
        """Return the keys of those ids that a delivered record of the same destination has already."""
        given, sync_id = self.verdict.records, self.verdict.sync_id
        ids = sorted({one for name in names for one in spellings(given[name] or "") if one})
        delivered = delivered_as(self.connection, self.tables, self.binding, ids) if ids else []
        return frozenset(
            key_of(one.id) for one in delivered if (one.sync_id, given.get(one.record_identifier)) != (sync_id, one.id)
        )

    def _settle(self, state: RecordState, batch_no: int, taken: frozenset[str]) -> Finding:
        record_id = self.verdict.records[state.record_identifier]
        if state.status is Status.SENDING and not is_left(state):
            return Finding.STILL_SENDING
        if state.status not in {Status.SENDING, Status.UNKNOWN}:
            return Finding.ALREADY_SETTLED if self._agrees(state, record_id) else Finding.NOT_IN_DOUBT
        if record_id is not None and key_of(record_id) in taken:
            return Finding.ID_TAKEN
        # Only over the very row that was read.
        columns = self.tables.records.c
        key = (columns.sync_no == self.sync_no, columns.record_identifier == state.record_identifier)
        row = update(self.tables.records).where(*key)
        row = row.where(columns.batch_no == batch_no, columns.status == state.status.value)
        written = self.connection.execute(row.values(self._values(record_id)))
        return Finding.SETTLED if written.rowcount == 1 else Finding.NOT_IN_DOUBT

    def _agrees(self, state: RecordState, record_id: str | None) -> bool:
        """Tell whether a row that is not in doubt says just what the verdict says."""
        if self.verdict.status is Status.SUCCEEDED:
            return state.status is Status.SUCCEEDED and state.destination_record_id == record_id
        return state.status is Status.FAILED and state.error_code == BY_HAND

    def _values(self, record_id: str | None) -> dict[str, Any]:
        values: dict[str, Any] = {
            **dict.fromkeys(("error_code", "error_field", "status_message", "errors"), null()),
            "status": self.verdict.status.value,
            "destination_record_id": literal(record_id) if record_id is not None else null(),
            "settled_by": self.verdict.settled_by,
            "settled_at": now(self.tables.flavour),
        }
        if self.verdict.status is Status.FAILED:
            values["error_code"] = BY_HAND
        elif self.verdict.store_payload != "all":
            values["record_payload"] = null()
        return values


def is_left(state: RecordState) -> bool:
    """Tell whether a record was left ``sending`` by an execution that must be dead."""
    return state.status is Status.SENDING and state.age >= RESPECT
