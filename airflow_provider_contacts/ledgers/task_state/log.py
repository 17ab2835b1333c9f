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
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from airflow_provider_contacts.errors import ConfigError, LedgerError, SupersededError
from airflow_provider_contacts.frozen import Value
from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.task_state.entries import Entry

VERSION = 3
NEWEST = "contacts"
CHANGED = "is not what this version of the package has written"

MOST_BYTES = 60_000
"""Of a step: Airflow holds 65,535 for the most that a value should have."""


GONE = frozenset({404, 410})
REFUSED = frozenset({401, 403, 405, 501})


class StoreRefusedError(LedgerError):
    """Airflow's API server does not let this task keep state."""


class AirflowStore:
    """``context["task_state_store"]``: JSON values by key for one task instance, kept as long as the dag run.

    A :meth:`set` that raises may have been written all the same.
    """

    def __init__(self, accessor: Any) -> None:
        self._accessor = accessor

    def get(self, key: str) -> Any:
        """Return the value of a key; also ``None`` where Airflow no longer knows the task instance."""
        return attempted(lambda: self._accessor.get(key))

    def set(self, key: str, value: Any) -> None:
        """Write a value that no retention ends: a retry may come later than the store's default of days."""
        from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # exported when asked for

        attempted(lambda: self._accessor.set(key, value, retention=NEVER_EXPIRE))


def attempted(call: Callable[[], Any]) -> Any:
    """Return what a call to the store returns; raise a failure without its cause, which may quote what was written."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001  # Airflow's error, its client's, or any of a state backend's
        failure = failure_of(error)
    raise failure


def failure_of(error: Exception) -> LedgerError:
    """Return what a failure of the store means, from what Airflow's supervisor hands on or its client has raised."""
    detail = getattr(getattr(error, "error", None), "detail", None)
    detail = detail if isinstance(detail, Mapping) else {}
    status = detail.get("status_code", getattr(getattr(error, "response", None), "status_code", None))
    status = status if isinstance(status, int) else None
    said = detail.get("detail", getattr(error, "detail", None))
    said = said.get("detail", said) if isinstance(said, Mapping) else said
    if status in GONE and said != "Not Found":
        return SupersededError(
            "Airflow no longer knows this try of the task: a newer one has taken over, and this one sends nothing more"
        )
    if status in REFUSED or status in GONE:
        return StoreRefusedError(f"Airflow's API server refuses this task's state store (HTTP status {status})")
    told = f"HTTP status {status}" if status is not None else type(error).__name__
    return LedgerError(f"Airflow's task state store cannot be used ({told})")


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
    """Return the executions of a run so far, oldest first; refuse where one is missing, changed or of another run."""
    newest, heads = store.get(NEWEST), list[Head]()
    while (told := store.get(key := f"{NEWEST}.{len(heads) + 1}")) is not None:
        content = dict(told) if isinstance(told, dict) else {}
        if content.pop("sum", None) != digest(key, content) or content["version"] != VERSION:
            raise broken(key, CHANGED)
        heads.append(msgspec.convert(content, Head))
        if heads[-1].sync_run_id != sync_run_id:
            raise broken(key, f"belongs to the run {heads[-1].sync_run_id}")
    match newest:
        case None if heads:
            raise broken(NEWEST, "is missing")
        case {"token": str(), "number": int(number)} if number > len(heads):
            raise broken(key, "is missing")
        # The run has begun. An execution that registered half, and sent nothing, may stand behind the newest one.
        case None | {"token": "", "number": 0}:
            return heads
        case {"token": str(token), "number": int(number)} if number > 0 and token == heads[number - 1].token:
            return heads
    raise broken(NEWEST, CHANGED)


def check_binding(head: Head, binding: Binding) -> None:
    """Refuse a ``sync_id`` that means another destination; an execution that sent nothing has not bound it."""
    if head.steps and head.binding.sync_id == binding.sync_id and head.binding != binding:
        raise ConfigError(
            f"sync_id {binding.sync_id} remembers records of {head.binding.place()} in this dag run, and this push "
            f"goes to {binding.place()}. Give this push another sync_id, or correct its connection or destination"
        )


def read_entries(store: AirflowStore, head: Head) -> Iterator[Entry]:
    """Yield the entries of an execution in the order of their writing; refuse a step that is missing or changed."""
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
        """Write entries, and then how many steps there are; where this fails, they may have been written."""
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
