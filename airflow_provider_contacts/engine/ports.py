"""What an execution must remember: claims before a request leaves, outcomes after it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.reconcile.reader import Evidence
from airflow_provider_contacts.records.batch import Batch, BatchResult
from airflow_provider_contacts.records.record_state import RecordState


class States(Protocol):
    """The part of a ledger by which it is decided what to send."""

    @property
    def token(self) -> str:
        """The random word that begins every ``batch_id`` of this execution."""

    @property
    def sync_run_id(self) -> str:
        """The run that this execution belongs to."""

    def states(self, identifiers: Collection[str]) -> Mapping[str, RecordState]:
        """Return the state of each of these records that has a row."""


class Ledger(States, Evidence, Protocol):
    """The memory of one execution, used from one thread.

    Every method that writes is one transaction, durable when it returns. Each raises ``LedgerError`` when the store
    cannot be used, and ``SupersededError`` when a newer execution of the same ``sync_run_id`` has registered.
    """

    @property
    def durable(self) -> bool:
        """Whether a later execution will read what this one writes."""

    def record_and_claim(
        self, results: Sequence[BatchResult], batches: Mapping[str, Batch]
    ) -> Mapping[str, Collection[int]]:
        """Write results, and claim the records of other batches; return the places whose claim was lost.

        A claim writes ``sending`` for each record whose row is still the one in its history: one atomic step against
        the exact version. A record whose claim was lost must not be sent. If it raises, nothing may be sent, and the
        results count as not written; so does a commit of unknown fate.

        :param batches: by ``batch_id``, which is new for each attempt; no two records share an identifier.
        """

    def record_results(self, results: Sequence[BatchResult]) -> None:
        """Write what answers say of this execution's own requests, where the row still carries their ``batch_id``."""

    def record_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes where the row still carries the outcome's ``batch_id``."""

    def record_unsent(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes of records that were not sent, never over ``succeeded``, ``unknown`` or ``sending``."""
