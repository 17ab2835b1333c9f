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
        """Copy what was delivered; return how many."""
        from airflow.providers.common.sql.hooks.sql import DbApiHook

        outcomes, warehouse = DbApiHook.get_hook("outcomes"), DbApiHook.get_hook("warehouse")
        ids: dict[str, str] = {}
        # Several pushes may have succeeded before this DAG runs.
        for event in triggering_asset_events[PUSHED]:
            # All of the sync: an earlier run that failed has delivered contacts, too, and has no event.
            rows = outcomes.get_records(
                f"""
                SELECT record_identifier, destination_record_id FROM contact_outcomes
                WHERE status = 'succeeded' AND sync_id IN (
                    SELECT sync_id FROM contact_outcomes_runs WHERE sync_run_id = {outcomes.placeholder}
                )
                """,  # noqa: S608  # the driver's own "?" or "%s"
                (event.extra["sync_run_id"],),
            )
            ids.update(rows)
        # Replaced, since most of them are there already.
        names = ["contact_id", "dex_id"]
        warehouse.insert_rows("dex_ids", list(ids.items()), names, replace=True, replace_index="contact_id")
        return len(ids)

    write_ids()
