"""Push the contacts of a warehouse query into a Talkdesk record list, a hundred a request.

Connections: ``warehouse`` (any SQL database), ``outcomes`` (SQLite, PostgreSQL, MySQL or MariaDB),
``talkdesk_default``.
The record list is part of the connection's extra (``record_list_id``).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_contacts.operators import SqlToContactsOperator

with DAG(
    dag_id="example_talkdesk",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["contacts", "talkdesk"],
    doc_md=__doc__,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
) as dag:
    SqlToContactsOperator(
        task_id="push",
        sql_conn_id="warehouse",
        sql="""
            SELECT contact_id, first_name, last_name, phone AS phone_number, timezone, priority,
                   company AS "extra_data.company"
            FROM contacts
        """,
        sync_key="contact_id",
        contacts_conn_id="talkdesk_default",
        outcomes_conn_id="outcomes",
        # Rows without a phone or a last name cannot be dialled. A count, since a later run plans little but these.
        max_rejected=400,
    )
