"""The ledger of a push that nobody remembers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.records.batch import Batch, BatchResult
from airflow_provider_contacts.records.record_state import Holder, RecordState
from airflow_provider_contacts.vendor_kit.vendor import Payload


class MemoryLedger:
    """The ledger of a push that nobody remembers: it tells a duplicate within the input, nothing more.

    Keeps some hundred bytes for every record; a push that must stay small needs a table.
    """

    durable = False

    def __init__(self, token: str, sync_run_id: str = "") -> None:
        self.token = token
        self.sync_run_id = sync_run_id
        # Status, batch, digest and attempts of each record; the record of each contact.
        self._rows: dict[str, tuple[Status, str | None, str | None, int]] = {}
        self._ids: dict[str, str] = {}

    def states(self, identifiers: Collection[str]) -> Mapping[str, RecordState]:
        """Return what this execution has decided so far."""
        found: dict[str, RecordState] = {}
        for identifier in self._rows.keys() & set(identifiers):
            status, batch_id, payload_hash, attempts = self._rows[identifier]
            found[identifier] = RecordState(
                record_identifier=identifier,
                status=status,
                batch_id=batch_id,
                sync_run_id=self.sync_run_id,
                payload_hash=payload_hash,
                attempts=attempts,
            )
        return found

    def record_and_claim(
        self, results: Sequence[BatchResult], batches: Mapping[str, Batch]
    ) -> Mapping[str, Collection[int]]:
        """Remember results and claims; nobody competes for these."""
        self.record_results(results)
        for batch_id, batch in batches.items():
            for place, (identifier, payload_hash) in enumerate(
                zip(batch.identifiers, batch.payload_hashes, strict=True)
            ):
                self._rows[identifier] = (Status.SENDING, batch_id, payload_hash, batch.attempts(place) + 1)
        return {}

    def record_results(self, results: Sequence[BatchResult]) -> None:
        """Remember the results."""
        for result in results:
            self.record_outcomes(list(result.outcomes()))

    def record_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Remember the outcomes."""
        for one in outcomes:
            self._rows[one.record_identifier] = (one.status, one.batch_id, one.payload_hash, one.attempts)
            if one.destination_record_id is not None and one.status is Status.SUCCEEDED:
                self._ids[one.destination_record_id] = one.record_identifier

    def record_unsent(self, outcomes: Sequence[Outcome]) -> None:
        """Remember the outcomes."""
        self.record_outcomes(outcomes)

    def payloads(self, identifiers: Collection[str]) -> Mapping[str, Payload]:  # noqa: ARG002  # the protocol's signature
        """Return nothing: no payload is kept."""
        return {}

    def holders(self, record_ids: Collection[str]) -> Collection[Holder]:
        """Return the records of this push that were given one of these contacts."""
        return [Holder(one, self._ids[one]) for one in record_ids if one in self._ids]
