"""From a task's context to an open ledger in Airflow's task state store, whose failures become ours."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow_provider_contacts.errors import ConfigError, LedgerError, SupersededError
from airflow_provider_contacts.ledgers.task_state.journal import NEWEST
from airflow_provider_contacts.ledgers.task_state.state_ledger import TaskStateLedger

log = logging.getLogger(__name__)

GONE = frozenset({404, 410})
REFUSED = frozenset({401, 403, 405, 501})

T = TypeVar("T")


class StoreRefusedError(LedgerError):
    """Airflow's API server does not let this task keep state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What an execution says of its memory without a table.

    :param accessor: ``context["task_state_store"]``; ``None`` where Airflow has none.
    :param first: whether no execution can have come before this one.
    :param plan_only: only read.
    """

    accessor: Any = field(repr=False)
    first: bool
    plan_only: bool
    sync_run_id: str
    sync_id: str
    destination: str
    destination_host: str
    destination_object: str | None


class AirflowStore:
    """Airflow's task state store, its values kept as long as the dag run.

    :param accessor: ``context["task_state_store"]``.
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


def attempted(call: Callable[[], T]) -> T:
    """Return what a call to the store returns.

    :raises LedgerError: without its cause, which may quote what was to be written.
    :raises SupersededError: where Airflow says that the task instance is another try's by now.
    """
    try:
        return call()
    except Exception as error:  # noqa: BLE001  # Airflow's error, its client's, or any of a state backend's
        failure = failure_of(error)
    raise failure


def failure_of(error: Exception) -> LedgerError:
    """Return what a failure of the store means."""
    status, route_missing = told_by(error)
    if status in GONE and not route_missing:
        return SupersededError(
            "Airflow no longer knows this try of the task: a newer one has taken over, and this one sends nothing more"
        )
    if status in REFUSED or status in GONE:
        return StoreRefusedError(f"Airflow's API server refuses this task's state store (HTTP status {status})")
    told = type(error).__name__ if status is None else f"HTTP status {status}"
    return LedgerError(f"Airflow's task state store cannot be used ({told})")


def told_by(error: Exception) -> tuple[int | None, bool]:
    """Return the API server's status, and whether it does not know the route.

    A worker has it in ``AirflowRuntimeError.error.detail``; where the supervisor is the same process, the client's own
    ``ServerResponseError`` comes through.
    """
    detail = getattr(getattr(error, "error", None), "detail", None)
    detail = detail if isinstance(detail, Mapping) else {}
    status = detail.get("status_code", getattr(getattr(error, "response", None), "status_code", None))
    said = detail.get("detail", getattr(error, "detail", None))
    said = said.get("detail", said) if isinstance(said, Mapping) else said
    return (status if isinstance(status, int) else None), said == "Not Found"


def begin_memory(accessor: Any, *, first: bool, resend: bool) -> None:
    """Note that this run has begun, before anything can go wrong; what a later execution finds empty was emptied.

    :param accessor: ``context["task_state_store"]``; ``None`` where Airflow has none.
    :param first: whether no execution can have come before this one.
    :param resend: whether the user asks for what may have been sent to be sent again.
    :raises ConfigError: for a later execution that nothing is remembered for.
    :raises LedgerError: if the store fails.
    """
    if accessor is None:
        if not first and not resend:
            raise ConfigError(f"this Airflow has no task state store, {NOTHING_KNOWN}")
        return
    store = AirflowStore(accessor)
    try:
        if store.get(NEWEST) is None and store.get(f"{NEWEST}.1") is None:
            if not first and not resend:
                raise ConfigError(f"Airflow's task state store holds nothing for this task, {NOTHING_KNOWN}")
            store.set(NEWEST, {"token": "", "number": 0})
    except StoreRefusedError:
        if not first:
            raise


NOTHING_KNOWN = (
    "and this is not its first execution in this dag run: the store was cleared ([state_store] clear_on_success, or by "
    "hand), or the earlier try ended before it could write there, or it had an outcome table. Nobody knows what it "
    "sent, so nothing is sent. Look into the vendor's account. Then start a new dag run with the records that are "
    'missing there, or set on_unknown="resend" to send all records again. With an outcome table (outcomes_conn_id) '
    "every try knows what was sent"
)


def open_task_state(opening: Opening) -> TaskStateLedger | None:
    """Open the ledger; ``None``, and a warning that says why, where this task can have no memory at all.

    Only a first execution may go on without: a later one would send again what an earlier one has sent.

    :raises ConfigError: for a destination that is not the one of this ``sync_id``.
    :raises LedgerError: if the store fails or has lost a part of what was written.
    """
    if opening.accessor is None:
        log.warning("%s: this Airflow has no task state store. %s", NO_TABLE, FORGOTTEN)
        return None
    try:
        ledger = TaskStateLedger.open(
            AirflowStore(opening.accessor),
            sync_run_id=opening.sync_run_id,
            sync_id=opening.sync_id,
            destination=opening.destination,
            destination_host=opening.destination_host,
            destination_object=opening.destination_object,
            register=not opening.plan_only,
        )
    except StoreRefusedError as error:
        if not opening.first:
            raise
        log.warning("%s: %s. %s", NO_TABLE, error, FORGOTTEN)
        return None
    if not opening.plan_only:
        log.warning(
            "%s, and what was sent is remembered in Airflow's task state store: a retry does not send it again, but "
            "the memory ends with the dag run, and the next run sends the same records",
            NO_TABLE,
        )
    return ledger


NO_TABLE = "No outcomes_conn_id: outcomes go to XCom alone"
FORGOTTEN = (
    'Nothing is remembered when this try ends: a retry is refused (unless on_unknown="resend"), and the next run sends '
    "the same records again"
)
