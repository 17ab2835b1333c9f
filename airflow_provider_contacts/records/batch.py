"""Records that go into one request together, and what its answer makes of them, in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from airflow_provider_contacts.frozen import Value
from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.records.record_state import RecordState
from airflow_provider_contacts.vendor_kit.vendor import Payload


class History(Value, frozen=True, kw_only=True):
    """What was known of a record before it joined its batch.

    :param state: its row as last read or written, ``None`` without one; a claim is made against this version.
    :param doubted: it may exist already, and is sent again because the user asked for it: whatever comes of it but
        success is ``unknown``.
    :param reconciled: it was in doubt once, and a reading or a person said that it does not exist.
    :param claims: claims that were lost to another execution.
    :param rounds: readings in this try that it has been through.
    """

    state: RecordState | None = None
    doubted: bool = False
    reconciled: bool = False
    claims: int = 0
    rounds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records of one request, in the order of the request: columns of equal length.

    :param row_indexes: positions in the input, from 0.
    :param payloads: as they are sent, destination and generated fields included.
    :param bodies: the payloads as JSON text.
    :param payload_hashes: digests of the mapped payloads, with their version.
    :param histories: by place, of those of which anything was known before.
    :param tries: results so far that settled nothing, in this try of the task.
    :param renewed: the credential has been renewed for it already.
    :param due: the moment (monotonic) before which it must not leave.
    """

    identifiers: Sequence[str] = field(repr=False)
    row_indexes: Sequence[int]
    payloads: Sequence[Payload] = field(repr=False)
    bodies: Sequence[bytes] = field(repr=False)
    payload_hashes: Sequence[str]
    histories: Mapping[int, History] = field(default_factory=dict, repr=False)
    tries: int = 0
    renewed: bool = False
    due: float = 0.0

    def __len__(self) -> int:
        """Return how many records it holds."""
        return len(self.identifiers)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """What an answer, or the lack of one, makes of a batch's records.

    :param ids: by place: the vendor's id of each record that it confirms; ``None`` where it tells none.
    :param exceptions: by place: the outcome of every record that the vendor does not confirm.
    """

    batch: Batch
    batch_id: str
    http_status: int | None = None
    ids: Sequence[str | None] = field(repr=False)
    exceptions: Mapping[int, Outcome] = field(default_factory=dict, repr=False)
