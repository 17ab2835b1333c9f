"""How entries lie in a key-value store that can neither compare-and-set nor list its keys.

``contacts``            the newest execution: ``{"token", "number"}``; number 0 before the first one
``contacts.<n>``        the n-th execution: see :meth:`Head.told`
``contacts.<n>.<m>``    its m-th segment: ``{"entries", "sum"}``

An execution writes its own keys alone. Which records a segment names is fixed when it is first written; later writes
change what became of them. So a write that arrives late, after one that followed it (a client that repeats a request
which timed out, two API servers), can only bring back a doubt, and never take a mark away.

Nothing is sent before the execution's own key counts the segment that names it. So a key that was lost is missed by
another one, and a crash between two writes is not taken for a loss. Each value carries a digest of what it says, of
where it stands and of whom it belongs to, which tells a value that was changed or moved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from airflow_provider_contacts.errors import ConfigError, LedgerError
from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.task_state.entries import Entry, decoded, encoded, stands

VERSION = 2
NEWEST = "contacts"

FRESH_BYTES = 32_000
"""Of a segment when it is first written: the outcomes still have to fit in."""

MOST_BYTES = 60_000
"""Of a segment: Airflow holds 65,535 for the most that a value should have."""


class Store(Protocol):
    """Values by key, for one task instance, kept over its tries.

    Both methods raise ``LedgerError`` when the store cannot be used, and ``SupersededError`` when it tells that this
    execution is not the task's any more. A :meth:`set` that raises may have been written all the same.
    """

    def get(self, key: str) -> Any:
        """Return the JSON value of a key, ``None`` if there is none."""

    def set(self, key: str, value: Any) -> None:
        """Write a JSON value, durably."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One execution, as its own key tells it.

    :param sync_run_id: the run that it belongs to.
    :param began: seconds since the epoch, by the clock of its worker.
    :param segments: at least so many were written.
    :param entries: so many records they named when they were first written.
    """

    number: int
    token: str
    sync_run_id: str
    binding: Binding
    began: float
    segments: int = 0
    entries: int = 0

    @property
    def key(self) -> str:
        """The key that holds it."""
        return f"{NEWEST}.{self.number}"

    def segment_key(self, index: int) -> str:
        """Return the key of a segment, by its index from 0."""
        return f"{self.key}.{index + 1}"

    def told(self) -> dict[str, Any]:
        """Return what stands under the key."""
        binding = self.binding
        told: dict[str, Any] = {
            "version": VERSION,
            "token": self.token,
            "run": self.sync_run_id,
            "sync_id": binding.sync_id,
            "place": [binding.destination, binding.destination_host, binding.destination_object],
            "began": self.began,
            "segments": self.segments,
            "entries": self.entries,
        }
        return {**told, "sum": sum_of(self.key, told)}

    def segment(self, index: int, entries: Sequence[Any]) -> dict[str, Any]:
        """Return what stands under the key of a segment."""
        return {"entries": entries, "sum": sum_of(self.token, index, entries)}


def sum_of(*said: Any) -> str:
    """Return a digest that tells a value that was changed; no proof against whoever knows how it is made."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def broken(key: str, what: str) -> LedgerError:
    """Return the error for a memory of which a part is not what was written."""
    return LedgerError(
        f"Airflow's task state store of this task has a hole: the key {key} {what}. An earlier execution may have sent "
        "records of which nothing is known any more, so nothing is sent. Look into the vendor's account; then restore "
        f"the key, or start a new dag run with the records that are missing there, or delete every key that begins "
        f"with '{NEWEST}' and set on_unknown=\"resend\" to send all records again. An outcome table "
        "(outcomes_conn_id) is the safer memory"
    )


def read_heads(store: Store, sync_run_id: str) -> list[Head]:
    """Return the executions so far, oldest first.

    :param sync_run_id: the run that they must belong to.
    :raises LedgerError: if the store fails, or has lost one of them.
    """
    newest, heads = store.get(NEWEST), list[Head]()
    while (told := store.get(f"{NEWEST}.{len(heads) + 1}")) is not None:
        heads.append(head_of(told, len(heads) + 1, sync_run_id))
    if newest is None and heads:
        raise broken(NEWEST, "is missing")
    if newest is not None:
        check_newest(newest, heads)
    return heads


def check_newest(newest: Any, heads: Sequence[Head]) -> None:
    """Check that the newest execution is among those that were read.

    One that registered half, and sent nothing, may stand behind it.

    :raises LedgerError: else.
    """
    match newest:
        case {"token": str(token), "number": int(number)} if number >= 0 and not isinstance(number, bool):
            if number > len(heads):
                raise broken(f"{NEWEST}.{len(heads) + 1}", "is missing")
            if token != (heads[number - 1].token if number else ""):
                raise broken(NEWEST, "does not name the execution that it should")
        case _:
            raise broken(NEWEST, "is not what was written")


