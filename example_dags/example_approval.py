"""Plan a push, show a person what it would do, and push after their yes.

The plan reads and checks every record, and sends nothing. The question stands in Airflow's UI under "Required
Actions", with the plan's counts; after a no, the push is skipped.

Connections: ``warehouse`` (any SQL database), ``outcomes`` (SQLite, PostgreSQL, MySQL or MariaDB),
``intermezzo_default``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG

from airflow_provider_contacts.operators import SqlToContactsOperator

PUSH: dict[str, Any] = {
    "sql_conn_id": "warehouse",
    # Bind a real query to the run's dates: what arrives after the plan would be pushed, too.
    "sql": "SELECT contact_id, full_name AS name, email, phone AS phone_number FROM contacts",
    "sync_key": "contact_id",
    "contacts_conn_id": "intermezzo_default",
    "outcomes_conn_id": "outcomes",
    # Written out, so that the plan looks into the memory of the push.
    "sync_id": "example_approval",
    "max_rejected": 400,
}

with DAG(
    dag_id="example_approval",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["contacts", "intermezzo", "approval"],
    doc_md=__doc__,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
) as dag:
    plan = SqlToContactsOperator(task_id="plan", **PUSH, plan_only=True)
    approval = ApprovalOperator(
        task_id="approval",
        subject="Push {{ ti.xcom_pull(task_ids='plan')['num_to_send'] }} contacts?",
        body="""
{% set plan = ti.xcom_pull(task_ids='plan') %}
Of {{ plan.num_planned }} records, {{ plan.num_to_send }} would be sent to {{ plan.destination }}
({{ plan.num_new }} of them new) in {{ plan.num_requests }} requests, some {{ plan.estimated_minutes }} minutes.
Delivered before: {{ plan.num_skipped }}. Not fit to be sent: {{ plan.num_invalid }} ({{ plan.error_codes }}).
""",
    )
    push = SqlToContactsOperator(task_id="push", **PUSH)
    plan >> approval >> push
