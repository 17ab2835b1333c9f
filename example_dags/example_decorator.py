"""Push what a function yields into Dex: page after page of another service, read as the vendor takes its contacts.

``@task.contacts(...)`` is the same decorator; type checkers do not know it.

Connections: ``outcomes`` (SQLite, PostgreSQL, MySQL or MariaDB), ``dex_default``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, task

from airflow_provider_contacts.decorators import contacts_task

with DAG(
    dag_id="example_decorator",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["contacts", "dex", "decorator"],
    doc_md=__doc__,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
) as dag:

    @task
    def last_page() -> int:
        """Return how many pages there are; a real one would ask the service."""
        return 3

    @contacts_task(contacts_conn_id="dex_default", sync_key="signup", outcomes_conn_id="outcomes", max_rejected=1)
    def push(pages: int, day: str) -> Iterator[list[dict[str, str]]]:
        """Yield the day's sign-ups, the same ones to every try; a real one would ask the service for each page."""
        for page in range(pages):
            yield [
                {"signup": f"{day}-{page}-{n}", "first_name": "Ada", "email": f"ada{page}{n}@example.com"}
                for n in range(10)
            ]

    push(last_page(), "{{ run_id }}")  # type: ignore[arg-type]  # Airflow resolves it before the task runs
