"""Arguments and results of the reports: frozen values, times aware and in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Generic, TypeVar

from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.records.forgotten import FORGOTTEN

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows that may be seen: those whose run is of one of these DAGs; ``None`` for all of them."""

    dag_ids: frozenset[str] | None


EVERYTHING = Scope(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs; ``since`` and ``until`` are whole days in UTC on which a try began, both included."""

    dag_id: str | None = None
    destination: str | None = None
    status: str | None = None
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFilter:
    """Which rows of a run."""

    status: str | None = None
    error_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One try of one run.

    :param counters: ``num_planned`` to ``num_requests``, and ``num_total`` where the source tells it; empty before the
        first are written.
    :param destination: ``None`` before the first write under the ``sync_id``.
    """

    run_no: int
    sync_id: str
    sync_run_id: str
    try_number: int
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    region: str | None
    status: str
    status_message: str | None = field(repr=False)
    counters: Mapping[str, int]
    started_at: datetime | None
    updated_at: datetime | None
    completed_at: datetime | None
    destination: str | None
    destination_host: str | None
    destination_object: str | None

    @property
    def is_running(self) -> bool:
        """Whether the push has not ended yet; also one whose worker died."""
        return self.status == "running"

    @property
    def duration_seconds(self) -> float | None:
        """Seconds from the try's beginning to its end, or to now."""
        if self.started_at is None:
            return None
        return max(0.0, ((self.completed_at or datetime.now(UTC)) - self.started_at).total_seconds())


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items, and the opaque cursor of those that follow; ``None`` at the end."""

    items: tuple[Item, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class DayCounts:
    """A day in UTC, and how many records of its runs have each status."""

    day: date
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CodeCount:
    """How many rows of a run have a status, code and field."""

    status: str
    error_code: str | None
    error_field: str | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsOfRun:
    """The rows of a run, counted beside its counters.

    :param codes: of the rows that still belong to it, most first.
    :param num_rows: how many these are.
    :param num_taken_over: rows that it wrote and that are another run's now, or removed.
    :param num_without_row: outcomes that it counts and that never had a row of its own.
    """

    codes: tuple[CodeCount, ...]
    num_rows: int
    num_taken_over: int
    num_without_row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRow:
    """One row of the view: a record under one ``sync_id``, as it stands.

    :param digest: the twelve digits that name the record where its identifier must not be shown.
    :param record_payload: JSON text.
    """

    sync_id: str
    record_identifier: str
    digest: str
    destination: str
    destination_host: str
    destination_object: str | None
    status: str
    destination_record_id: str | None
    error_code: str | None
    error_field: str | None
    status_message: str | None
    errors: tuple[RecordError, ...]
    http_status: int | None
    attempts: int
    record_payload: str | None
    row_index: int | None
    sync_run_id: str | None
    dag_id: str | None
    run_id: str | None
    task_id: str | None
    map_index: int | None
    try_number: int | None
    run_no: int | None
    batch_id: str
    batch_started_at: datetime | None
    batch_completed_at: datetime | None
    settled_at: datetime | None
    settled_by: str | None
    payload_hash: str | None = None

    @property
    def is_forgotten(self) -> bool:
        """Whether the person was forgotten: pushes skip the record, whatever its status is."""
        return FORGOTTEN.fullmatch(self.record_identifier) is not None

    def __repr__(self) -> str:
        """Name the record by its digest alone: all else may be personal data."""
        return f"RecordRow({self.digest})"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtGroup:
    """The records of one ``sync_id`` that are in doubt.

    :param dag_ids: of the runs that sent them.
    :param by_age: by the age of the last request: at most an ``hour``, ``day``, ``week``, or ``older``.
    """

    sync_id: str
    dag_ids: tuple[str, ...]
    destination: str
    destination_host: str
    destination_object: str | None
    num_unknown: int
    num_sending: int
    by_age: Mapping[str, int]
    oldest: datetime | None
    newest: datetime | None
