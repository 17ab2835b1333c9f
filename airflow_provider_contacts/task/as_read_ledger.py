"""A ledger for stored payloads: a record is claimed only as it was read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.records.batch import Batch, BatchResult
from airflow_provider_contacts.records.record_state import Holder, RecordState
from airflow_provider_contacts.records.stored_payloads import StoredPayload
from airflow_provider_contacts.vendor_kit.vendor import Payload


class AsReadLedger:
    """A ledger that claims a record for a stored payload only while its row still holds the payload that was read.

    Where another one has been written meanwhile, the engine is told that the claim is lost.

    :param under: does the work.
    """

    def __init__(self, under: Ledger) -> None:
        self.token = under.token
        self.sync_run_id = under.sync_run_id
        self.durable = under.durable
        self._under = under

    def states(self, identifiers: Collection[str]) -> Mapping[str, RecordState]:
        """Return the state of each of these records that has a row."""
        return self._under.states(identifiers)

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

    def record_results(self, results: Sequence[BatchResult]) -> None:
        """Write what answers say."""
        self._under.record_results(results)

    def record_outcomes(self, outcomes: Sequence[Outcome]) -> Collection[str]:
        """Write outcomes."""
        return self._under.record_outcomes(outcomes)

    def record_unsent(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes of records that were not sent."""
        self._under.record_unsent(outcomes)

    def payloads(self, identifiers: Collection[str]) -> Mapping[str, Payload]:
        """Return the payloads that were sent last."""
        return self._under.payloads(identifiers)

    def holders(self, record_ids: Collection[str]) -> Collection[Holder]:
        """Return the rows that name one of these contacts."""
        return self._under.holders(record_ids)
