"""What the findings of a reading make of their records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.reconcile.in_doubt import Absent, Case, Finding, Found
from airflow_provider_contacts.records.batch import History
from airflow_provider_contacts.records.mapper import InvalidRecord, Prepared
from airflow_provider_contacts.records.record_state import ABSENT, RecordState, state_after
from airflow_provider_contacts.records.unsent_outcomes import own_outcome, remembering, standing_outcome

MOST_ROUNDS = 3
"""Readings that one record goes through in one try: each follows a request whose answer was lost."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What findings make of their records.

    :param settled: rows that are in doubt no more, or in doubt for good.
    :param noted: records whose row is certain now, and that our own check refuses today.
    :param again: records to be sent again, and their histories.
    :param outcomes: records that are done with.
    """

    settled: list[Outcome] = field(default_factory=list)
    noted: list[Outcome] = field(default_factory=list)
    again: list[tuple[Prepared, History]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)


def look(findings: Sequence[Finding], sync_run_id: str) -> Looked:
    """Return what findings make of their records."""
    looked = Looked()
    for finding in findings:
        case = finding.case
        doubt = case.doubt or held(case.record, case.standing, sync_run_id)
        match finding:
            case Found(id=found):
                certain = replace(without_error(doubt), status=Status.SUCCEEDED, destination_record_id=found)
                looked.settled.append(certain)
                looked.outcomes.append(certain)
            case Absent():
                miss(case, doubt, looked, sync_run_id)
            case _:
                if case.standing.status is Status.SENDING:
                    looked.settled.append(doubt)
                looked.outcomes.append(doubt)
    return looked


def miss(case: Case, doubt: Outcome, looked: Looked, sync_run_id: str) -> None:
    """Add what becomes of a record that no reading shows: it is certain now, and sent again.

    Unless the vendor itself has said that it exists: then the two contradict each other, and it stays in doubt.
    """
    if case.exists:
        looked.outcomes.append(doubt)
        return
    reason = RecordError(ABSENT)
    certain = replace(
        without_error(doubt), status=Status.FAILED, destination_record_id=None, error_code=ABSENT, errors=(reason,)
    )
    looked.settled.append(certain)
    if isinstance(case.record, InvalidRecord):
        refused = remembering(own_outcome(case.record, Status.INVALID, doubt.batch_id))
        looked.noted.append(refused)
        looked.outcomes.append(refused)
    elif case.rounds + 1 >= MOST_ROUNDS:
        looked.outcomes.append(certain)
    else:
        state = state_after(certain, sync_run_id, was_in_doubt=True)
        looked.again.append((case.record, History(state=state, reconciled=True, rounds=case.rounds + 1)))


def held(record: Prepared | InvalidRecord, standing: RecordState, sync_run_id: str) -> Outcome:
    """Return the outcome of a record whose row is in doubt and stays so."""
    return standing_outcome(record, standing, Status.UNKNOWN, sync_run_id)


def without_error(outcome: Outcome) -> Outcome:
    """Return an outcome of this run, without what was said of the doubt."""
    return replace(outcome, error_code=None, error_field=None, status_message=None, errors=(), from_this_run=True)
