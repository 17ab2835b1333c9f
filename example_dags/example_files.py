"""Push CSV files of a folder or a bucket into Dex, streamed, and keep an outcome for every row.

A trigger names the files. On a schedule, name them by the run's dates, such as
``s3://bucket/people/{{ ds }}/*.csv``, so that every try of a run reads the same ones.

Connections: ``outcomes`` (SQLite, PostgreSQL, MySQL or MariaDB), ``dex_default``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from airflow_provider_contacts.operators import FilesToContactsOperator

with DAG(
    dag_id="example_files",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["contacts", "dex", "files"],
    doc_md=__doc__,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    params={"path": Param("/var/imports/people/*.csv", type="string", description="A file, or a pattern of files")},
) as dag:
    FilesToContactsOperator(
        task_id="push",
        path="{{ params.path }}",
        delimiter=";",
        sync_key="customer",
        field_map={"surname": "last_name", "mail": "email"},
        unmapped="ignore",
        contacts_conn_id="dex_default",
        outcomes_conn_id="outcomes",
        max_rejected=1,
    )
