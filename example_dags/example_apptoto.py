"""Push the contacts of a warehouse query into an Apptoto address book, named and checked before anything is sent.

Connections: ``warehouse`` (any SQL database), ``outcomes`` (SQLite, PostgreSQL, MySQL or MariaDB), ``apptoto_default``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_contacts.operators import SqlToContactsOperator

with DAG(
    dag_id="example_apptoto",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["contacts", "apptoto"],
    doc_md=__doc__,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
) as dag:
    SqlToContactsOperator(
        task_id="push",
        sql_conn_id="warehouse",
        sql="SELECT contact_id, full_name, phone, email FROM contacts",
        sync_key="contact_id",
        field_map={"full_name": "name", "contact_id": "external_id"},
        contacts_conn_id="apptoto_default",
        # Over the address book that the connection may name.
        destination={"address_book": "Demo"},
        outcomes_conn_id="outcomes",
        # For a simulator only: the vendor's own pace, 100 requests a minute, holds where this line is left out.
        requests_per_second=500,
        max_rejected=400,
    )
