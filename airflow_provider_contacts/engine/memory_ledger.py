"""The ledger of a push that nobody remembers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.records.record_state import Claim, Holder, RecordState
from airflow_provider_contacts.vendor_kit.vendor import Payload


class MemoryLedger:
    """The ledger of a push that nobody remembers: it tells a duplicate within the input, nothing more.

    Keeps some hundred bytes for every record; a push that must stay small needs a table.
    """

    durable = False

    def __init__(self, token: str, sync_run_id: str = "") -> None:
        self.token = token
        self.sync_run_id = sync_run_id
        self._rows: dict[str, RecordState] = {}
        self._ids: dict[str, str] = {}

    def standing(self, identifiers: Collection[str]) -> Mapping[str, RecordState]:
        """Return what this execution has decided so far."""
        return {one: self._rows[one] for one in identifiers if one in self._rows}

    def claim(self, marks: Sequence[Claim]) -> Collection[str]:
        """Remember the marks; nobody competes for them."""
        for mark in marks:
            self._rows[mark.record_identifier] = RecordState(
                record_identifier=mark.record_identifier,
                status=Status.SENDING,
                batch_id=mark.batch_id,
                sync_run_id=self.sync_run_id,
                payload_hash=mark.payload_hash,
                attempts=mark.attempts,
            )
        return [mark.record_identifier for mark in marks]

    def advance(self, outcomes: Sequence[Outcome], marks: Sequence[Claim]) -> Collection[str]:
        """Settle outcomes, then claim records."""
        self.settle(outcomes)
        return self.claim(marks)

    def settle(self, outcomes: Sequence[Outcome]) -> Collection[str]:
        """Remember the outcomes."""
        self.note(outcomes)
        return [outcome.record_identifier for outcome in outcomes]

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Remember the outcomes."""
        for outcome in outcomes:
            self._rows[outcome.record_identifier] = RecordState(
                record_identifier=outcome.record_identifier,
                status=outcome.status,
                batch_id=outcome.batch_id,
                sync_run_id=self.sync_run_id,
                payload_hash=outcome.payload_hash,
                attempts=outcome.attempts,
            )
            if outcome.destination_record_id is not None and outcome.status is Status.SUCCEEDED:
                self._ids[outcome.destination_record_id] = outcome.record_identifier

    def sent(self, identifiers: Collection[str]) -> Mapping[str, Payload]:  # noqa: ARG002  # the protocol's signature
        """Return nothing: no payload is kept."""
        return {}

    def holders(self, record_ids: Collection[str]) -> Collection[Holder]:
        """Return the records of this push that were given one of these contacts."""
        return [Holder(one, self._ids[one]) for one in record_ids if one in self._ids]
