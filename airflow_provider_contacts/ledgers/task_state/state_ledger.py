"""Airflow's task state store as a ledger: the write-ahead knowledge of a small push without an outcome table.

It lasts as long as the dag run, for one task and map index. There is one writer at a time: Airflow refuses the writes
of a task instance's earlier tries, and starts none twice. So what stands is read once, when the ledger is opened, and
kept here; a claim against an older version is told by that.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from airflow_provider_contacts.errors import LedgerError, SupersededError
from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.step_ledger import StepLedger
from airflow_provider_contacts.ledgers.task_state.entries import WEAK, Entry, decided, is_due, key_of, marked
from airflow_provider_contacts.ledgers.task_state.journal import (
    NEWEST,
    Head,
    Journal,
    Store,
    check_binding,
    read_entries,
    read_heads,
)
from airflow_provider_contacts.outcome import Outcome, Status
from airflow_provider_contacts.records.record_state import ABSENT, BY_HAND, Claim, Holder, RecordState
from airflow_provider_contacts.vendor_kit.vendor import Payload


class TaskStateLedger(StepLedger):
    """The ledger of one execution, in Airflow's task state store. Use it from the task's main thread alone.

    Ages are counted from when this execution first saw a row: they are the least that the true ones can be, whatever
    the clocks of two workers say. A resend waits the longer for it. The most that they can be is told by when the
    execution began that left the row, by those clocks.

    :param known: what earlier executions left, by key.
    :param held: ids of contacts that records of other sync ids at the same place are.
    """

    durable = True

    def __init__(
        self,
        journal: Journal,
        known: dict[str, Entry],
        held: frozenset[str],
        sync_run_id: str,
        *,
        monotonic: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self.token = journal.head.token
        self.sync_run_id = sync_run_id
        self._journal = journal
        self._known = known
        self._held = held
        self._identifiers: dict[str, str] = {}
        self._monotonic = monotonic
        self._now = now
        self._opened = monotonic()
        self._marked_at: dict[str, float] = {}
        self._written_at: dict[str, float] = {}

    @classmethod
    def open(
        cls,
        store: Store,
        *,
        sync_run_id: str,
        sync_id: str,
        destination: str,
        destination_host: str,
        destination_object: str | None,
        register: bool = True,
        token: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> TaskStateLedger:
        """Return the ledger of a new execution, which is the newest of its run from now on.

        :param register: ``False`` for a plan, which reads alone; nothing may then be claimed, settled or noted.
        :param token: drawn at random if not given; it must be new for every execution.
        :raises ConfigError: for names or a destination that cannot be used.
        :raises LedgerError: if the store fails or has lost a part of what was written.
        """
        binding = Binding(
            sync_id=sync_id,
            destination=destination,
            destination_host=destination_host,
            destination_object=destination_object or None,
        )
        binding.check()
        heads = read_heads(store, sync_run_id)
        check_binding(store, heads, binding)
        head = Head(
            number=len(heads) + 1,
            token=token or secrets.token_hex(8),
            sync_run_id=sync_run_id,
            binding=binding,
            began=now(),
        )
        if register:
            store.set(head.key, head.told())
            store.set(NEWEST, {"token": head.token, "number": head.number})
        # Read after it is known to be the newest: what an older one writes from now on, it does not send. Everything
        # is read, so that whatever was lost is found before anything is sent.
        known = read_entries(store, [one for one in heads if one.binding.sync_id == sync_id])
        others = [(one, read_entries(store, [one])) for one in heads if one.binding.sync_id != sync_id]
        held = frozenset(
            entry.destination_record_id
            for one, entries in others
            for entry in entries.values()
            if entry.status is Status.SUCCEEDED and entry.destination_record_id is not None
            if one.binding.place() == binding.place()
        )
        return cls(Journal(store, head), known, held, sync_run_id, monotonic=monotonic, now=now)

    def standing(self, identifiers: Collection[str]) -> Mapping[str, RecordState]:
        """Return what is known of these records; those without a row are left out."""
        found: dict[str, RecordState] = {}
        for identifier in identifiers:
            key = key_of(identifier)
            self._identifiers[key] = identifier
            entry = self._known.get(key)
            if entry is not None:
                ended = None if entry.status is Status.SENDING else self._since(self._written_at, key)
                found[identifier] = RecordState(
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
                    age=self._since(self._marked_at, key),
                    oldest=self._oldest(entry),
                    ended=ended,
                    was_in_doubt=entry.was_in_doubt or entry.error_code in {ABSENT, BY_HAND},
                )
        return found

    def _since(self, moments: Mapping[str, float], key: str) -> float:
        return self._monotonic() - moments.get(key, self._opened)

    def _oldest(self, entry: Entry) -> float | None:
        if entry.since is None or entry.key in self._marked_at:
            return None
        return max(self._since(self._marked_at, entry.key), self._now() - entry.since)

    def sent(self, identifiers: Collection[str]) -> Mapping[str, Payload]:  # noqa: ARG002  # the protocol's signature
        """Return nothing: no payload is kept."""
        return {}

    def holders(self, record_ids: Collection[str]) -> Collection[Holder]:
        """Return the ``succeeded`` rows of this destination that name one of these contacts.

        Of a record that this execution has not asked about yet the identifier is not known, as if another held it.

        """
        wanted = frozenset(record_ids)
        others = [Holder(one, None) for one in wanted & self._held]
        return others + [
            Holder(entry.destination_record_id, self._identifiers.get(key))
            for key, entry in self._known.items()
            if entry.status is Status.SUCCEEDED and entry.destination_record_id in wanted
        ]

    def claim(self, marks: Sequence[Claim]) -> Collection[str]:
        """Write ``sending`` for each record whose row is still as it was read; return the identifiers written.

        The newest execution is asked for after the marks are written: one that registers later reads them, one that
        registered earlier is seen.

        :raises LedgerError: also if the fate of a write is not known; then nothing may be sent.
        :raises SupersededError: if a newer execution of the run has registered.
        """
        if len({mark.record_identifier for mark in marks}) != len(marks):
            raise ValueError("one claim names a record twice")
        claimed = {mark.record_identifier: marked(mark) for mark in marks if self._is_as_read(mark)}
        if not claimed:
            return frozenset()
        before = {entry.key: self._known.get(entry.key) for entry in claimed.values()}
        # Kept here before it is written: what may have arrived counts as written, and is never sent unless it has.
        self._keep(claimed.values())
        now = self._monotonic()
        self._marked_at.update(dict.fromkeys(before, now))
        self._journal.append(list(claimed.values()))
        self._journal.flush()
        try:
            self._check()
        except SupersededError:
            self._take_back(before)
            raise
        return frozenset(claimed)

    def _is_as_read(self, mark: Claim) -> bool:
        known, read = self._known.get(key_of(mark.record_identifier)), mark.standing
        if known is None or read is None:
            return known is None and read is None
        return (known.status, known.batch_id) == (read.status, read.batch_id) and known.status is not Status.SUCCEEDED

    def _take_back(self, before: Mapping[str, Entry | None]) -> None:
        """Remove marks of which nothing was sent; where that fails they are a doubt too many."""
        self._journal.forget(before)
        for key, entry in before.items():
            if entry is None:
                del self._known[key]
            else:
                self._known[key] = entry
        with suppress(LedgerError):
            self._journal.flush()

    def settle(self, outcomes: Sequence[Outcome]) -> Collection[str]:
        """Write outcomes where the row still waits for the answer to the outcome's batch; return those written.

        A newer execution does not prevent it: an answer is knowledge, whoever received it.

        :raises LedgerError: if the store fails; to be called again then, which writes what may not have arrived.
        """
        due: dict[str, Entry] = {}
        for outcome in outcomes:
            known = self._known.get(key_of(outcome.record_identifier))
            if known is None:
                continue
            entry = decided(outcome, known)
            if is_due(known, entry):
                # What was sent is known from the mark.
                due[outcome.record_identifier] = replace(entry, payload_hash=known.payload_hash)
        changed = [entry for entry in due.values() if entry != self._known[entry.key]]
        self._journal.change(changed)
        self._keep(changed)
        self._journal.flush()
        return frozenset(due)

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Write outcomes of records that were not sent, over no row or one that is just as weak.

        :raises LedgerError: if the store fails.
        :raises SupersededError: if a newer execution has registered: it decides on these records itself.
        """
        noted: dict[str, Entry] = {}
        for outcome in outcomes:
            known = self._known.get(key_of(outcome.record_identifier))
            if known is None or known.status in WEAK:
                entry = decided(outcome, known)
                noted[entry.key] = entry
        if not noted:
            return
        self._check()
        self._keep(noted.values())
        self._journal.append(list(noted.values()))
        self._journal.flush()

    def _keep(self, entries: Collection[Entry]) -> None:
        now = self._monotonic()
        for entry in entries:
            self._known[entry.key] = entry
            self._written_at[entry.key] = now

    def _check(self) -> None:
        newest = self._journal.store.get(NEWEST)
        if not isinstance(newest, dict) or newest.get("token") != self.token:
            raise SupersededError(
                f"a newer execution of {self.sync_run_id} has taken over, or its task state store was cleared; this "
                "one sends nothing more"
            )
