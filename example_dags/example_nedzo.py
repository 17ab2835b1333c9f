"""Push the contacts of a warehouse query into Nedzo, one a request, all of them under one contact list.

Connections: ``warehouse`` (any SQL database), ``outcomes`` (SQLite, PostgreSQL, MySQL or MariaDB), ``nedzo_default``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_contacts.operators import SqlToContactsOperator

with DAG(
    dag_id="example_nedzo",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["contacts", "nedzo"],
    doc_md=__doc__,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
) as dag:
    SqlToContactsOperator(
        task_id="push",
        sql_conn_id="warehouse",
        sql="""
            SELECT contact_id, email, first_name, last_name, phone, city, country,
                   company AS business_name, job_title
            FROM contacts
        """,
        sync_key="contact_id",
        contacts_conn_id="nedzo_default",
        outcomes_conn_id="outcomes",
        # For a simulator only: the vendor's own pace, one request a second, holds where these two lines are left out.
        requests_per_second=500,
        max_in_flight=16,
        max_rejected=400,
    )
