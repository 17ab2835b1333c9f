"""What ledgers share for which two writes in one save nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.records.record_state import Claim


class StepLedger(ABC):
    """A ledger for which two writes in one save nothing."""

    @abstractmethod
    def claim(self, marks: Sequence[Claim]) -> Collection[str]:
        """Write marks."""

    @abstractmethod
    def settle(self, outcomes: Sequence[Outcome]) -> Collection[str]:
        """Write outcomes."""

    def advance(self, outcomes: Sequence[Outcome], marks: Sequence[Claim]) -> Collection[str]:
        """Settle outcomes, then claim records."""
        self.settle(outcomes)
        return self.claim(marks)
