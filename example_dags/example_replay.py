"""Settle what a person has looked up at the vendor, then send again what is certainly not there.

Trigger it with a configuration such as this one, from the outcome table and a look into the vendor's account; ``found``
and ``missing`` may come alone:

    {"sync_id": "example_talkdesk/push@talkdesk_default:demo-list",
     "found": {"lead-17": "the-vendors-id"}, "missing": ["lead-18"], "settled_by": "ada"}

Airflow keeps and shows this configuration. Where an identifier is personal, give its digest, the twelve digits that
logs show.

Connections: ``outcomes`` (SQLite, PostgreSQL, MySQL or MariaDB), ``talkdesk_default``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from airflow_provider_contacts.operators import ReplayContactsOperator, SettleContactsOperator

with DAG(
    dag_id="example_replay",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["contacts", "talkdesk", "replay"],
    doc_md=__doc__,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    params={
        "sync_id": Param(
            "example_talkdesk/push@talkdesk_default:demo-list",
            type="string",
            minLength=1,
            description="Whose records: sync_id in the outcome table and in the summary of the push.",
        ),
        "found": Param(
            {},
            type=["object", "null"],
            description="What is at the vendor: record_identifier, or its digest, to the vendor's id. May be empty.",
        ),
        "missing": Param(
            [],
            type=["array", "null"],
            description="What is not at the vendor: record_identifiers, or their digests. Sent again. May be empty.",
        ),
        "settled_by": Param(
            "nobody",
            type="string",
            minLength=1,
            description="Who has looked; stands in the rows.",
        ),
    },
) as dag:
    found = SettleContactsOperator(
        task_id="found",
        sync_id="{{ params.sync_id }}",
        records="{{ params.found | tojson }}",
        verdict="succeeded",
        settled_by="{{ params.settled_by }}",
        outcomes_conn_id="outcomes",
    )
    missing = SettleContactsOperator(
        task_id="missing",
        sync_id="{{ params.sync_id }}",
        records="{{ params.missing | tojson }}",
        verdict="failed",
        settled_by="{{ params.settled_by }}",
        outcomes_conn_id="outcomes",
    )
    replay = ReplayContactsOperator(
        task_id="replay",
        sync_id="{{ params.sync_id }}",
        contacts_conn_id="talkdesk_default",
        outcomes_conn_id="outcomes",
        statuses=["failed"],
        error_codes=["settled_by_hand"],
        max_attempts=5,
    )
    [found, missing] >> replay
