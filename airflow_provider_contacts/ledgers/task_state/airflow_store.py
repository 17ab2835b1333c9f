"""Airflow's task state store, whose failures become ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_contacts.errors import LedgerError, SupersededError

GONE = frozenset({404, 410})
REFUSED = frozenset({401, 403, 405, 501})


class StoreRefusedError(LedgerError):
    """Airflow's API server does not let this task keep state."""


class AirflowStore:
    """JSON values by key, for one task instance, kept over its tries and as long as the dag run.

    A :meth:`set` that raises may have been written all the same.

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


def attempted(call: Callable[[], Any]) -> Any:
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
    """Return what a failure of the store means.

    A worker has the API server's answer in ``AirflowRuntimeError.error.detail``; where the supervisor is the same
    process, the client's own ``ServerResponseError`` comes through.
    """
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
