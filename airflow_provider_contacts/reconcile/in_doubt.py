"""A record in doubt, and what a reading of the vendor finds out about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.records.mapper import InvalidRecord, Prepared
from airflow_provider_contacts.records.record_state import RecordState
from airflow_provider_contacts.vendor_kit.vendor import Payload


@dataclass(frozen=True, slots=True, kw_only=True)
class InDoubt:
    """A record that may exist at the vendor.

    :param record: as the source gives it today.
    :param state: its row, which is ``unknown`` or ``sending``.
    :param sought: the payload that was sent; ``None`` if it is not known any more.
    :param marked_at: the earliest moment (monotonic) at which it can have been claimed.
    :param exact: whether it was claimed then, but for the time that a ledger takes to answer.
    :param absent_from: the moment (monotonic) from which a read without it counts.
    :param outcome: its outcome so far, if its request was sent in this try.
    :param exists: the vendor says that it exists, so that a read without it proves nothing.
    :param rounds: readings in this try that it has been through.
    """

    record: Prepared | InvalidRecord
    state: RecordState
    sought: Payload | None = field(default=None, repr=False)
    marked_at: float
    exact: bool = True
    absent_from: float
    outcome: Outcome | None = None
    exists: bool = False
    rounds: int = 0


Word = Literal["found", "absent", "ambiguous", "read_failed", "not_read_back", "not_attempted"]


@dataclass(frozen=True, slots=True)
class Finding:
    """How a reading ends for one record. Every word but ``found`` and ``absent`` proves nothing.

    :param id: of the contact that the record is, if it was found.
    """

    about: InDoubt
    word: Word
    id: str = field(default="", repr=False)
