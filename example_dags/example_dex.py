"""Push the contacts of a warehouse query into Dex, a hundred a request.

Connections: ``warehouse`` (any SQL database), ``outcomes`` (SQLite, PostgreSQL, MySQL or MariaDB), ``dex_default``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_contacts.operators import SqlToContactsOperator

with DAG(
    dag_id="example_dex",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["contacts", "dex"],
    doc_md=__doc__,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
) as dag:
    SqlToContactsOperator(
        task_id="push",
        sql_conn_id="warehouse",
        sql="""
            SELECT contact_id, first_name, last_name, email, phone AS phone_number, company, job_title, birthday
            FROM contacts
        """,
        sync_key="contact_id",
        contacts_conn_id="dex_default",
        outcomes_conn_id="outcomes",
        max_rejected=400,
    )
