"""Push, then write what became of each record into one object a run, which every warehouse loads.

The export runs also when the push has failed, and fails by itself: a storage that is away changes nothing about the
push. Queries over the objects: docs/export.md.

Connections: ``outcomes`` (SQLite, PostgreSQL, MySQL or MariaDB), ``dex_default``, ``warehouse`` (any SQL database). The
folder is on this machine, as ``path`` says; in a storage it is such as ``s3://bucket/folder``, with ``path_conn_id``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from airflow_provider_contacts.operators import ExportOutcomesOperator, SqlToContactsOperator

with DAG(
    dag_id="example_export",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["contacts", "dex", "export"],
    doc_md=__doc__,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    params={"path": Param("/var/lib/airflow/contacts", type="string", description="The folder of the objects.")},
) as dag:
    push = SqlToContactsOperator(
        task_id="push",
        sql_conn_id="warehouse",
        sql="SELECT contact_id, first_name, last_name, email FROM contacts",
        sync_key="contact_id",
        contacts_conn_id="dex_default",
        outcomes_conn_id="outcomes",
        max_rejected=400,
    )
    ExportOutcomesOperator(
        task_id="export",
        summary=push.output,
        path="{{ params.path }}",
        outcomes_conn_id="outcomes",
        trigger_rule="all_done",
    )
