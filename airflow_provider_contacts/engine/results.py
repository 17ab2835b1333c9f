"""What an answer, or the lack of one, makes of the records of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import structs

from airflow_provider_contacts.engine.policy import Disposition
from airflow_provider_contacts.frozen import Value
from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.records.batch import Batch, BatchResult, Finished, History
from airflow_provider_contacts.records.record import outcome_of, outcome_of_state, remembering
from airflow_provider_contacts.records.record_state import state_after
from airflow_provider_contacts.vendor_kit.answers import says_exists
from airflow_provider_contacts.vendor_kit.vendor import Again, Created, Doubt, Rejected, Reply, Stop


class Judged(Value, frozen=True, kw_only=True):
    """A result, and what becomes of its records."""

    result: BatchResult
    again: Sequence[Batch]  # batches to be sent again
    in_doubt: Mapping[int, bool]  # by place, those that are looked for: whether the vendor says that they exist
    finished: Finished  # the others; ``identifiers`` are theirs
    identifiers: Sequence[str]


def result_of(batch: Batch, disposition: Disposition, http_status: int | None) -> BatchResult:
    """Return the outcomes of a batch's records."""
    replies = disposition.replies
    return BatchResult(
        batch=batch,
        batch_id=batch.batch_id,
        http_status=http_status,
        ids=replies.ids,
        exceptions={
            place: unconfirmed(batch, place, reply, http_status) for place, reply in replies.exceptions.items()
        },
    )


def judged(
    result: BatchResult, disposition: Disposition, *, again_due: float | None, sync_run_id: str, read_back: bool = False
) -> Judged:
    """Return which records of a result are sent again, and which are looked for.

    :param again_due: the moment from which records may be sent again; ``None``: not in this try.
    """
    # By place, in their order. Where a refusal of everything may go again, the credential is being renewed.
    repeated = {
        place: reply
        for place, reply in sorted(disposition.replies.exceptions.items())
        if again_due is not None and isinstance(reply, Again | Stop)
    }
    in_doubt = {
        place: isinstance(disposition.replies.exceptions[place], Rejected)
        for place, outcome in result.exceptions.items()
        if read_back and outcome.status is Status.UNKNOWN and place not in repeated
    }
    left, identifiers = {*repeated, *in_doubt}, result.batch.identifiers
    return Judged(
        result=result,
        again=again_of(result, list(repeated), disposition, again_due or 0.0, sync_run_id),
        in_doubt=in_doubt,
        finished=Finished(result, [one for place, one in result.exceptions.items() if place not in left]),
        identifiers=[one for place, one in enumerate(identifiers) if place not in left] if left else identifiers,
    )


def again_of(
    result: BatchResult, places: Sequence[int], disposition: Disposition, due: float, sync_run_id: str
) -> list[Batch]:
    """Return the batches of records that are sent again: together, or as two halves of what nobody is named in."""
    if not places:
        return []
    batch = result.batch
    histories = {place: history_after(batch, place, result.exceptions[place], sync_run_id) for place in places}
    middle = (len(places) + 1) // 2
    parts = [places[:middle], places[middle:]] if disposition.halve else [places]
    settled_nothing = not (disposition.progress or disposition.renew)
    back = structs.replace(
        batch,
        histories=histories,
        tries=batch.tries + settled_nothing,
        renewed=batch.renewed or disposition.renew,
        due=due,
    )
    return [back.select(part) for part in parts if part]


def history_after(batch: Batch, place: int, outcome: Outcome, sync_run_id: str) -> History:
    """Return the history of a record whose row has just been written."""
    history = batch.history(place)
    return structs.replace(history, state=state_after(outcome, sync_run_id, was_in_doubt=history.reconciled))


def unconfirmed(batch: Batch, place: int, reply: Reply, http_status: int | None) -> Outcome:
    """Return the outcome of a record that the vendor does not confirm.

    A record that was in doubt before is in doubt still. One that a reading did not find is in doubt again when the
    vendor says that it exists: the earlier request may have created it.
    """
    found: str | None = None
    errors: tuple[RecordError, ...] = ()
    match reply:
        case Rejected(errors=errors):
            status = Status.REJECTED
        case Again(code=code, message=message) | Stop(code=code, message=message):
            status, errors = Status.FAILED, (RecordError(code, None, message),)
        case Doubt(code=code, message=message, id=found):
            status, errors = Status.UNKNOWN, (RecordError(code, None, message),)
        case Created():
            raise ValueError("a creation is no exception")
    history = batch.history(place)
    if history.doubted or (history.reconciled and status is Status.REJECTED and says_exists(errors, http_status)):
        status = Status.UNKNOWN
    outcome = outcome_of(
        batch.record(place),
        status,
        errors,
        attempts=batch.attempts(place) + 1,
        batch_id=batch.batch_id,
        http_status=http_status,
        destination_record_id=found,
    )
    return remembering(outcome) if history.reconciled else outcome


def not_sent(batch: Batch, code: str, batch_id: str | None, sync_run_id: str) -> list[Outcome]:
    """Return the outcomes of records that do not leave in this try; one in doubt stays as it stands."""
    outcomes = []
    for place in range(len(batch)):
        record, history = batch.record(place), batch.history(place)
        if history.doubted and history.state is not None:
            outcomes.append(outcome_of_state(record, history.state, Status.UNKNOWN, sync_run_id))
            continue
        outcome = outcome_of(record, Status.FAILED, code=code, attempts=batch.attempts(place), batch_id=batch_id)
        outcomes.append(remembering(outcome) if history.reconciled else outcome)
    return outcomes
