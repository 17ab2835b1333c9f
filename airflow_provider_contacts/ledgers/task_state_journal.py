"""How entries lie in a key-value store that can neither compare-and-set nor list its keys.

``contacts``            the newest execution: ``{"token", "number"}``
``contacts.<n>``        the n-th execution: ``{"version", "token", "sync_id", "place", "began", "segments"}``
``contacts.<n>.<m>``    its m-th segment: a list of entries

An execution writes its own keys alone. Which records a segment names is fixed when it is first written; later writes
change what became of them. So a write that arrives late, after one that followed it (a client that repeats a request
which timed out, two API servers), can only bring back a doubt, and never take a mark away. What makes a segment
known is its number, and ``segments`` is a lower bound of how many there must be.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from airflow_provider_contacts.core.errors import ConfigError, LedgerError
from airflow_provider_contacts.ledgers.identity import Binding
from airflow_provider_contacts.ledgers.task_state_entries import Entry, decoded, encoded, stands

VERSION = 1
NEWEST = "contacts"

FRESH_BYTES = 32_000
"""Of a segment when it is first written: the outcomes still have to fit in."""

MOST_BYTES = 60_000
"""Of a segment: Airflow holds 65,535 for the most that a value should have."""

ANNOUNCED_EVERY = 16
"""Segments after which an execution's own key tells how many there are."""


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

    :param began: seconds since the epoch, by the clock of its worker.
    :param segments: at least so many were written.
    """

    number: int
    token: str
    binding: Binding
    began: float
    segments: int = 0

    @property
    def key(self) -> str:
        """The key that holds it."""
        return f"{NEWEST}.{self.number}"

    def segment_key(self, index: int) -> str:
        """Return the key of a segment, by its index from 0."""
        return f"{self.key}.{index + 1}"

    def told(self, segments: int) -> dict[str, Any]:
        """Return what stands under the key."""
        binding = self.binding
        place = [binding.destination, binding.destination_host, binding.destination_object]
        told = {"version": VERSION, "token": self.token, "sync_id": binding.sync_id, "place": place}
        return {**told, "began": self.began, "segments": segments}


def read_heads(store: Store) -> list[Head]:
    """Return the executions so far, oldest first.

    :raises LedgerError: if the store fails, or has lost one of them.
    """
    newest, heads = store.get(NEWEST), list[Head]()
    while (told := store.get(f"{NEWEST}.{len(heads) + 1}")) is not None:
        heads.append(head_of(told, len(heads) + 1))
    number = newest.get("number") if isinstance(newest, dict) else None
    if newest is not None and (not isinstance(number, int) or number > len(heads)):
        raise LedgerError(LOST)
    return heads


LOST = (
    "the task state store of this task has lost a part of what earlier executions wrote, so that nobody knows what "
    "they sent; nothing is sent. To push all the same, delete its remaining keys that begin with 'contacts'"
)


def head_of(told: Any, number: int) -> Head:
    """Return an execution.

    :raises LedgerError: for what this version has not written.
    """
    match told:
        case {
            "version": 1,
            "token": str(token),
            "sync_id": str(sync_id),
            "place": [str(vendor), str(host), (str() | None) as object_],
            "began": int() | float() as began,
            "segments": int(segments),
        }:
            binding = Binding(sync_id=sync_id, destination=vendor, destination_host=host, destination_object=object_)
            return Head(number=number, token=token, binding=binding, began=began, segments=segments)
        case _:
            raise LedgerError(
                f"the key {NEWEST}.{number} of the task state store is not what this version of the package writes"
            )


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
    index = 0
    while (segment := store.get(head.segment_key(index))) is not None:
        if not isinstance(segment, list):
            raise LedgerError(f"the key {head.segment_key(index)} of the task state store holds no list")
        yield from segment
        index += 1
    if index < head.segments:
        raise LedgerError(LOST)


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
    announced: int = 0

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
        """Write what has changed.

        :raises LedgerError: if the store fails; then the fate of what was being written is unknown.
        """
        for index in sorted(self.unwritten):
            if index >= self.announced + ANNOUNCED_EVERY:
                self.store.set(self.head.key, self.head.told(index))
                self.announced = index
            self.store.set(self.head.segment_key(index), self._encoded(self.segments[index]))
            self.unwritten.discard(index)

    def _encoded(self, segment: Mapping[str, Entry]) -> list[list[Any]]:
        return [encoded(entry, self.head.token) for entry in segment.values()]


def size_of(value: Any) -> int:
    """Return the bytes of a value as Airflow counts and stores them."""
    return len(json.dumps(value))
