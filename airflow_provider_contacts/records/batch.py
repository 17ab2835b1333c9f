"""Records that go into one request together, and what its answer makes of them, in columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import replace

from airflow_provider_contacts.frozen import Value
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.records.record import Record, outcome_of
from airflow_provider_contacts.records.record_state import RecordState
from airflow_provider_contacts.vendor_kit.vendor import Payload

COLUMNS = ("identifiers", "row_indexes", "payloads", "bodies", "payload_hashes")


class History(Value, frozen=True, kw_only=True):
    """What was known of a record before it joined its batch."""

    state: RecordState | None = None  # its row as last read or written; a claim is made against this version
    # It may exist already, and is sent again because the user asked for it: all but success is ``unknown``.
    doubted: bool = False
    reconciled: bool = False  # it was in doubt once, and a reading or a person said that it does not exist
    claims: int = 0  # claims that were lost to another execution
    rounds: int = 0  # readings in this try that it has been through


NO_HISTORY = History()


class Batch(Value, frozen=True, kw_only=True):
    """Records of one request, in the order of the request: columns of equal length."""

    identifiers: Sequence[str] = ()
    row_indexes: Sequence[int] = ()  # positions in the input, from 0
    payloads: Sequence[Payload] = ()  # as they are sent, destination and generated fields included
    bodies: Sequence[bytes] = ()  # the payloads as JSON text
    payload_hashes: Sequence[str] = ()  # digests of the mapped payloads, with their version
    histories: Mapping[int, History] = msgspec.field(default_factory=dict)  # by place, where anything was known before
    tries: int = 0  # results so far that settled nothing, in this try of the task
    renewed: bool = False  # the credential has been renewed for it already
    due: float = 0.0  # the moment (monotonic) before which it must not leave
    batch_id: str = ""  # of the request that carries it; begins with the execution's token and a dot
    marked_at: float = 0.0  # the moment (monotonic) before its claim was written
    sent_at: float = 0.0  # the moment (monotonic) at which it was handed to the sender

    def __len__(self) -> int:
        """Return how many records it holds."""
        return len(self.identifiers)

    def record(self, place: int) -> Record:
        """Return one record by itself."""
        return Record(
            record_identifier=self.identifiers[place],
            row_index=self.row_indexes[place],
            payload=self.payloads[place],
            body=self.bodies[place],
            payload_hash=self.payload_hashes[place],
        )

    def history(self, place: int) -> History:
        """Return what was known of a record before."""
        return self.histories.get(place, NO_HISTORY)

    def attempts(self, place: int) -> int:
        """Return how many requests have carried a record before, over all tries and runs."""
        state = self.history(place).state
        return state.attempts if state is not None else 0

    def select(self, places: Sequence[int]) -> Batch:
        """Return the records at some places, in that order."""
        if len(places) == len(self) and list(places) == list(range(len(self))):
            return self
        if isinstance(places, range):
            columns = {name: getattr(self, name)[places.start : places.stop] for name in COLUMNS}
        else:
            columns = {name: list(map(getattr(self, name).__getitem__, places)) for name in COLUMNS}
        histories = {new: self.histories[old] for new, old in enumerate(places) if old in self.histories}
        return replace(self, **columns, histories=histories)


NOTHING = Batch()


def joined(batches: Sequence[Batch]) -> Batch:
    """Return the records of several batches, one after the other."""
    filled = [batch for batch in batches if len(batch)]
    if len(filled) == 1:
        return filled[0]
    histories: dict[int, History] = {}
    start = 0
    for batch in filled:
        histories.update({start + place: history for place, history in batch.histories.items()})
        start += len(batch)
    columns: dict[str, Any] = {name: [one for batch in filled for one in getattr(batch, name)] for name in COLUMNS}
    return Batch(**columns, histories=histories)


def batch_of(records: Iterable[Record], histories: Sequence[History] = (), due: float = 0.0) -> Batch:
    """Return records as a batch; ``histories`` are theirs, in the same order."""
    found = list(records)
    return Batch(
        identifiers=[record.record_identifier for record in found],
        row_indexes=[record.row_index for record in found],
        payloads=[record.payload for record in found],
        bodies=[record.body for record in found],
        payload_hashes=[record.payload_hash for record in found],
        histories=dict(enumerate(histories)),
        due=due,
    )


def records_of(batch: Batch, others: Sequence[Record] = ()) -> list[Record]:
    """Return the records of a batch and others, in the order of their rows."""
    return sorted([*map(batch.record, range(len(batch))), *others], key=attrgetter("row_index"))


class BatchResult(Value, frozen=True, kw_only=True):
    """What an answer, or the lack of one, makes of a batch's records."""

    batch: Batch
    batch_id: str
    http_status: int | None = None
    ids: Sequence[str | None]  # by place: the vendor's id of each record that it confirms; ``None`` where it tells none
    exceptions: Mapping[int, Outcome] = msgspec.field(default_factory=dict)  # by place: of those it does not confirm

    def confirmed(self) -> Iterator[Outcome]:
        """Make the outcome of every record that the vendor confirms."""
        for place, record_id in enumerate(self.ids):
            if place not in self.exceptions:
                yield outcome_of(
                    self.batch.record(place),
                    Status.SUCCEEDED,
                    destination_record_id=record_id,
                    attempts=self.batch.attempts(place) + 1,
                    batch_id=self.batch_id,
                    http_status=self.http_status,
                )

    def outcomes(self) -> Iterator[Outcome]:
        """Make the outcome of every record."""
        yield from self.confirmed()
        yield from self.exceptions.values()


@dataclass(frozen=True, slots=True)
class Finished:
    """Records that have their outcome: those that an answer confirms, and the outcomes of any others.

    ``Outcome`` values of the confirmed are made when somebody iterates.
    """

    answer: BatchResult | None = None
    others: Sequence[Outcome] = field(default=(), repr=False)

    @property
    def num_confirmed(self) -> int:
        """How many records the answer confirms."""
        return len(self.answer.batch) - len(self.answer.exceptions) if self.answer is not None else 0

    def __iter__(self) -> Iterator[Outcome]:
        """Yield one outcome a record."""
        if self.answer is not None:
            yield from self.answer.confirmed()
        yield from self.others

    def __len__(self) -> int:
        """Return how many records there are."""
        return self.num_confirmed + len(self.others)
