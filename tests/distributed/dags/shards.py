"""One mapped task for each shard of the warehouse; ``SHARDS`` in the environment has their bounds as JSON."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_contacts.operators import SqlToContactsOperator

with DAG(
    dag_id="shards",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=1)},
) as dag:
    SqlToContactsOperator.partial(
        task_id="push",
        sql_conn_id="warehouse",
        sql="""
            SELECT external_id, first_name, last_name, phone AS phone_number
            FROM contacts WHERE number >= %(first)s AND number < %(end)s
        """,
        sync_key="external_id",
        contacts_conn_id="talkdesk_default",
        outcomes_conn_id="outcomes",
        batch_size=int(os.environ["BATCH_SIZE"]),
        max_in_flight=int(os.environ["MAX_IN_FLIGHT"]),
        # What is in doubt is held; a person settles it. The task has done what it can.
        max_unknown=500,
        max_rejected=10,
    ).expand(parameters=json.loads(os.environ["SHARDS"]))
