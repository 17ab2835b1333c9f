"""Airflow's task state store as a ledger: the write-ahead knowledge of a small push without an outcome table.

It lasts as long as the dag run, for one task and map index. There is one writer at a time: Airflow refuses the writes
of a task instance's earlier tries, and starts none twice. So the log is read once, and claims are compared with that.
"""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, Self

from msgspec.structs import replace

from airflow_provider_contacts.errors import ConfigError, LedgerError, SupersededError
from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.task_state.entries import (
    WEAK,
    Entry,
    answers,
    entries_of,
    folded,
    key_of,
    withdrawn,
)
from airflow_provider_contacts.ledgers.task_state.log import (
    AirflowStore,
    ExecutionLog,
    Head,
    read_entries,
    read_heads,
)
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.records.batch import Batch, BatchResult
from airflow_provider_contacts.records.record_state import ABSENT, BY_HAND, Holder, RecordState
from airflow_provider_contacts.vendor_kit.push_settings import SYSTEM_CLOCK, Clock
from airflow_provider_contacts.vendor_kit.vendor import Payload


class Known(NamedTuple):
    """What is known of one record, and since when (monotonic; for inherited ones since this execution began).

    :param began: when the earlier execution began that claimed it (seconds since the epoch); ``None`` for own ones.
    """

    entry: Entry
    claimed_at: float
    written_at: float
    began: float | None = None


