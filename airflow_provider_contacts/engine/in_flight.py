"""A request on its way, and what its result makes of its records."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from airflow_provider_contacts.engine.policy import Verdict
from airflow_provider_contacts.outcome import Outcome, RecordError, Status
from airflow_provider_contacts.records.item import Doubted, Item, again
from airflow_provider_contacts.records.record_state import Claim
from airflow_provider_contacts.records.unsent_outcomes import remembering, standing_outcome
from airflow_provider_contacts.vendor_kit.answers import says_exists
from airflow_provider_contacts.vendor_kit.results import Result
from airflow_provider_contacts.vendor_kit.vendor import Again, Created, Doubt, Payload, Rejected, Reply, Response, Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Records that go into one request together.

    :param tries: results so far that settled nothing, in this try of the task.
    :param renewed: the credential has been renewed for it already.
    :param due: the moment (monotonic) before which it must not leave.
    """

    items: tuple[Item, ...] = field(repr=False)
    tries: int = 0
    renewed: bool = False
    due: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """One request whose marks are durable.

    :param marked_at: the moment (monotonic) before its marks were written.
    :param sent_at: the moment at which it was handed over.
    """

    group: Group
    batch_id: str
    marked_at: float
    sent_at: float = 0.0

    @property
    def sent(self) -> Sequence[Payload]:
        """The payloads, in the order of the request."""
        return [item.prepared.payload for item in self.group.items]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """What a result makes of a flight's records.

    :param outcomes: records that are done with.
    :param doubts: records that are done with unless reading the vendor back settles them.
    :param interim: rows of records that will be sent again, certain again in the meantime.
    :param groups: those records, to be sent again.
    """

    outcomes: list[Outcome]
    interim: list[Outcome]
    groups: list[Group]
    doubts: list[Doubted] = field(default_factory=list)

    @property
    def written(self) -> list[Outcome]:
        """Every outcome that wants its row written."""
        return [*self.outcomes, *self.interim, *(doubted.outcome for doubted in self.doubts)]


def mark(item: Item, batch_id: str) -> Claim:
    """Return what is written before a record leaves."""
    prepared = item.prepared
    return Claim(
        record_identifier=prepared.record_identifier,
        row_index=prepared.row_index,
        batch_id=batch_id,
        attempts=item.attempts + 1,
        payload_hash=prepared.payload_hash,
        payload=prepared.payload,
        standing=item.standing,
        body=prepared.body,
    )


def land(  # a result has many sides
    flight: Flight,
    result: Result,
    verdict: Verdict,
    *,
    again_due: float | None,
    sync_run_id: str,
    read_back: bool = False,
    exists_codes: Collection[str] = (),
) -> BatchResult:
    """Return what becomes of a flight's records.

    :param again_due: the moment from which records may be sent again; ``None``: not in this try.
    :param read_back: whether records in doubt are looked for at the vendor.
    :param exists_codes: codes by which the vendor says that a contact exists.
    """
    landing = BatchResult(outcomes=[], interim=[], groups=[])
    http_status = result.status if isinstance(result, Response) else None
    back: list[Item] = []
    for item, reply in zip(flight.group.items, verdict.replies, strict=True):
        if type(reply) is Created:
            # Nearly all of them, and none of the questions below is about these.
            landing.outcomes.append(created(item, reply, flight.batch_id, http_status))
            continue
        outcome = outcome_of(item, reply, flight.batch_id, http_status, exists_codes)
        repeats = again_due is not None and (isinstance(reply, Again) or (verdict.renew and isinstance(reply, Stop)))
        if not repeats:
            if read_back and outcome.status is Status.UNKNOWN:
                back_again = again(item, outcome, sync_run_id)
                landing.doubts.append(Doubted(item=back_again, outcome=outcome, exists=isinstance(reply, Rejected)))
            else:
                landing.outcomes.append(outcome)
            continue
        landing.interim.append(outcome)
        back.append(again(item, outcome, sync_run_id))
    if back and again_due is not None:
        landing.groups.extend(regroup(flight.group, back, verdict, again_due))
    return landing


def regroup(group: Group, back: list[Item], verdict: Verdict, due: float) -> list[Group]:
    """Return the groups of records that are sent again: together, or as two halves of what nobody is named in."""
    tries = group.tries if verdict.progress or verdict.renew else group.tries + 1
    middle = (len(back) + 1) // 2
    parts = [back[:middle], back[middle:]] if verdict.halve else [back]
    renewed = group.renewed or verdict.renew
    return [Group(items=tuple(part), tries=tries, renewed=renewed, due=due) for part in parts if part]


def created(item: Item, reply: Created, batch_id: str, http_status: int | None) -> Outcome:
    """Return the outcome of a record that the vendor confirms."""
    prepared = item.prepared
    return Outcome(
        record_identifier=prepared.record_identifier,
        row_index=prepared.row_index,
        status=Status.SUCCEEDED,
        destination_record_id=reply.id,
        http_status=http_status,
        attempts=item.attempts + 1,
        payload_hash=prepared.payload_hash,
        payload=prepared.payload,
        batch_id=batch_id,
    )


def outcome_of(
    item: Item, reply: Reply, batch_id: str, http_status: int | None, exists_codes: Collection[str] = ()
) -> Outcome:
    """Return what a reply makes of a record.

    A record that was in doubt before is in doubt still, unless the vendor confirms it. One that a reading did not find
    is in doubt again when the vendor says that it exists: the earlier request may have created it.
    """
    found: str | None = None
    errors: tuple[RecordError, ...] = ()
    match reply:
        case Created():
            return created(item, reply, batch_id, http_status)
        case Rejected(errors=errors):
            status = Status.REJECTED
        case Again(code=code, message=message) | Stop(code=code, message=message):
            status, errors = Status.FAILED, (RecordError(code, None, message),)
        case Doubt(code=code, message=message, id=found):
            status, errors = Status.UNKNOWN, (RecordError(code, None, message),)
    if item.doubted or (
        item.reconciled and status is Status.REJECTED and says_exists(errors, http_status, exists_codes)
    ):
        status = Status.UNKNOWN
    first = errors[0] if errors else RecordError("")
    prepared = item.prepared
    outcome = Outcome(
        record_identifier=prepared.record_identifier,
        row_index=prepared.row_index,
        status=status,
        destination_record_id=found,
        error_code=first.code or None,
        error_field=first.field,
        status_message=first.message,
        errors=errors,
        http_status=http_status,
        attempts=item.attempts + 1,
        payload_hash=prepared.payload_hash,
        payload=prepared.payload,
        batch_id=batch_id,
    )
    return remembering(outcome) if item.reconciled else outcome


def never_sent(item: Item, code: str, batch_id: str | None, sync_run_id: str) -> Outcome:
    """Return the outcome of a record that does not leave in this try; one in doubt stays as it stands."""
    prepared = item.prepared
    if item.doubted and item.standing is not None:
        return standing_outcome(prepared, item.standing, Status.UNKNOWN, sync_run_id)
    outcome = Outcome(
        record_identifier=prepared.record_identifier,
        row_index=prepared.row_index,
        status=Status.FAILED,
        error_code=code,
        attempts=item.attempts,
        payload_hash=prepared.payload_hash,
        payload=prepared.payload,
        batch_id=batch_id,
    )
    return remembering(outcome) if item.reconciled else outcome
