"""Rows of the outcome table that are to be sent again: in order of their key, some at a time, while it is written."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.ledgers.sql.database import connect, kept_open
from airflow_provider_contacts.ledgers.sql.expressions import (
    is_forgotten,
    joined,
    own,
    payload_of,
    seconds_since,
    status_of,
)
from airflow_provider_contacts.ledgers.sql.lookups import STATE, Lookup, parsed, read_page, state_columns, state_of
from airflow_provider_contacts.ledgers.sql.reader import LedgerReader
from airflow_provider_contacts.ledgers.sql.schema import look
from airflow_provider_contacts.ledgers.sql.storage_checks import open_store
from airflow_provider_contacts.ledgers.sql.tables import Flavour, Tables
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.record_state import INTERRUPTED, RESPECT
from airflow_provider_contacts.records.row_values import Reasons
from airflow_provider_contacts.records.stored_payloads import Selection, Stored

if TYPE_CHECKING:
    from airflow_provider_contacts.ledgers.sql.open_table import Opening

PAGE = 500  # rows read at once, each with its payload


class SelectedRows:
    """The records of one ``sync_id`` that a selection names, and those that this very run has written before.

    What an earlier try of the run has settled is thus counted again by the next one. ``known`` tells whether the
    ``sync_id`` has any record at all. The engine is its own, so that reading does not wait for the ledger's writing.
    """

    def __init__(self, engine: sa.Engine, tables: Tables, opening: Opening, selection: Selection) -> None:
        self._engine = engine
        self._tables = tables
        absent, _ = look(engine, tables)
        self._reader = LedgerReader(engine, tables, opening.binding, exists=not absent)
        self._condition = condition(tables, selection, opening.run.sync_run_id)
        payload = sa.cast(payload_of(tables.records.c, tables.batches.c, tables.flavour), sa.Text).label("payload")
        self._columns: tuple[sa.ColumnElement[Any], ...] = (*state_columns(tables), payload)
        self._lookup = Lookup(tables, self._columns, self._condition)
        self._sync_no = self._reader.read(self._reader.sync_no)
        self.known = self._sync_no is not None

    @classmethod
    def open(cls, opening: Opening, selection: Selection) -> SelectedRows:
        """Connect, and look whether there is anything."""
        with kept_open(connect(opening.hook)) as engine:
            return opening.patience.run(lambda: cls(engine, open_store(engine, opening.table), opening, selection))

    def pages(self) -> Iterator[list[Stored]]:
        """Yield all records in order of their identifiers, each once, as they are when their page is read.

        A record that is written meanwhile keeps its place in that order, so that none comes twice.
        """
        after = ""
        while self.known and (page := self._page(after)):
            yield page
            after = page[-1].state.record_identifier

    def among(self, identifiers: Collection[str]) -> dict[str, Stored]:
        """Return these records, at most a thousand, so far as they are selected."""
        number = self._sync_no
        if not identifiers or number is None:
            return {}
        rows = self._reader.read(lambda connection: self._lookup.run(connection, number, list(identifiers)))
        return {row.record_identifier: stored_of(row) for row in rows}

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _page(self, after: str) -> list[Stored]:
        columns = self._tables.records.c
        query = (
            sa.select(*self._columns)
            .select_from(joined(self._tables))
            .where(columns.sync_no == self._sync_no, columns.record_identifier > after, self._condition)
            # Both, so that the primary key is read in its order rather than sorted.
            .order_by(columns.sync_no, columns.record_identifier)
            .limit(PAGE)
        )
        return [stored_of(row) for row in read_page(self._engine, self._tables, query)]


def condition(tables: Tables, selection: Selection, sync_run_id: str) -> sa.ColumnElement[bool]:
    """Return what a record must be; what the run itself has written is its own, whatever has become of it."""
    records, batches = tables.records.c, tables.batches.c
    status = status_of(records, batches)
    certain = sorted(status.value for status in selection.statuses - {Status.UNKNOWN})
    kinds: list[sa.ColumnElement[bool]] = [status.in_(certain)]
    if Status.UNKNOWN in selection.statuses:
        kinds += [status == Status.UNKNOWN.value, left_behind(tables)]
    wanted = [sa.or_(*kinds)]
    if selection.error_codes is not None:
        # What the row will say once it counts as unknown.
        code = sa.case((status == Status.SENDING.value, sa.literal(INTERRUPTED)), else_=own(records, "error_code"))
        wanted.append(code.in_(selection.error_codes))
    if selection.since is not None:
        written = sa.func.coalesce(records.settled_at, batches.batch_completed_at, batches.batch_started_at)
        wanted.append(written >= moment(selection.since, tables.flavour))
    if selection.max_attempts is not None:
        wanted.append(records.attempts < selection.max_attempts)
    of_this_run = sa.func.coalesce(tables.runs.c.sync_run_id, "") == sync_run_id
    is_known = sa.not_(is_forgotten(records.record_identifier))
    return sa.and_(is_known, sa.or_(of_this_run, sa.and_(sa.true(), *wanted)))


def left_behind(tables: Tables) -> sa.ColumnElement[bool]:
    """Return whether a record was left ``sending`` by an execution that must be dead."""
    age = seconds_since(tables.batches.c.batch_started_at, tables.flavour)
    return sa.and_(status_of(tables.records.c, tables.batches.c) == Status.SENDING.value, age >= RESPECT)


def moment(value: datetime, flavour: Flavour) -> Any:
    """Return a moment as the table's columns hold it."""
    utc = value.astimezone(UTC)
    match flavour:
        case "sqlite":
            # As the table's own texts, without the fraction where there is none: it then sorts before all of them.
            fraction = f".{utc.microsecond // 1000:03}" if utc.microsecond else ""
            return f"{utc:%Y-%m-%d %H:%M:%S}{fraction}"
        case "postgresql":
            return utc
        case "mysql" | "mariadb":
            return utc.replace(tzinfo=None)


def stored_of(row: Sequence[Any]) -> Stored:
    """Return a row of state columns and payload as a value."""
    payload = parsed(row[STATE])
    reasons = reasons_of(parsed(row[STATE - 1]))
    return Stored(state=state_of(row), reasons=reasons, payload=payload if isinstance(payload, dict) else None)


def reasons_of(errors: Any) -> Reasons:
    """Return the reasons that a row names."""
    found = [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
    return tuple((str(one.get("code") or ""), one.get("field"), one.get("message")) for one in found)
