"""A ledger that claims a record for a stored payload only while its row still holds the payload that was read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.records.batch import Batch, BatchResult
from airflow_provider_contacts.records.stored_payloads import StoredPayload


class AsReadLedger:
    """If another payload has been written meanwhile, the claim counts as lost; ``under`` does everything else."""

    def __init__(self, under: Ledger) -> None:
        self._under = under

    def __getattr__(self, name: str) -> Any:
        """Return what the ledger itself has."""
        return getattr(self._under, name)

    def record_and_claim(
        self, results: Sequence[BatchResult], batches: Mapping[str, Batch]
    ) -> Mapping[str, Collection[int]]:
        """Claim those whose row holds the payload that was read, or has been written by this execution."""
        kept = {
            name: [place for place in range(len(batch)) if self._is_as_read(batch, place)]
            for name, batch in batches.items()
        }
        claimed = {name: batches[name].select(places) for name, places in kept.items() if places}
        lost = self._under.record_and_claim(results, claimed)
        won = {name: set(places) - {places[one] for one in lost.get(name, ())} for name, places in kept.items()}
        return {
            name: [place for place in range(len(batch)) if place not in won[name]] for name, batch in batches.items()
        }

    def _is_as_read(self, batch: Batch, place: int) -> bool:
        payload, state = batch.payloads[place], batch.history(place).state
        if not isinstance(payload, StoredPayload) or state is None:
            return not isinstance(payload, StoredPayload)
        own = (state.batch_id or "").startswith(f"{self.token}.")
        return own or state.batch_id == payload.batch_id
