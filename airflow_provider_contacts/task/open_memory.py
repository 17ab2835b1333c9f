"""Open the report and the ledger of a push; shared by operators and a hook's ``push``."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.engine.memory_ledger import MemoryLedger
from airflow_provider_contacts.ledgers.run_identity import Binding, RunIdentity
from airflow_provider_contacts.records.sync_ids import default_sync_id
from airflow_provider_contacts.task.summary import Report

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_contacts.engine.ports import Ledger
    from airflow_provider_contacts.ledgers.sql.open_table import Opening
    from airflow_provider_contacts.task.parameters import PushParameters
    from airflow_provider_contacts.transport.connection import Target
    from airflow_provider_contacts.vendor_kit.vendor import Destination, Vendor


def run_of(ti: Any) -> RunIdentity:
    """Return the run that a task instance's rows belong to."""
    return RunIdentity.of(
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
        try_number=ti.try_number,
    )


def new_report(
    parameters: PushParameters, vendor: Vendor, destination: Destination, run: RunIdentity, sync_id: str | None = None
) -> Report:
    """Return the report of a push that begins.

    :param sync_id: ``None``: the default one of a task.
    """
    key = vendor.destination.object_key
    found = destination.get(key) if key else None
    place = None if found is None else str(found)
    return Report(
        vendor=vendor.name,
        sync_id=default_sync_id(run.dag_id, run.task_id, parameters.contacts_conn_id, place)
        if sync_id is None
        else sync_id,
        sync_run_id=run.sync_run_id,
        destination_object=place,
        outcomes_table=parameters.outcomes_table if parameters.outcomes_conn_id else None,
        wanted=parameters.xcom_outcomes,
    )


def table_opening(
    parameters: PushParameters,
    report: Report,
    run: RunIdentity,
    target: Target,
    *,
    source_conn_id: str | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Opening:
    """Return what opens the outcome table.

    :param source_conn_id: SQL connection that is read meanwhile.
    :param stopping: asked while the database cannot be reached.
    """
    from airflow_provider_contacts.ledgers.sql.open_table import Opening
    from airflow_provider_contacts.ledgers.sql.patience import Patience
    from airflow_provider_contacts.task.connections import sql_hook

    return Opening(
        hook=sql_hook(parameters.outcomes_conn_id or "", "outcomes_conn_id"),
        source=sql_hook(source_conn_id, "sql_conn_id") if source_conn_id else None,
        table=parameters.outcomes_table,
        create_tables=parameters.create_tables,
        store_payload=parameters.store_payload,
        run=run,
        sync_id=report.sync_id,
        destination=report.vendor,
        destination_host=target.host,
        destination_object=report.destination_object,
        patience=Patience(stopping=stopping),
    )


def begin_without_table(context: Context, *, resend: bool) -> None:
    """Note that the run has begun, before anything can go wrong; see ``begin_memory``."""
    from airflow_provider_contacts.ledgers.task_state.open_state import begin_memory

    begin_memory(context.get("task_state_store"), first=is_first(context), resend=resend)


def ledger_without_table(context: Context, report: Report, target: Target, *, plan_only: bool) -> Ledger:
    """Open the memory in Airflow's task state store, where there is one."""
    from airflow_provider_contacts.ledgers.task_state.open_state import open_task_state

    binding = Binding(
        sync_id=report.sync_id,
        destination=report.vendor,
        destination_host=target.host,
        destination_object=report.destination_object or None,
    )
    store, first = context.get("task_state_store"), is_first(context)
    ledger = open_task_state(store, report.sync_run_id, binding, first=first, plan_only=plan_only)
    return ledger or MemoryLedger(secrets.token_hex(8), report.sync_run_id)


def is_first(context: Context) -> bool:
    """Tell whether no execution of this task and dag run can have come before."""
    return context["ti"].try_number == 1 and not context.get("task_reschedule_count")
