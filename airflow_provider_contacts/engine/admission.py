"""From the source to the queue: rows are prepared, held against what stands of them, and decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from msgspec import structs

from airflow_provider_contacts.engine.policy import Decision, decide
from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.engine.seen_keys import Keys
from airflow_provider_contacts.errors import ConfigError, ContactsError, LedgerError
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.records.item import Item
from airflow_provider_contacts.records.mapper import InvalidRecord, Mapper, Prepared
from airflow_provider_contacts.records.record_state import RecordState
from airflow_provider_contacts.records.sync_ids import LookFirst, look_at_nothing
from airflow_provider_contacts.records.unsent_outcomes import (
    elsewhere,
    not_attempted,
    not_unique,
    own_outcome,
    remembering,
    standing_outcome,
    unreadable,
)
from airflow_provider_contacts.vendor_kit.push_settings import OnUnknown


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedChunk:
    """What became of one chunk of the source.

    :param outcomes: records that are decided already, in order of the source.
    :param to_note: those among them that want a row.
    :param to_settle: rows left ``sending`` by a dead execution, now ``unknown``.
    :param items: records to send.
    :param doubts: records to look for at the vendor first.
    :param looked_at: the moment (monotonic) before their rows were read.
    :param error: why nothing follows, of the source or of the ledger; what was read before it is above.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    to_note: list[Outcome] = field(default_factory=list)
    to_settle: list[Outcome] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    doubts: list[tuple[Prepared | InvalidRecord, RecordState]] = field(default_factory=list)
    looked_at: float = 0.0
    error: Exception | None = None


