"""Start when a push has succeeded, and write the vendor's ids beside the contacts of the warehouse.

Scheduled on the alias of the task ``push`` in example_dex.py; the event says what the push did (docs/signals.md), and
the outcome table has the ids.

Connections: ``outcomes`` (SQLite, PostgreSQL, MySQL or MariaDB), ``warehouse`` (any SQL database) with the table
``dex_ids (contact_id VARCHAR(255) PRIMARY KEY, dex_id VARCHAR(255))``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, AssetAlias, task

PUSHED = AssetAlias("contacts/example_dex/push")

with DAG(
    dag_id="example_follow_up",
    schedule=PUSHED,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["contacts", "dex", "assets"],
    doc_md=__doc__,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
) as dag:

    @task
    def write_ids(triggering_asset_events: Any = None) -> int:
        """Copy what was delivered since the last time; return how many."""
        from airflow.providers.common.sql.hooks.sql import DbApiHook

        outcomes, warehouse = DbApiHook.get_hook("outcomes"), DbApiHook.get_hook("warehouse")
        count = 0
        # Several pushes may have succeeded before this DAG runs; one that found nothing new has an event, too.
        for event in triggering_asset_events[PUSHED]:
            rows = outcomes.get_records(
                f"""
                SELECT record_identifier, destination_record_id FROM contact_outcomes
                WHERE sync_run_id = {outcomes.placeholder} AND status = 'succeeded'
                """,  # noqa: S608  # the driver's own "?" or "%s"
                (event.extra["sync_run_id"],),
            )
            # Replaced, so that a retry may do it again.
            names = ["contact_id", "dex_id"]
            warehouse.insert_rows("dex_ids", rows, names, replace=True, replace_index="contact_id")
            count += len(rows)
        return count

    write_ids()
