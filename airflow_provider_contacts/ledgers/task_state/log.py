"""The log of a run's executions in a key-value store that can neither compare-and-set nor list its keys.

``contacts``            the newest execution: ``{"token", "number"}``; number 0 before the first one
``contacts.<n>``        the n-th execution: a :class:`Head`
``contacts.<n>.<m>``    its m-th step: ``{"entries", "sum"}``, written once and never changed

A step holds the claims and answers of one write; reading folds all steps in order. A write that arrives late (a client
that repeats a request which timed out, two API servers) brings only what stands there already.

Nothing is sent before the execution's own key counts the step that claims it. So a key that was lost is missed by
another one, and a crash between two writes is not taken for a loss. Each value carries a digest of its content, its
key and its execution: a value that was changed or moved is noticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from airflow_provider_contacts.errors import ConfigError, LedgerError
from airflow_provider_contacts.frozen import Value
from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.task_state.airflow_store import AirflowStore
from airflow_provider_contacts.ledgers.task_state.entries import Entry

VERSION = 3
NEWEST = "contacts"
CHANGED = "is not what this version of the package has written"

MOST_BYTES = 60_000
"""Of a step: Airflow holds 65,535 for the most that a value should have."""


class Head(Value, frozen=True, kw_only=True):
    """One execution, as its own key tells it.

    :param began: seconds since the epoch, by the clock of its worker.
    :param steps: at least so many were written.
    """

    version: int = VERSION
    number: int
    token: str
    sync_run_id: str
    binding: Binding
    began: float
    steps: int = 0

    @property
    def key(self) -> str:
        """The key that holds it."""
        return f"{NEWEST}.{self.number}"

    def write(self, store: AirflowStore) -> None:
        """Write it under its key."""
        content = msgspec.to_builtins(self)
        store.set(self.key, {**content, "sum": digest(self.key, content)})


def digest(*said: Any) -> str:
    """Return what tells a value that was changed; no proof against who knows how it is made."""
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


def read_heads(store: AirflowStore, sync_run_id: str) -> list[Head]:
    """Return the executions of a run so far, oldest first.

    :raises LedgerError: if the store fails, or one of them is missing, changed or of another run.
    """
    newest, heads = store.get(NEWEST), list[Head]()
    while (told := store.get(key := f"{NEWEST}.{len(heads) + 1}")) is not None:
        content = dict(told) if isinstance(told, dict) else {}
        if content.pop("sum", None) != digest(key, content) or content["version"] != VERSION:
            raise broken(key, CHANGED)
        heads.append(msgspec.convert(content, Head))
        if heads[-1].sync_run_id != sync_run_id:
            raise broken(key, f"belongs to the run {heads[-1].sync_run_id}")
    match newest:
        case None if not heads:
            pass
        case None:
            raise broken(NEWEST, "is missing")
        case {"token": str(), "number": int(number)} if number > len(heads):
            raise broken(key, "is missing")
        # The run has begun. An execution that registered half, and sent nothing, may stand behind the newest one.
        case {"token": "", "number": 0}:
            pass
        case {"token": str(token), "number": int(number)} if number > 0 and token == heads[number - 1].token:
            pass
        case _:
            raise broken(NEWEST, CHANGED)
    return heads


def check_binding(head: Head, binding: Binding) -> None:
    """Check that a ``sync_id`` means one destination; an execution that sent nothing has not bound it.

    :raises ConfigError: else.
    """
    if head.steps and head.binding.sync_id == binding.sync_id and head.binding != binding:
        raise ConfigError(
            f"sync_id {binding.sync_id} remembers records of {head.binding.place()} in this dag run, and this push "
            f"goes to {binding.place()}. Give this push another sync_id, or correct its connection or destination"
        )


def read_entries(store: AirflowStore, head: Head) -> Iterator[Entry]:
    """Yield the entries of an execution in the order of their writing.

    :raises LedgerError: if the store fails, or a step is missing or changed.
    """
    steps = 0
    while (step := store.get(key := f"{head.key}.{steps + 1}")) is not None:
        match step:
            case {"entries": list(entries), "sum": str(told)} if told == digest(key, head.token, entries):
                yield from msgspec.convert(entries, list[Entry])
            case _:
                raise broken(key, CHANGED)
        steps += 1
    if steps < head.steps:
        raise broken(key, "is missing")


class ExecutionLog:
    """The log of this execution. What a failed write may have left is written again, as it was, by the next one."""

    def __init__(self, store: AirflowStore, head: Head) -> None:
        self._store = store
        self.head = head
        self._written = 0
        self._pending: list[list[Any]] = []

    def register(self) -> None:
        """Become the newest execution of the run."""
        self.head.write(self._store)
        self._store.set(NEWEST, {"token": self.head.token, "number": self.head.number})

    def is_newest(self) -> bool:
        """Ask the store whether no later execution has registered."""
        newest = self._store.get(NEWEST)
        return isinstance(newest, dict) and newest.get("token") == self.head.token

    def append(self, entries: Iterable[Entry]) -> None:
        """Write entries, and then how many steps there are.

        :raises LedgerError: if the store fails; whether the entries were written is then unknown.
        """
        self._pending.extend(steps_of(entries))
        while self._pending:
            key, step = f"{self.head.key}.{self._written + 1}", self._pending[0]
            self._store.set(key, {"entries": step, "sum": digest(key, self.head.token, step)})
            self._written += 1
            del self._pending[0]
        if self.head.steps < self._written:
            head = replace(self.head, steps=self._written)
            head.write(self._store)
            self.head = head


def steps_of(entries: Iterable[Entry]) -> Iterator[list[Any]]:
    """Cut entries into steps of at most :data:`MOST_BYTES`."""
    step, size = list[Any](), 0
    for entry in entries:
        values = entry.encoded()
        length = len(json.dumps(values)) + len(", ")
        if step and size + length > MOST_BYTES:
            yield step
            step, size = [], 0
        step.append(values)
        size += length
    if step:
        yield step
