"""Push the contacts of a warehouse query into an Intermezzo organization.

Connections: ``warehouse`` (any SQL database), ``outcomes`` (SQLite, PostgreSQL, MySQL or MariaDB),
``intermezzo_default``.
The organization is part of the connection's extra (``organization_id``).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_contacts.operators import SqlToContactsOperator

with DAG(
    dag_id="example_intermezzo",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["contacts", "intermezzo"],
    doc_md=__doc__,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
) as dag:
    SqlToContactsOperator(
        task_id="push",
        sql_conn_id="warehouse",
        sql="SELECT contact_id, full_name AS name, email, phone AS phone_number FROM contacts",
        sync_key="contact_id",
        contacts_conn_id="intermezzo_default",
        outcomes_conn_id="outcomes",
        max_rejected=400,
    )
