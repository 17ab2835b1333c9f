"""A record in doubt, what is asked about it, and what a reading can find out."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.records.mapper import InvalidRecord, Prepared
from airflow_provider_contacts.records.record_state import RecordState
from airflow_provider_contacts.vendor_kit.reads import Question
from airflow_provider_contacts.vendor_kit.sanitize import NAME_LENGTH, Secrets
from airflow_provider_contacts.vendor_kit.vendor import Payload, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A record in doubt.

    :param record: as the source gives it today.
    :param standing: its row, which is ``unknown`` or ``sending``.
    :param sought: what was sent; ``None`` if that is not known any more.
    :param marked_at: the earliest moment (monotonic) at which it can have been marked.
    :param exact: whether it was marked then, but for the time that a ledger takes to answer.
    :param absent_from: the moment (monotonic) from which a read without it counts.
    :param doubt: its outcome so far, for a doubt that was born in this try.
    :param exists: the vendor says that it exists, so that a reading without it proves nothing.
    :param rounds: readings in this try that it has been through.
    """

    record: Prepared | InvalidRecord
    standing: RecordState
    sought: Payload | None = field(default=None, repr=False)
    marked_at: float
    exact: bool = True
    absent_from: float
    doubt: Outcome | None = None
    exists: bool = False
    rounds: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """The record is at the vendor, as this contact."""

    case: Case
    id: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Absent:
    """The record is not at the vendor: two complete reads were without it."""

    case: Case


@dataclass(frozen=True, slots=True)
class Open:
    """Nothing is proven.

    :param code: why: ``not_read_back``, ``read_failed`` or ``ambiguous``.
    """

    case: Case
    code: str


Finding = Found | Absent | Open


def fit_to_keep(finding: Finding, secrets: Secrets) -> Finding:
    """Return a finding whose id can be kept, as one that a create request's answer tells."""
    if isinstance(finding, Found):
        return Found(finding.case, secrets.clean(finding.id, NAME_LENGTH) or "")
    return finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One read request, to be sent or on its way.

    :param about: the cases that its contacts can settle.
    :param tries: results so far that were of no use.
    :param due: the moment (monotonic) before which it must not leave.
    """

    question: Question
    about: tuple[int, ...]
    tries: int = 0
    renewed: bool = False
    due: float = -inf

    @property
    def request(self) -> Request:
        """The request itself."""
        return self.question.request