def head_of(told: Any, number: int, sync_run_id: str) -> Head:
    """Return an execution.

    :raises LedgerError: for what this version has not written for this run.
    """
    match told:
        case {
            "version": 2,
            "token": str(token),
            "run": str(run),
            "sync_id": str(sync_id),
            "place": [str(vendor), str(host), (str() | None) as object_],
            "began": int() | float() as began,
            "segments": int(segments),
            "entries": int(entries),
        }:
            binding = Binding(sync_id=sync_id, destination=vendor, destination_host=host, destination_object=object_)
            counts = {"segments": segments, "entries": entries}
            head = Head(number=number, token=token, sync_run_id=run, binding=binding, began=began, **counts)
            if head.told() == told and run == sync_run_id:
                return head
            raise broken(head.key, "was changed" if run == sync_run_id else f"belongs to the run {run}")
        case {"version": int(version)} if version != VERSION:
            raise broken(f"{NEWEST}.{number}", f"was written by another version of this package (form {version})")
        case _:
            raise broken(f"{NEWEST}.{number}", "is not what was written")


def check_binding(store: Store, heads: Iterable[Head], binding: Binding) -> None:
    """Check that a ``sync_id`` means one destination; an execution that sent nothing has not bound it.

    :raises ConfigError: else.
    """
    for head in heads:
        held = head.binding
        if held.sync_id == binding.sync_id and held != binding and store.get(head.segment_key(0)) is not None:
            raise ConfigError(
                f"sync_id {binding.sync_id} remembers records of {held.place()} in this dag run, and this push goes "
                f"to {binding.place()}. Give this push another sync_id, or correct its connection or destination"
            )


def read_entries(store: Store, heads: Iterable[Head]) -> dict[str, Entry]:
    """Return what these executions wrote, by key.

    :raises LedgerError: if the store fails or has lost a part.
    """
    found: dict[str, Entry] = {}
    for head in heads:
        for values in read_segments(store, head):
            entry = replace(decoded(values, head.token), since=head.began)
            if stands(found.get(entry.key), entry):
                found[entry.key] = entry
    return found


def read_segments(store: Store, head: Head) -> Iterator[Any]:
    """Yield the entries of an execution as they are stored, in the order of their writing."""
    index = count = 0
    while (segment := store.get(head.segment_key(index))) is not None:
        entries = segment.get("entries") if isinstance(segment, dict) else None
        if not isinstance(entries, list) or segment != head.segment(index, entries):
            raise broken(head.segment_key(index), "is not what was written")
        yield from entries
        index, count = index + 1, count + len(entries)
    if index < head.segments:
        raise broken(
            head.segment_key(index), f"is missing ({head.entries} records were written down, {count} are found before)"
        )


@dataclass(slots=True)
class Journal:
    """The segments of one execution. What was changed here is durable once :meth:`flush` returns.

    After a failure the next :meth:`flush` writes again what may not have arrived, oldest first.
    """

    store: Store
    head: Head
    segments: list[dict[str, Entry]] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    unwritten: set[int] = field(default_factory=set)
    entries: int = 0

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries in new segments."""
        segment: dict[str, Entry] = {}
        size = 0
        for entry in entries:
            length = size_of([encoded(entry, self.head.token)])
            if segment and size + length > FRESH_BYTES:
                self._begin(segment)
                segment, size = {}, 0
            segment[entry.key] = entry
            size += length
        if segment:
            self._begin(segment)

    def _begin(self, segment: dict[str, Entry]) -> None:
        index = len(self.segments)
        self.segments.append(segment)
        self.places.update(dict.fromkeys(segment, index))
        self.unwritten.add(index)
        self.entries += len(segment)

    def change(self, entries: Collection[Entry]) -> None:
        """Replace entries where they lie; what is not here, or has become too long, is added."""
        by_place: dict[int, list[Entry]] = {}
        added: list[Entry] = []
        for entry in entries:
            place = self.places.get(entry.key)
            added.append(entry) if place is None else by_place.setdefault(place, []).append(entry)
        for place, changed in by_place.items():
            segment = {**self.segments[place], **{entry.key: entry for entry in changed}}
            if size_of(self._encoded(segment)) > MOST_BYTES:
                added.extend(changed)
            else:
                self.segments[place] = segment
                self.unwritten.add(place)
        self.append(added)

    def forget(self, keys: Collection[str]) -> None:
        """Take entries out again that nobody has acted upon."""
        for key in keys:
            place = self.places.pop(key)
            del self.segments[place][key]
            self.unwritten.add(place)

    def flush(self) -> None:
        """Write what has changed, and then how many segments there are.

        :raises LedgerError: if the store fails; then the fate of what was being written is unknown.
        """
        for index in sorted(self.unwritten):
            self.store.set(self.head.segment_key(index), self.head.segment(index, self._encoded(self.segments[index])))
            self.unwritten.discard(index)
        if self.head.segments < len(self.segments):
            head = replace(self.head, segments=len(self.segments), entries=self.entries)
            self.store.set(head.key, head.told())
            self.head = head

    def _encoded(self, segment: Mapping[str, Entry]) -> list[list[Any]]:
        return [encoded(entry, self.head.token) for entry in segment.values()]


def size_of(value: Any) -> int:
    """Return the bytes of a value as Airflow counts and stores them."""
    return len(json.dumps(value))
