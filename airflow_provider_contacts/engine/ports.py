"""What an execution must remember, as a protocol: marks before a request leaves, outcomes after it.

One ledger value belongs to one execution of one push. It is used from one thread.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.records.record_state import Claim, Holder, RecordState
from airflow_provider_contacts.vendor_kit.vendor import Payload


class Ledger(Protocol):
    """The memory of one execution.

    Every method that writes is one transaction, durable when it returns. Each raises ``LedgerError`` when the store
    cannot be used, and ``SupersededError`` when a newer execution of the same ``sync_run_id`` has registered.
    """

    @property
    def token(self) -> str:
        """The random word that begins every ``batch_id`` of this execution."""

    @property
    def sync_run_id(self) -> str:
        """The run that this execution belongs to."""

    @property
    def durable(self) -> bool:
        """Whether a later execution will read what this one writes."""

    def standing(self, identifiers: Collection[str]) -> Mapping[str, RecordState]:
        """Return what is known of these records; those without a row are left out."""

    def claim(self, marks: Sequence[Claim]) -> Collection[str]:
        """Write ``sending`` for each record whose row is still as it was read; return the identifiers written.

        Writing is one atomic step against the exact version read. What is not in the answer must not be sent. A
        commit whose fate is not known raises, and counts as none.
        """

    def advance(self, outcomes: Sequence[Outcome], marks: Sequence[Claim]) -> Collection[str]:
        """Settle outcomes and claim other records, where that can be done as one write; return what was claimed.

        If it raises, nothing may be sent, and the outcomes count as not written.
        """

    def settle(self, outcomes: Sequence[Outcome]) -> Collection[str]:
        """Write outcomes where the row still carries the outcome's ``batch_id``; return the identifiers written.

        For what was claimed by this execution, and for an inherited ``sending`` that becomes ``unknown``.
        """

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Write ``invalid`` and ``failed`` outcomes of records that this execution has not sent.

        They never replace ``succeeded``, ``unknown`` or ``sending``.
        """

    def sent(self, identifiers: Collection[str]) -> Mapping[str, Payload]:
        """Return the payloads that were sent last, of those records for which one is stored."""

    def holders(self, record_ids: Collection[str]) -> Collection[Holder]:
        """Return the ``succeeded`` rows of this destination, of any ``sync_id``, that name one of these contacts.

        An id that stands beside a doubt is evidence for a person, and holds nothing.
        """
