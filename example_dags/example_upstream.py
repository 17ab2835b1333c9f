"""Push records of an upstream task into Dex, and use every record's outcome in a downstream task.

The outcomes travel in the summary's XCom, all of them; the table remembers over runs what was delivered.

Connections: ``outcomes`` (SQLite, PostgreSQL, MySQL or MariaDB), ``dex_default``.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_contacts.operators import PushContactsOperator

log = logging.getLogger(__name__)

with DAG(
    dag_id="example_upstream",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["contacts", "dex", "xcom"],
    doc_md=__doc__,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
) as dag:
    # Without it, Airflow writes the whole list into the task's log.
    @task(show_return_value_in_logs=False)
    def signups() -> list[dict[str, Any]]:
        """Return the day's sign-ups; a real one would ask an API or a file."""
        return [
            {"signup": "s-1", "first_name": "Ada", "last_name": "Example", "email": "ada@example.com"},
            {"signup": "s-2", "first_name": "Bo", "last_name": "Example", "email": "bo@example.com"},
            {"signup": "s-3", "first_name": "Cy", "last_name": "Example", "email": "not an address"},
        ]

    push = PushContactsOperator(
        task_id="push",
        records=signups(),
        sync_key="signup",
        contacts_conn_id="dex_default",
        outcomes_conn_id="outcomes",
        xcom_outcomes="all",
        max_rejected=1,
    )

    @task
    def report(summary: dict[str, Any]) -> dict[str, int]:
        """Count the outcomes by status; a real one would tell somebody about the undelivered."""
        found: dict[str, int] = {}
        for outcome in summary["outcomes"]:
            found[outcome["status"]] = found.get(outcome["status"], 0) + 1
        log.info("Outcomes: %s", found)
        return found

    report(push.output)  # type: ignore[arg-type]  # Airflow resolves it before the task runs