class TaskStateLedger:
    """The ledger of one execution; see :class:`airflow_provider_contacts.engine.ports.Ledger`.

    Ages are counted from when this execution first saw a record: the least that they can be, whatever the clocks of two
    workers say. The most that they can be is told by when the execution began that claimed the record.
    """

    durable = True

    def __init__(self, log: ExecutionLog, sync_run_id: str, clock: Clock) -> None:
        self.token, self.sync_run_id = log.head.token, sync_run_id
        self._log, self._clock = log, clock
        self._known: dict[str, Known] = {}
        self._foreign_ids: set[str] = set()
        self._identifiers: dict[str, str] = {}

    @classmethod
    def open(
        cls,
        store: AirflowStore,
        sync_run_id: str,
        binding: Binding,
        *,
        register: bool = True,
        token: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> Self:
        """Return the ledger of a new execution, which is the newest of its run from now on.

        :param register: ``False`` for a plan, which only reads; nothing may then be written.
        """
        binding.check()
        heads = read_heads(store)
        for one in heads:
            refuse_other_place(one, binding)
        token = token or secrets.token_hex(8)
        head = Head(number=len(heads) + 1, token=token, binding=binding, began=clock.now().timestamp())
        ledger = cls(ExecutionLog(store, head), sync_run_id, clock)
        if register:
            ledger._log.register()
        # Read once it is known to be the newest: what an older one writes from now on, it does not send. Every step is
        # read, also those of other sync ids, so that whatever was lost is found before anything is sent.
        for one in heads:
            ledger._inherit(one, read_entries(store, one))
        return ledger

    def _inherit(self, head: Head, entries: Iterable[Entry]) -> None:
        now, own = self._clock.monotonic(), self._log.head.binding
        for entry in entries:
            if head.binding.sync_id == own.sync_id:
                before = self._known.get(entry.key)
                after = folded(before and before.entry, entry)
                if before is not None and (after is before.entry or answers(entry, before.entry)):
                    self._known[entry.key] = before._replace(entry=after)
                else:
                    self._known[entry.key] = Known(after, now, now, head.began)
            elif entry.status is Status.SUCCEEDED and head.binding.place() == own.place():
                self._foreign_ids.add(entry.destination_record_id or "")

    def states(self, identifiers: Collection[str]) -> Mapping[str, RecordState]:
        """Return what is known of these records; those without an entry are left out."""
        keys = {key_of(identifier): identifier for identifier in identifiers}
        self._identifiers.update(keys)
        found = ((identifier, self._known.get(key)) for key, identifier in keys.items())
        return {identifier: self._state(identifier, known) for identifier, known in found if known is not None}

    def _state(self, identifier: str, known: Known) -> RecordState:
        entry, now = known.entry, self._clock.monotonic()
        age = now - known.claimed_at
        return RecordState(
            record_identifier=identifier,
            status=entry.status,
            batch_id=entry.batch_id,
            sync_run_id=self.sync_run_id,
            payload_hash=entry.payload_hash,
            destination_record_id=entry.destination_record_id,
            error_code=entry.error_code,
            error_field=entry.error_field,
            http_status=entry.http_status,
            attempts=entry.attempts,
            age=age,
            oldest=None if known.began is None else max(age, self._clock.now().timestamp() - known.began),
            ended=None if entry.status is Status.SENDING else now - known.written_at,
            was_in_doubt=entry.was_in_doubt or entry.error_code in {ABSENT, BY_HAND},
        )

    def payloads(self, identifiers: Collection[str]) -> Mapping[str, Payload]:  # noqa: ARG002  # the protocol's signature
        """Return nothing: no payload is kept."""
        return {}

    def holders(self, record_ids: Collection[str]) -> Collection[Holder]:
        """Return the ``succeeded`` records that are one of these contacts; one not asked about has no identifier."""
        wanted = frozenset(record_ids)
        return [Holder(one, None) for one in wanted & self._foreign_ids] + [
            Holder(entry.destination_record_id, self._identifiers.get(entry.key))
            for entry, *_ in self._known.values()
            if entry.status is Status.SUCCEEDED and entry.destination_record_id in wanted
        ]

    def record_and_claim(
        self, results: Sequence[BatchResult], batches: Mapping[str, Batch]
    ) -> Mapping[str, Collection[int]]:
        """Write results and claims as one step; return, by batch id, the places that were lost."""
        keys = Counter(key_of(one) for batch in batches.values() for one in batch.identifiers)
        if keys.total() > len(keys):
            raise ValueError("one claim names a record twice")
        answered = self._answered(entry for result in results for entry in entries_of(result))
        claims, lost = self._claimed(batches)
        before = [(known := self._known.get(claim.key)) and known.entry for claim in claims]
        # Kept before it is written: what may have arrived counts as written, and is never sent unless it has.
        now = self._clock.monotonic()
        self._known.update((claim.key, Known(claim, now, now)) for claim in claims)
        self._log.append([*answered, *claims])
        # Asked after the claims are written: who registers later reads them, who registered earlier is seen.
        if claims and not self._log.is_newest():
            # Nothing was sent. Where that cannot be written either, the claims are a doubt too many.
            with suppress(LedgerError):
                self._log.append(map(withdrawn, claims, before))
            raise self._superseded()
        return lost

    def _claimed(self, batches: Mapping[str, Batch]) -> tuple[Sequence[Entry], Mapping[str, Collection[int]]]:
        """Return the claims of records whose state is as it was read, and the places of the others."""
        claims, lost = list[Entry](), defaultdict[str, list[int]](list)
        for batch_id, batch in batches.items():
            for place, key in enumerate(map(key_of, batch.identifiers)):
                state, known = batch.history(place).state, self._known.get(key)
                read = state and (state.status, state.batch_id)
                stands = known and (known.entry.status, known.entry.batch_id)
                if read != stands or (state is not None and state.status is Status.SUCCEEDED):
                    lost[batch_id].append(place)
                    continue
                attempts, digest = batch.attempts(place) + 1, batch.payload_hashes[place]
                claim = Entry(key=key, status=Status.SENDING, batch_id=batch_id, attempts=attempts, payload_hash=digest)
                claims.append(claim)
        return claims, lost

    def record_results(self, results: Sequence[BatchResult]) -> None:
        """Write what answers make of own batches; called again after a failure, write what may not have arrived."""
        self.record_and_claim(results, {})

    def record_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes where the record still waits for the outcome's batch."""
        self._log.append(self._answered(map(Entry.of, outcomes)))

    def _answered(self, entries: Iterable[Entry]) -> list[Entry]:
        """Keep the entries that answer a known request, and return them as they are written."""
        answered, now = list[Entry](), self._clock.monotonic()
        for entry in entries:
            known = self._known.get(entry.key)
            if known is None or not answers(entry, known.entry):
                continue
            after = folded(known.entry, entry)
            if after is not known.entry:
                self._known[entry.key] = known._replace(entry=after, written_at=now)
                answered.append(replace(entry, payload_hash=None))
        return answered

    def record_unsent(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes of records that were not sent, over nothing or a state that is just as weak."""
        unsent, now = dict[str, Entry](), self._clock.monotonic()
        for entry in map(Entry.of, outcomes):
            known = self._known.get(entry.key)
            if known is None or known.entry.status in WEAK:
                attempts = max(entry.attempts, known.entry.attempts if known else 0)
                unsent[entry.key] = replace(entry, attempts=attempts)
        if unsent and not self._log.is_newest():
            raise self._superseded()
        self._known.update((key, Known(entry, now, now)) for key, entry in unsent.items())
        self._log.append(unsent.values())

    def _superseded(self) -> SupersededError:
        return SupersededError(
            f"a newer execution of {self.sync_run_id} has taken over, or its task state store was cleared; this one "
            "sends nothing more"
        )


def refuse_other_place(head: Head, binding: Binding) -> None:
    """Refuse a ``sync_id`` that means another destination; an execution that sent nothing has not bound it."""
    if head.steps and head.binding.sync_id == binding.sync_id and head.binding != binding:
        raise ConfigError(
            f"sync_id {binding.sync_id} remembers records of {head.binding.place()} in this dag run, and this push "
            f"goes to {binding.place()}. Give this push another sync_id, or correct its connection or destination"
        )
