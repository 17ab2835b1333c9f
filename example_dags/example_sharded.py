"""Push one query in shards: mapped tasks, each with a range of the key, under one rate of the vendor's account.

How many shards, and when one task is faster: docs/scale.md.

Connections: ``warehouse`` (any SQL database), ``outcomes`` (PostgreSQL, MySQL or MariaDB), ``talkdesk_default``, whose
extra says how many requests a second the account may get from all shards together, and through which database they
share it (``airflow-provider-contacts[rate-limit]``):

    {"record_list_id": "demo-list", "requests_per_second": 20, "rate_limit_conn_id": "outcomes"}
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_contacts.operators import SqlToContactsOperator

SHARDS = 4

with DAG(
    dag_id="example_sharded",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["contacts", "talkdesk", "shards"],
    doc_md=__doc__,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
) as dag:
    # Cut once a run: the tries of a shard find their range in XCom. All rows of a key are in one shard.
    @task(show_return_value_in_logs=False)
    def ranges() -> list[dict[str, Any]]:
        """Cut the keys into ranges of equal size; the first and the last one have an open end."""
        from airflow.providers.common.sql.hooks.sql import DbApiHook

        rows = DbApiHook.get_hook("warehouse").get_records(f"""
            SELECT MIN(contact_id) FROM (
                SELECT contact_id, NTILE({SHARDS}) OVER (ORDER BY contact_id) AS shard
                FROM contacts WHERE contact_id IS NOT NULL
            ) AS keys GROUP BY shard ORDER BY shard
        """)  # noqa: S608  # the number above
        starts = [row[0] for row in rows[1:]]
        return [{"low": low, "high": high} for low, high in pairwise([None, *starts, None])]

    SqlToContactsOperator.partial(
        task_id="push",
        sql_conn_id="warehouse",
        # Every row is in one shard: a start belongs to the shard that it begins, and rows without a key, which the
        # summary counts as invalid, to the first. ":low" is SQLite's; PostgreSQL, MySQL and Snowflake write "%(low)s".
        sql="""
            SELECT contact_id, first_name, last_name, phone AS phone_number
            FROM contacts
            WHERE (contact_id >= :low AND (contact_id < :high OR :high IS NULL))
               OR (:low IS NULL AND (contact_id < :high OR :high IS NULL OR contact_id IS NULL))
        """,
        sync_key="contact_id",
        contacts_conn_id="talkdesk_default",
        # One sync_id for all shards: a key that moves to another shard with the next run is known there.
        outcomes_conn_id="outcomes",
        # Each shard's own.
        max_rejected=100,
        # As many at a time as the workers have cores for.
        max_active_tis_per_dagrun=4,
    ).expand(parameters=ranges())
