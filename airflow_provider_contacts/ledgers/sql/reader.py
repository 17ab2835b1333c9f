"""The outcome table for a plan: what stands is looked up, nothing is written, created or registered."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NoReturn

from sqlalchemy import Connection, Engine, inspect  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.sql.database import READING
from airflow_provider_contacts.ledgers.sql.db_errors import transact
from airflow_provider_contacts.ledgers.sql.destination_guard import BindingCheck
from airflow_provider_contacts.ledgers.sql.storage_checks import look_at_tables
from airflow_provider_contacts.ledgers.sql.table_ledger import SqlLedger
from airflow_provider_contacts.ledgers.sql.tables import Tables
from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.records.record_state import Claim, Holder, RecordState
from airflow_provider_contacts.records.sync_ids import Known
from airflow_provider_contacts.vendor_kit.vendor import Payload


class ReadingLedger:
    """A ledger that only reads; a table that does not exist yet knows nothing.

    :param ledger: not registered as an execution.
    """

    durable = True

    def __init__(self, engine: Engine, ledger: SqlLedger, tables: Tables) -> None:
        self._engine = engine
        self._ledger = ledger
        self.token = ledger.token
        self.sync_run_id = ledger.sync_run_id
        self._tables = tables
        self._exists = transact(engine, self._found, repeatable=True, options={READING: True})

    def _found(self, connection: Connection) -> bool:
        outcomes = self._tables.outcomes
        return inspect(connection).has_table(outcomes.name, schema=outcomes.schema)

    def check(self, binding: Binding) -> None:
        """Check that the ``sync_id`` is new, or belongs to this destination, and that the table keeps what it is told.

        :raises ConfigError: else.
        """
        if self._exists:
            look_at_tables(self._engine, self._tables)
            transact(
                self._engine,
                BindingCheck(self._tables, binding).is_new,
                repeatable=True,
                options={READING: True},
            )

    def standing(self, identifiers: Collection[str]) -> Mapping[str, RecordState]:
        """Return what is known of these records."""
        return self._ledger.standing(identifiers) if self._exists else {}

    def sent(self, identifiers: Collection[str]) -> Mapping[str, Payload]:
        """Return the payloads that were sent last."""
        return self._ledger.sent(identifiers) if self._exists else {}

    def holders(self, record_ids: Collection[str]) -> Collection[Holder]:
        """Return the rows that name one of these contacts."""
        return self._ledger.holders(record_ids) if self._exists else []

    def known_elsewhere(self, hashes: Mapping[str, str]) -> Known | None:
        """Return the ``sync_id`` under which these records seem to be remembered."""
        return self._ledger.known_elsewhere(hashes) if self._exists else None

    def claim(self, marks: Sequence[Claim]) -> NoReturn:  # noqa: ARG002  # the protocol's signature
        """Refuse: a plan sends nothing."""
        raise AssertionError("a plan claims nothing")

    def advance(self, outcomes: Sequence[Outcome], marks: Sequence[Claim]) -> NoReturn:  # noqa: ARG002  # the protocol's signature
        """Refuse: a plan sends nothing."""
        raise AssertionError("a plan claims nothing")

    def settle(self, outcomes: Sequence[Outcome]) -> NoReturn:  # noqa: ARG002  # the protocol's signature
        """Refuse: a plan sends nothing."""
        raise AssertionError("a plan settles nothing")

    def note(self, outcomes: Sequence[Outcome]) -> NoReturn:  # noqa: ARG002  # the protocol's signature
        """Refuse: a plan remembers nothing."""
        raise AssertionError("a plan notes nothing")

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()
