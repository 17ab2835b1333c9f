"""The outcome table for a plan: what stands is looked up, nothing is written, created or registered."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NoReturn

from sqlalchemy import Engine, inspect  # noqa: TID253  # this module is imported only by what uses a table

from airflow_provider_contacts.core.ledger import Mark, Standing
from airflow_provider_contacts.core.outcome import Outcome
from airflow_provider_contacts.ledgers.sql import SqlLedger


class ReadingLedger:
    """A ledger that only reads; a table that does not exist yet knows nothing.

    :param ledger: not registered as an execution.
    """

    durable = True

    def __init__(self, engine: Engine, ledger: SqlLedger, table: str) -> None:
        self._engine = engine
        self._ledger = ledger
        self.token = ledger.token
        self.sync_run_id = ledger.sync_run_id
        schema, _, name = table.rpartition(".")
        self._exists = inspect(engine).has_table(name, schema=schema or None)

    def standing(self, identifiers: Collection[str]) -> Mapping[str, Standing]:
        """Return what is known of these records."""
        return self._ledger.standing(identifiers) if self._exists else {}

    def claim(self, marks: Sequence[Mark]) -> NoReturn:  # noqa: ARG002  # the protocol's signature
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
