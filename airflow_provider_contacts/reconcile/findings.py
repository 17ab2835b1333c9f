"""A record in doubt, what a reading of the vendor finds out about it, and what follows from that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from msgspec.structs import replace

from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.records.batch import History
from airflow_provider_contacts.records.record import Record, outcome_of, outcome_of_state, remembering
from airflow_provider_contacts.records.record_state import ABSENT, RecordState, state_after
from airflow_provider_contacts.vendor_kit.vendor import Payload

MOST_ROUNDS = 3
"""Readings that one record goes through in one try: each follows a request whose response was lost."""

Word = Literal["found", "absent", "ambiguous", "read_failed", "not_read_back", "not_attempted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InDoubt:
    """A record that may exist at the vendor.

    :param record: as the source gives it today; ``state``: its row, which is ``unknown`` or ``sending``.
    :param sought: the payload that was sent; ``None`` if it is not known any more.
    :param marked_at: the earliest moment (monotonic) at which it can have been claimed; see ``RecordState.oldest``.
    :param absent_from: the moment (monotonic) from which a read without it counts.
    :param outcome: its outcome so far, if its request was sent in this try.
    :param exists: the vendor says that it exists, so that a read without it proves nothing.
    :param rounds: readings in this try that it has been through.
    """

    record: Record
    state: RecordState
    sought: Payload | None = field(default=None, repr=False)
    marked_at: float
    absent_from: float
    outcome: Outcome | None = None
    exists: bool = False
    rounds: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """How a reading ends for one record, and as which contact. Words but ``found`` and ``absent`` prove nothing."""

    about: InDoubt
    word: Word
    id: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What follows from findings.

    :param changed: outcomes by which rows change: the doubt ends, or what was ``sending`` becomes ``unknown``.
    :param unsent: records whose doubt ended, and that our own check refuses today.
    :param again: records to be sent again, with their histories.
    :param outcomes: of records that are finished.
    """

    changed: list[Outcome] = field(default_factory=list)
    unsent: list[Outcome] = field(default_factory=list)
    again: list[tuple[Record, History]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)


def resolve(findings: Sequence[Finding], sync_run_id: str) -> Resolution:
    """Return what follows from findings."""
    resolution = Resolution()
    for finding in findings:
        about = finding.about
        doubt = about.outcome or outcome_of_state(about.record, about.state, Status.UNKNOWN, sync_run_id)
        if finding.word == "found":
            certain = without_error(doubt, status=Status.SUCCEEDED, destination_record_id=finding.id)
            resolution.changed.append(certain)
            resolution.outcomes.append(certain)
        elif finding.word == "absent" and not about.exists:
            send_again(about, doubt, resolution, sync_run_id)
        else:
            # Also where the vendor says that it exists and does not show it.
            if about.state.status is Status.SENDING:
                resolution.changed.append(doubt)
            resolution.outcomes.append(doubt)
    return resolution


def send_again(about: InDoubt, doubt: Outcome, resolution: Resolution, sync_run_id: str) -> None:
    """Add a record that is absent at the vendor: its row says so before it is sent again."""
    errors = (RecordError(ABSENT),)
    absent = without_error(doubt, status=Status.FAILED, destination_record_id=None, error_code=ABSENT, errors=errors)
    resolution.changed.append(absent)
    if about.record.errors:
        refused = remembering(outcome_of(about.record, Status.INVALID, batch_id=doubt.batch_id))
        resolution.unsent.append(refused)
        resolution.outcomes.append(refused)
    elif about.rounds + 1 >= MOST_ROUNDS:
        resolution.outcomes.append(absent)
    else:
        state = state_after(absent, sync_run_id, was_in_doubt=True)
        resolution.again.append((about.record, History(state=state, reconciled=True, rounds=about.rounds + 1)))


def without_error(outcome: Outcome, **changes: object) -> Outcome:
    """Return an outcome of this run, without what was said of the doubt."""
    clear = {"error_code": None, "error_field": None, "status_message": None, "errors": (), "from_this_run": True}
    return replace(outcome, **{**clear, **changes})
