"""A ledger for stored payloads: a record is claimed only as it was read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.records.record_state import Claim, Holder, RecordState
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

    def standing(self, identifiers: Collection[str]) -> Mapping[str, RecordState]:
        """Return what is known of these records."""
        return self._under.standing(identifiers)

    def claim(self, marks: Sequence[Claim]) -> Collection[str]:
        """Claim those whose row holds the payload that was read, or has been written by this execution."""
        return self._under.claim([mark for mark in marks if self._is_as_read(mark)])

    def advance(self, outcomes: Sequence[Outcome], marks: Sequence[Claim]) -> Collection[str]:
        """Settle outcomes, and claim as :meth:`claim` does."""
        return self._under.advance(outcomes, [mark for mark in marks if self._is_as_read(mark)])

    def _is_as_read(self, mark: Claim) -> bool:
        payload, standing = mark.payload, mark.standing
        if not isinstance(payload, StoredPayload) or standing is None:
            return not isinstance(payload, StoredPayload)
        own = (standing.batch_id or "").startswith(f"{self.token}.")
        return own or standing.batch_id == payload.batch_id

    def settle(self, outcomes: Sequence[Outcome]) -> Collection[str]:
        """Write outcomes."""
        return self._under.settle(outcomes)

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes of records that were not sent."""
        self._under.note(outcomes)

    def sent(self, identifiers: Collection[str]) -> Mapping[str, Payload]:
        """Return the payloads that were sent last."""
        return self._under.sent(identifiers)

    def holders(self, record_ids: Collection[str]) -> Collection[Holder]:
        """Return the rows that name one of these contacts."""
        return self._under.holders(record_ids)
