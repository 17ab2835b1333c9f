"""The run, the report and the outcome table of a push; shared by operators and a hook's ``push``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.ledgers.run_identity import RunIdentity
from airflow_provider_contacts.records.sync_ids import default_sync_id
from airflow_provider_contacts.task.summary import Report

if TYPE_CHECKING:
    from airflow_provider_contacts.ledgers.sql.open_table import Opening
    from airflow_provider_contacts.task.parameters import PushParameters
    from airflow_provider_contacts.transport.connection import Target
    from airflow_provider_contacts.vendor_kit.vendor import Destination, Vendor


def run_of(ti: Any) -> RunIdentity:
    """Return the run that a task instance's rows belong to."""
    return RunIdentity(
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
        try_number=ti.try_number,
    )


def new_report(
    parameters: PushParameters, vendor: Vendor, destination: Destination, run: RunIdentity, sync_id: str | None = None
) -> Report:
    """Return the report of a push that begins; without a ``sync_id``, under the default one of a task."""
    found = destination.get(vendor.destination.object_key or "")
    place = None if found is None else str(found)
    if sync_id is None:
        sync_id = default_sync_id(run.dag_id, run.task_id, parameters.contacts_conn_id, place)
    return Report(
        vendor=vendor.name,
        sync_id=sync_id,
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
