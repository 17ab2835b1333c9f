"""What an execution must remember, as a protocol: marks before a request leaves, outcomes after it.

One ledger value belongs to one execution of one push. It is used from one thread.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from airflow_provider_contacts.core.outcome import Outcome, Status
from airflow_provider_contacts.core.value import Value
from airflow_provider_contacts.core.vendor import Payload


class Standing(Value, frozen=True, kw_only=True):
    """What the ledger holds of one record.

    :param age: seconds since the row's mark (``batch_started_at``), by the ledger's own clock.
    :param oldest: seconds since its mark at most, where ``age`` is only the least; ``None``: ``age`` is exact.
    :param ended: seconds since its outcome was written (``batch_completed_at``), by the same clock; ``None`` without.
    :param sync_run_id: the run that wrote it last.
    :param batch_id: with ``status`` the version of the row: every mark draws a new one.
    :param was_in_doubt: an earlier request may have created it after all, although a reading or a person said no.
    """

    record_identifier: str
    status: Status
    batch_id: str | None = None
    sync_run_id: str | None = None
    payload_hash: str | None = None
    destination_record_id: str | None = None
    error_code: str | None = None
    error_field: str | None = None
    status_message: str | None = None
    http_status: int | None = None
    attempts: int = 0
    age: float = 0.0
    oldest: float | None = None
    ended: float | None = None
    was_in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Holder:
    """A row whose record is a contact at the vendor.

    :param record_identifier: ``None`` for a row of another ``sync_id``.
    """

    id: str = field(repr=False)
    record_identifier: str | None = field(repr=False)


class Mark(Value, frozen=True, kw_only=True):
    """One record about to be sent.

    :param batch_id: of the request that will carry it; begins with the ledger's token and a dot, drawn for this
        attempt alone.
    :param attempts: requests that carried this record, this one included.
    :param standing: the row as it was read, ``None`` if there was none: the claim fails if it has changed since.
    :param payload: the payload as it will be sent.
    :param body: its JSON text, where it has been made.
    """

    record_identifier: str
    row_index: int
    batch_id: str
    attempts: int
    payload_hash: str
    payload: Mapping[str, Any]
    standing: Standing | None
    body: bytes | None = None


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

    def standing(self, identifiers: Collection[str]) -> Mapping[str, Standing]:
        """Return what is known of these records; those without a row are left out."""

    def claim(self, marks: Sequence[Mark]) -> Collection[str]:
        """Write ``sending`` for each record whose row is still as it was read; return the identifiers written.

        Writing is one atomic step against the exact version read. What is not in the answer must not be sent. A
        commit whose fate is not known raises, and counts as none.
        """

    def advance(self, outcomes: Sequence[Outcome], marks: Sequence[Mark]) -> Collection[str]:
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


class StepLedger(ABC):
    """A ledger for which two writes in one save nothing."""

    @abstractmethod
    def claim(self, marks: Sequence[Mark]) -> Collection[str]:
        """Write marks."""

    @abstractmethod
    def settle(self, outcomes: Sequence[Outcome]) -> Collection[str]:
        """Write outcomes."""

    def advance(self, outcomes: Sequence[Outcome], marks: Sequence[Mark]) -> Collection[str]:
        """Settle outcomes, then claim records."""
        self.settle(outcomes)
        return self.claim(marks)


class MemoryLedger(StepLedger):
    """The ledger of a push that nobody remembers: it tells a duplicate within the input, nothing more.

    Keeps some hundred bytes for every record; a push that must stay small needs a table.
    """

    durable = False

    def __init__(self, token: str, sync_run_id: str = "") -> None:
        self.token = token
        self.sync_run_id = sync_run_id
        self._rows: dict[str, Standing] = {}
        self._ids: dict[str, str] = {}

    def standing(self, identifiers: Collection[str]) -> Mapping[str, Standing]:
        """Return what this execution has decided so far."""
        return {one: self._rows[one] for one in identifiers if one in self._rows}

    def claim(self, marks: Sequence[Mark]) -> Collection[str]:
        """Remember the marks; nobody competes for them."""
        for mark in marks:
            self._rows[mark.record_identifier] = Standing(
                record_identifier=mark.record_identifier,
                status=Status.SENDING,
                batch_id=mark.batch_id,
                sync_run_id=self.sync_run_id,
                payload_hash=mark.payload_hash,
                attempts=mark.attempts,
            )
        return [mark.record_identifier for mark in marks]

    def settle(self, outcomes: Sequence[Outcome]) -> Collection[str]:
        """Remember the outcomes."""
        self.note(outcomes)
        return [outcome.record_identifier for outcome in outcomes]

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Remember the outcomes."""
        for outcome in outcomes:
            self._rows[outcome.record_identifier] = Standing(
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