class Admission:
    """The rows of one push, chunk by chunk.

    :param active: records queued, waiting or in flight in this execution, by identifier, with the digest of their
        payload; the engine takes them out again.
    :param chunk_size: records looked up at once.
    :param settling: seconds after its mark by which a request of any execution has ended.
    :param look_first: asked once, with the first chunk; what it raises ends the push.
    """

    def __init__(
        self,
        rows: Iterator[Any],
        *,
        mapper: Mapper,
        ledger: Ledger,
        on_unknown: OnUnknown,
        active: dict[str, str],
        chunk_size: int,
        settling: float,
        monotonic: Callable[[], float] = time.monotonic,
        look_first: LookFirst = look_at_nothing,
    ) -> None:
        self._rows: Iterator[tuple[int, Any]] = enumerate(rows)
        # Rows that have been read and prepared, and not yet held against the ledger; the one that is being prepared,
        # which must be found again by who is interrupted then; and what ended the source.
        self._ahead: list[Prepared | InvalidRecord] = []
        self._begun: tuple[int, Any] | None = None
        self.num_read = 0
        self.ended = False
        self._failure: Exception | None = None
        # What has been decided and may not have reached the engine.
        self._taken: AdmittedChunk | None = None
        self._mapper, self._ledger = mapper, ledger
        self._on_unknown = on_unknown
        self._active = active
        self._chunk_size, self._settling = chunk_size, settling
        self._monotonic = monotonic
        self._look_first = look_first
        self._notes = 0
        self.keys = Keys(active, mapper.sync_key, token=ledger.token)

    def take(self) -> AdmittedChunk | None:
        """Read, prepare and decide one chunk; ``None`` at the end of the source."""
        self._read()
        if not self._ahead and self._failure is None:
            return None
        chunk, error = self._ahead, self._failure
        wanted = {one.record_identifier for one in chunk} - self._active.keys()
        before = self._monotonic()
        try:
            self._look_first(chunk)
            standings = self._ledger.standing(wanted) if wanted else {}
        except (ConfigError, LedgerError) as failure:
            self._ahead = []
            return AdmittedChunk(outcomes=[not_attempted(record) for record in chunk], error=failure)
        self._look_first = look_at_nothing
        taken = AdmittedChunk(error=error, looked_at=before)
        self._notes += 1
        try:
            self._decide_all(chunk, standings, taken)
        finally:
            # Who is interrupted must find them again: the rest has not been sent.
            if left := unmet(chunk, taken):
                taken.outcomes.extend(not_attempted(record) for record in left)
            self._taken = taken
            self._ahead, self._failure = [], None
        return taken

    def take_last(self) -> AdmittedChunk | None:
        """Return the chunk that was taken last, if it was not handed over, else all that has been read."""
        return self._taken if self._taken is not None else self.take()

    def handed_over(self) -> None:
        """Forget the chunk that was taken last: all of it is where it belongs."""
        self._taken = None

    def _decide_all(
        self, chunk: Sequence[Prepared | InvalidRecord], standings: Mapping[str, RecordState], taken: AdmittedChunk
    ) -> None:
        # The rows as they were read do not know what is decided in this chunk.
        invalid: dict[str, str] = {}
        for record in chunk:
            identifier = record.record_identifier
            standing = standings.get(identifier)
            same = self.keys.is_same(record, invalid)
            if same is not None:
                taken.outcomes.append(self._later_one(record, same=same))
            elif standing is None and type(record) is Prepared:
                # What decide says of nearly every record, without asking it.
                self._active[identifier] = record.payload_hash
                taken.items.append(Item(prepared=record))
            elif self._decide(record, standing, taken) is Decision.INVALID:
                invalid[identifier] = record.payload_hash

    def _later_one(self, record: Prepared | InvalidRecord, *, same: bool) -> Outcome:
        if same:
            return self._outcome(record, Status.DUPLICATE)
        self.keys.not_unique += 1
        return not_unique(record, self._mapper.sync_key)

    def _read(self) -> None:
        """Read and prepare one chunk, or what an interrupted one lacks; the rows before a source's failure count."""
        if self._failure is not None:
            return
        try:
            if self._begun is not None and not (self._ahead and self._ahead[-1].row_index == self._begun[0]):
                self._ahead.append(self._prepare(*self._begun))
            for begun in islice(self._rows, self._chunk_size - len(self._ahead)):
                self._begun = begun
                self.num_read = begun[0] + 1
                self._ahead.append(self._prepare(*begun))
            self.ended = len(self._ahead) < self._chunk_size
        except Exception as error:  # noqa: BLE001  # whatever the source raises, raised again at the end of the push
            self._failure = error
        self._begun = None

    def _prepare(self, row_index: int, row: Any) -> Prepared | InvalidRecord:
        """Prepare one row; whatever a value of it raises is this row's alone, and its neighbours go their way."""
        try:
            return self._mapper.prepare(row_index, row)
        except ContactsError:
            raise
        except Exception as error:  # noqa: BLE001  # any class of a user's value; its text may quote the record
            return unreadable(row_index, row, self._mapper.sync_key, type(error).__name__)

    def end(self) -> None:
        """Read no more; what has been read already is still to be taken."""
        self._rows = iter(())

    def decide_again(self, items: list[Item]) -> AdmittedChunk:
        """Decide anew about records whose claim was lost: somebody else has written their rows."""
        before = self._monotonic()
        standings: Mapping[str, RecordState] = self._ledger.standing([i.prepared.record_identifier for i in items])
        taken = AdmittedChunk(looked_at=before)
        for item in items:
            record = item.prepared
            standing = standings.get(record.record_identifier)
            self._decide(record, standing, taken, claims=item.claims + 1)
        return taken

    def _decide(
        self, record: Prepared | InvalidRecord, standing: RecordState | None, taken: AdmittedChunk, claims: int = 0
    ) -> Decision:
        """Decide about one record."""
        identifier = record.record_identifier
        decision = decide(
            standing,
            record.payload_hash,
            fit=isinstance(record, Prepared),
            token=self._ledger.token,
            sync_run_id=self._ledger.sync_run_id,
            on_unknown=self._on_unknown,
        )
        if isinstance(record, Prepared) and decision in {Decision.SEND, Decision.RESEND}:
            self._active[identifier] = record.payload_hash
            taken.items.append(self._item(record, standing, doubted=decision is Decision.RESEND, claims=claims))
            return decision
        if decision is Decision.RECONCILE and standing is not None:
            self._active[identifier] = record.payload_hash
            taken.doubts.append((record, standing))
            return decision
        self._active.pop(identifier, None)
        outcome = self._decided(record, standing, decision)
        if decision is Decision.SKIP and not self.keys.skip(record):
            # One delivery, however often its key comes.
            outcome = structs.replace(outcome, from_this_run=False)
        taken.outcomes.append(outcome)
        if decision is Decision.INVALID:
            taken.to_note.append(outcome)
        elif decision not in {Decision.SKIP, Decision.DUPLICATE, Decision.NOT_UNIQUE}:
            self.keys.remember(identifier, record.payload_hash)
        if decision is Decision.HOLD and standing is not None and standing.status is Status.SENDING:
            taken.to_settle.append(outcome)
        return decision

    def _item(self, record: Prepared, standing: RecordState | None, *, doubted: bool, claims: int) -> Item:
        rest = self._settling - standing.age if doubted and standing is not None else 0.0
        attempts = standing.attempts if standing is not None else 0
        return Item(
            prepared=record,
            standing=standing,
            attempts=attempts,
            doubted=doubted,
            not_before=max(0.0, rest),
            claims=claims,
            reconciled=standing is not None and standing.was_in_doubt,
        )

    def _decided(self, record: Prepared | InvalidRecord, standing: RecordState | None, decision: Decision) -> Outcome:
        if decision is Decision.INVALID or standing is None:
            outcome = self._outcome(record, Status.INVALID)
            return remembering(outcome) if standing is not None and standing.was_in_doubt else outcome
        match decision:
            case Decision.DUPLICATE | Decision.NOT_UNIQUE:
                return self._later_one(record, same=decision is Decision.DUPLICATE)
            case Decision.ELSEWHERE:
                return elsewhere(record)
            case Decision.SKIP:
                status = Status.SKIPPED
            case Decision.HOLD:
                status = Status.UNKNOWN
            case _:
                status = standing.status
        return standing_outcome(record, standing, status, self._ledger.sync_run_id)

    def _outcome(self, record: Prepared | InvalidRecord, status: Status) -> Outcome:
        return own_outcome(record, status, f"{self._ledger.token}.i{self._notes}")


def unmet(chunk: Sequence[Prepared | InvalidRecord], taken: AdmittedChunk) -> list[Prepared | InvalidRecord]:
    """Return the records of a chunk about which nothing is decided: none, unless it was interrupted."""
    if len(taken.outcomes) + len(taken.items) + len(taken.doubts) == len(chunk):
        return []
    met = {outcome.row_index for outcome in taken.outcomes}
    met |= {item.prepared.row_index for item in taken.items} | {record.row_index for record, _ in taken.doubts}
    return [record for record in chunk if record.row_index not in met]
