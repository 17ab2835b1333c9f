"""From a task's context to an open ledger in Airflow's task state store."""

from __future__ import annotations

import logging
from typing import Any

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.ledgers.task_state.log import NEWEST, AirflowStore, Head, Newest, StoreRefusedError
from airflow_provider_contacts.ledgers.task_state.state_ledger import TaskStateLedger

log = logging.getLogger(__name__)

NOTHING_KNOWN = (
    "and this is not its first execution in this dag run: the store was cleared ([state_store] clear_on_success, or by "
    "hand), or the earlier try ended before it could write there, or it had an outcome table. Nobody knows what it "
    "sent, so nothing is sent. Look into the vendor's account. Then start a new dag run with the records that are "
    'missing there, or set on_unknown="resend" to send all records again. With an outcome table (outcomes_conn_id) '
    "every try knows what was sent"
)
NO_STORE = "this Airflow has no task state store, which comes with 3.3"
NO_TABLE = "No outcomes_conn_id: outcomes go to XCom alone"
FORGOTTEN = (
    'Nothing is remembered when this try ends: a retry is refused (unless on_unknown="resend"), and the next run sends '
    "the same records again"
)


def begin_memory(accessor: Any, *, first: bool, resend: bool) -> None:
    """Write that this run has begun, before anything can go wrong; a later execution that finds nothing then refuses.

    :param accessor: ``context["task_state_store"]``; ``None`` where Airflow has none.
    :param first: no execution can have come before this one.
    """
    may_begin = first or resend
    if accessor is None:
        if not may_begin:
            raise ConfigError(f"{NO_STORE}, {NOTHING_KNOWN}")
        return
    store = AirflowStore(accessor)
    try:
        if store.get(NEWEST, Newest) is None and store.get(f"{NEWEST}.1", Head) is None:
            if not may_begin:
                raise ConfigError(f"Airflow's task state store holds nothing for this task, {NOTHING_KNOWN}")
            store.set(NEWEST, Newest())
    except StoreRefusedError:
        if not first:
            raise


def open_task_state(
    accessor: Any, sync_run_id: str, binding: Binding, *, first: bool, plan_only: bool
) -> TaskStateLedger | None:
    """Open the ledger; ``None``, and a warning that says why, where this task can have no memory at all.

    Only a first execution may go on without: a later one would send again what an earlier one has sent.
    """
    if accessor is None:
        log.warning("%s: %s. %s", NO_TABLE, NO_STORE, FORGOTTEN)
        return None
    try:
        ledger = TaskStateLedger.open(AirflowStore(accessor), sync_run_id, binding, register=not plan_only)
    except StoreRefusedError as error:
        if not first:
            raise
        log.warning("%s: %s. %s", NO_TABLE, error, FORGOTTEN)
        return None
    if not plan_only:
        log.warning(
            "%s, and what was sent is remembered in Airflow's task state store: a retry does not send it again, but "
            "the memory ends with the dag run, and the next run sends the same records",
            NO_TABLE,
        )
    return ledger
