"""Settle what a person has looked up at the vendor, then send again what is certainly not there.

Trigger it with a configuration such as these. The page *Contacts* offers them filled in; ``found`` and ``missing`` may
come alone, and their records may be digests, the twelve digits of page and logs, since Airflow keeps and shows this:

    {"sync_id": "example_talkdesk/push@talkdesk_default:demo-list",
     "found": {"lead-17": "the-vendors-id"}, "missing": ["a6fee9d7b22a"], "settled_by": "ada"}

What is missing is sent again at once. To send what was refused, after a mistake is mended at the vendor:

    {"sync_id": "example_talkdesk/push@talkdesk_default:demo-list",
     "statuses": ["rejected"], "error_codes": ["PHONE_NUMBER_INVALID"]}

Connections: ``outcomes`` (SQLite, PostgreSQL, MySQL or MariaDB), and the one that a default ``sync_id`` names, as
``talkdesk_default`` above.
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
    tags=["contacts", "replay"],
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
        "statuses": Param(
            None,
            type=["array", "null"],
            items={"enum": ["failed", "rejected", "invalid"]},
            description="What is sent again: failed, rejected, invalid. Empty: what is settled as missing.",
        ),
        "error_codes": Param(
            None,
            type=["array", "null"],
            description="Of these statuses, only records with one of these codes. Empty: any code.",
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
        # Behind the "@" of a default sync_id; where yours have another form, name the connection here.
        contacts_conn_id="{{ params.sync_id.partition('@')[2].partition(':')[0] or 'talkdesk_default' }}",
        outcomes_conn_id="outcomes",
        statuses="{{ (params.statuses or ['failed']) | tojson }}",
        error_codes="{{ (params.error_codes or (none if params.statuses else ['settled_by_hand'])) | tojson }}",
        max_attempts=5,
    )
    [found, missing] >> replay
