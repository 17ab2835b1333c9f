"""The engine's columns over a ledger that writes rows, until it writes columns itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.records.batch import Batch, BatchResult
from airflow_provider_contacts.records.record_state import Claim, RecordState
from airflow_provider_contacts.vendor_kit.vendor import Payload


class RowAdapter(ABC):
    """The protocol of ``engine.ports.Ledger`` in terms of claims and outcomes."""

    @abstractmethod
    def standing(self, identifiers: Collection[str]) -> Mapping[str, RecordState]:
        """Return states."""

    @abstractmethod
    def sent(self, identifiers: Collection[str]) -> Mapping[str, Payload]:
        """Return payloads."""

    @abstractmethod
    def claim(self, marks: Sequence[Claim]) -> Collection[str]:
        """Write claims; return the identifiers written."""

    @abstractmethod
    def settle(self, outcomes: Sequence[Outcome]) -> Collection[str]:
        """Write outcomes; return the identifiers written."""

    @abstractmethod
    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes of records that were not sent."""

    def advance(self, outcomes: Sequence[Outcome], marks: Sequence[Claim]) -> Collection[str]:
        """Write outcomes, then claims."""
        self.settle(outcomes)
        return self.claim(marks)

    def states(self, identifiers: Collection[str]) -> Mapping[str, RecordState]:
        """See ``engine.ports.Ledger``; so for all below."""
        return self.standing(identifiers)

    def payloads(self, identifiers: Collection[str]) -> Mapping[str, Payload]:
        """Return payloads."""
        return self.sent(identifiers)

    def record_and_claim(
        self, results: Sequence[BatchResult], batches: Mapping[str, Batch]
    ) -> Mapping[str, Collection[int]]:
        """Write results and claims; return the places that were lost."""
        claims = [claim_at(batch, place, name) for name, batch in batches.items() for place in range(len(batch))]
        written = [outcome for result in results for outcome in result.outcomes()]
        won = set(self.advance(written, claims) if written else self.claim(claims))
        lost = {
            name: [place for place, one in enumerate(batch.identifiers) if one not in won]
            for name, batch in batches.items()
        }
        return {name: places for name, places in lost.items() if places}

    def record_results(self, results: Sequence[BatchResult]) -> None:
        """Write results."""
        self.settle([outcome for result in results for outcome in result.outcomes()])

    def record_outcomes(self, outcomes: Sequence[Outcome]) -> Collection[str]:
        """Write outcomes."""
        return self.settle(outcomes)

    def record_unsent(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes of records that were not sent."""
        self.note(outcomes)


def claim_at(batch: Batch, place: int, batch_id: str) -> Claim:
    """Return the claim of one record."""
    return Claim(
        record_identifier=batch.identifiers[place],
        row_index=batch.row_indexes[place],
        batch_id=batch_id,
        attempts=batch.attempts(place) + 1,
        payload_hash=batch.payload_hashes[place],
        payload=batch.payloads[place],
        standing=batch.history(place).state,
        body=batch.bodies[place],
    )
