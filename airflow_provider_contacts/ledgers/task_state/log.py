"""The log of a run's executions in a key-value store that can neither compare-and-set nor list its keys.

``contacts``            the newest execution: ``{"token", "number"}``; number 0 before the first one
``contacts.<n>``        the n-th execution: a :class:`Head`
``contacts.<n>.<m>``    its m-th step: a list of entries, written once and never changed

A step holds the claims and answers of one write; reading folds all steps in order. A write that arrives late (a client
that repeats a request which timed out, two API servers) brings only what stands there already.

Nothing is sent before the execution's own key counts the step that claims it. So a key that was lost is missed by
another one, and a crash between two writes is not taken for a loss.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from airflow_provider_contacts.errors import LedgerError, SupersededError
from airflow_provider_contacts.frozen import Value
from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.task_state.entries import Entry

NEWEST = "contacts"

MOST_BYTES = 60_000
"""Of a step: Airflow holds 65,535 for the most that a value should have."""

GONE = frozenset({404, 410})
REFUSED = frozenset({401, 403, 404, 405, 501})

Kind = TypeVar("Kind")


class StoreRefusedError(LedgerError):
    """Airflow's API server does not let this task keep state."""


class AirflowStore:
    """``context["task_state_store"]``: JSON values by key for one task instance, kept as long as the dag run.

    A :meth:`set` that raises may have been written all the same.
    """

    def __init__(self, accessor: Any) -> None:
        self._accessor = accessor

    def get(self, key: str, kind: type[Kind]) -> Kind | None:
        """Return the value of a key; also ``None`` where Airflow no longer knows the task instance."""
        value = attempted(lambda: self._accessor.get(key))
        try:
            return None if value is None else msgspec.convert(value, kind)
        except msgspec.ValidationError:
            raise broken(key, "is not what this version of the package has written") from None

    def set(self, key: str, value: Any) -> None:
        """Write a value that no retention ends: a retry may come later than the store's default of days."""
        from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined, unused-ignore]  # until 3.3

        attempted(lambda: self._accessor.set(key, msgspec.to_builtins(value), retention=NEVER_EXPIRE))


def attempted(call: Callable[[], Any]) -> Any:
    """Return what a call to the store returns; raise a failure without its cause, which may quote what was written."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001  # Airflow's error, its client's, or any of a state backend's
        failure = failure_of(error)
    raise failure


def failure_of(error: Exception) -> LedgerError:
    """Return what a failure of the store means, as Airflow's supervisor hands it on."""
    detail = getattr(getattr(error, "error", None), "detail", None)
    detail = detail if isinstance(detail, Mapping) else {}
    status = detail.get("status_code")
    # "Not Found" is the answer of an API server that has no such store.
    if status in GONE and detail.get("detail") != {"detail": "Not Found"}:
        return SupersededError(
            "Airflow no longer knows this try of the task: a newer one has taken over, and this one sends nothing more"
        )
    if status in REFUSED:
        return StoreRefusedError(f"Airflow's API server refuses this task's state store (HTTP status {status})")
    told = f"HTTP status {status}" if status else type(error).__name__
    return LedgerError(f"Airflow's task state store cannot be used ({told})")


def broken(key: str, what: str) -> LedgerError:
    """Return the error for a memory of which a part is not what was written."""
    return LedgerError(
        f"Airflow's task state store of this task has a hole: the key {key} {what}. An earlier execution may have sent "
        "records of which nothing is known any more, so nothing is sent. Look into the vendor's account; then restore "
        f"the key, or start a new dag run with the records that are missing there, or delete every key that begins "
        f"with '{NEWEST}' and set on_unknown=\"resend\" to send all records again. An outcome table "
        "(outcomes_conn_id) is the safer memory"
    )


class Newest(Value, frozen=True, kw_only=True):
    """The newest execution of the run; number 0 and no token before the first one."""

    token: str = ""
    number: int = 0


class Head(Value, frozen=True, kw_only=True):
    """One execution, as its own key tells it.

    :param began: seconds since the epoch, by the clock of its worker.
    :param steps: at least so many were written.
    """

    version: Literal[4] = 4
    number: int
    token: str
    binding: Binding
    began: float
    steps: int = 0

    @property
    def key(self) -> str:
        """The key that holds it."""
        return f"{NEWEST}.{self.number}"


def read_heads(store: AirflowStore) -> list[Head]:
    """Return the executions of a run so far, oldest first; refuse where one is missing."""
    newest, heads = store.get(NEWEST, Newest), list[Head]()
    while (head := store.get(key := f"{NEWEST}.{len(heads) + 1}", Head)) is not None:
        heads.append(head)
    if newest is None and heads:
        raise broken(NEWEST, "is missing")
    # An execution that registered half, and sent nothing, may stand behind the newest one.
    if newest is not None and newest.number > len(heads):
        raise broken(key, "is missing")
    return heads


def read_entries(store: AirflowStore, head: Head) -> Iterator[Entry]:
    """Yield the entries of an execution in the order of their writing; refuse where a step is missing."""
    steps = 0
    while (entries := store.get(key := f"{head.key}.{steps + 1}", list[Entry])) is not None:
        yield from entries
        steps += 1
    if steps < head.steps:
        raise broken(key, "is missing")


class ExecutionLog:
    """The log of this execution. What a failed write may have left is written again, as it was, by the next one."""

    def __init__(self, store: AirflowStore, head: Head) -> None:
        self.head = head
        self._store = store
        self._written = 0
        self._pending: list[list[Any]] = []

    def register(self) -> None:
        """Become the newest execution of the run."""
        self._store.set(self.head.key, self.head)
        self._store.set(NEWEST, Newest(token=self.head.token, number=self.head.number))

    def is_newest(self) -> bool:
        """Ask the store whether no later execution has registered."""
        newest = self._store.get(NEWEST, Newest)
        return newest is not None and newest.token == self.head.token

    def append(self, entries: Iterable[Entry]) -> None:
        """Write entries, and then how many steps there are; where this fails, they may have been written."""
        self._pending.extend(steps_of(entries))
        while self._pending:
            self._store.set(f"{self.head.key}.{self._written + 1}", self._pending[0])
            self._written += 1
            del self._pending[0]
        if self.head.steps < self._written:
            head = replace(self.head, steps=self._written)
            self._store.set(head.key, head)
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
