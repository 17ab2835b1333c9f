"""A person who is to be forgotten: the identifier becomes a keyed digest, and what was sent and said goes.

The row stays, so that later pushes leave the person out, and nobody else's record is taken for this contact.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, null, select, update  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.ledgers.sql.expressions import seconds_since, status_of
from airflow_provider_contacts.ledgers.sql.lookups import Lookup, chunks
from airflow_provider_contacts.ledgers.sql.settlement import meaning
from airflow_provider_contacts.ledgers.sql.statements import open_batches
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.ledgers.sql.transactions import reading, transact
from airflow_provider_contacts.outcome import Status, digest_of
from airflow_provider_contacts.records.forgotten import FORGOTTEN, forgotten_as
from airflow_provider_contacts.records.record_state import RESPECT, SETTLING
from airflow_provider_contacts.vendor_kit.forms import LONGEST_TIMEOUT

TEXTS = ("payload_hash", "status_message", "errors", "record_payload")


class ForgetResult(StrEnum):
    """What became of one named person; of several rows, the first of these that is true of any."""

    STILL_SENDING = "still_sending"
    FORGOTTEN = "forgotten"
    ALREADY_FORGOTTEN = "already_forgotten"
    ABSENT = "absent"
    AMBIGUOUS = "ambiguous"


def forget(engine: Engine, tables: Tables, names: Collection[str]) -> tuple[dict[str, ForgetResult], dict[str, str]]:
    """Forget persons under every ``sync_id``, named by identifier or digest; return the findings, and the digests.

    One transaction a ``sync_id``. May be repeated: what is forgotten is found so.
    """

    def look(connection: Connection) -> tuple[dict[str, list[str]], Sequence[int]]:
        numbers = connection.execute(select(tables.syncs.c.sync_no).order_by(tables.syncs.c.sync_no)).scalars().all()
        return meaning(connection, tables, names, numbers), numbers

    meant, numbers = reading(engine, look)
    alone = sorted({one for one, *others in meant.values() if not others})
    found: dict[str, set[ForgetResult]] = {one: {ForgetResult.ABSENT} for one in alone}
    for number in numbers:
        for some in chunks(alone):
            work = partial(forget_some, tables=tables, sync_no=number, names=some)
            for one, finding in transact(engine, work, repeatable=True).items():
                found[one].add(finding)
    first = {one: min(some, key=list(ForgetResult).index) for one, some in found.items()}
    findings = {name: ForgetResult.AMBIGUOUS if others else first[one] for name, (one, *others) in meant.items()}
    return findings, {name: digest_of(one) for name, (one, *_) in meant.items()}


def forget_some(
    connection: Connection, *, tables: Tables, sync_no: int, names: Sequence[str]
) -> dict[str, ForgetResult]:
    """Forget persons under one ``sync_id``; return what became of those that have a row.

    Who claims holds its row as well: a claim that came before is seen here, and a later one sees what is done here.
    """
    sync = connection.execute(select(tables.syncs).where(tables.syncs.c.sync_no == sync_no).with_for_update()).first()
    if sync is None:
        return {}
    if tables.flavour == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON").close()
    rows = Rows(connection, tables, sync_no)
    there = rows.read(names)
    left = (row for row in there.values() if row.status == Status.SENDING.value and not is_under_way(row))
    open_batches(connection, tables, {row.batch_no for row in left})
    rows.lock(sorted(there))
    key = sync.forget_key or secrets.token_hex(16)
    kept = {name: name if FORGOTTEN.fullmatch(name) else forgotten_as(key, name) for name in names}
    there = rows.read([*names, *kept.values()])
    findings = dict[str, ForgetResult]()
    for name, new_name in kept.items():
        if name == new_name or name not in there:
            if new_name in there:
                findings[name] = ForgetResult.ALREADY_FORGOTTEN
        elif is_under_way(there[name]):
            findings[name] = ForgetResult.STILL_SENDING
        else:
            rows.replace(name, new_name, is_there=new_name in there)
            findings[name] = ForgetResult.FORGOTTEN
    if ForgetResult.FORGOTTEN in findings.values():
        counted = func.coalesce(tables.syncs.c.num_forgets, 0) + 1
        row = update(tables.syncs).where(tables.syncs.c.sync_no == sync_no)
        connection.execute(row.values(forget_key=key, num_forgets=counted))
    return findings


def is_under_way(row: Any) -> bool:
    """Tell whether a request with this record may still be sent, or be answered.

    Another execution may have concluded ``unknown`` already: without an answer, it is its request's age that counts.
    """
    if row.age is None:
        return False
    if row.status == Status.SENDING.value:
        return bool(row.age < RESPECT)
    return row.batch_completed_at is None and bool(row.age < LONGEST_TIMEOUT + SETTLING)


class Rows:
    """Rows of one ``sync_id``, within one transaction."""

    def __init__(self, connection: Connection, tables: Tables, sync_no: int) -> None:
        self._connection = connection
        self._records = tables.records
        self._sync_no = sync_no
        records, batches = tables.records.c, tables.batches.c
        age = seconds_since(batches.batch_started_at, tables.flavour).label("age")
        status = status_of(records, batches).label("status")
        columns = (records.record_identifier, records.batch_no, status, age, batches.batch_completed_at)
        self._lookup = Lookup(tables, columns)

    def read(self, names: Sequence[str]) -> dict[str, Any]:
        """Return rows by their identifiers."""
        found = (row for some in chunks(names) for row in self._lookup.run(self._connection, self._sync_no, some))
        return {row.record_identifier: row for row in found}

    def lock(self, names: Sequence[str]) -> None:
        """Hold rows: an answer that comes now waits, and then finds no row of its record."""
        identifier = self._records.c.record_identifier
        query = select(identifier).where(self._records.c.sync_no == self._sync_no, identifier.in_(names))
        self._connection.execute(query.order_by(identifier).with_for_update()).all()

    def replace(self, name: str, new_name: str, *, is_there: bool) -> None:
        """Write a row anew without what tells of the person; remove it, where that is there already."""
        key = (self._records.c.sync_no == self._sync_no, self._records.c.record_identifier == name)
        if is_there:
            self._connection.execute(delete(self._records).where(*key))
            return
        values = {**dict.fromkeys(TEXTS, null()), "record_identifier": new_name}
        self._connection.execute(update(self._records).where(*key).values(values))
