"""Keep no longer than needed what people are, once a week.

Payloads, vendor texts and the headers of retried requests leave the outcome table ninety days after the outcome; what
is delivered is skipped as before. Syncs that are over go whole if a run names them, here after a look at what would go:

    {"older_than": "365d", "sync_ids": ["example_dex/push@dex_default"], "dry_run": true}

The next push of a sync that went whole sends everybody again. Persons who ask to be deleted are forgotten, and later
pushes skip them. Airflow keeps the configuration of a run, so name them by digest, as the page and logs show it:

    {"forget": ["5781beb0341a"]}

Connection: ``outcomes`` (SQLite, PostgreSQL, MySQL or MariaDB), whose login may select, update and delete.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from airflow_provider_contacts.operators import ForgetContactsOperator, PruneOutcomesOperator

with DAG(
    dag_id="example_keeping",
    schedule="@weekly",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["contacts", "keeping"],
    doc_md=__doc__,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    params={
        "older_than": Param("90d", type="string", pattern="^[0-9]+[hdw]$", description="Age of what goes."),
        "sync_ids": Param(
            [],
            type=["array", "null"],
            items={"type": "string"},
            description="Each sync_id that goes whole. Its next push sends everybody again. May be empty.",
        ),
        "forget": Param(
            [],
            type=["array", "null"],
            items={"type": "string"},
            description="Digests of persons who are to be forgotten. May be empty.",
        ),
        "dry_run": Param(default=False, type="boolean", description="Count only."),
    },
) as dag:
    prune = PruneOutcomesOperator(
        task_id="prune",
        outcomes_conn_id="outcomes",
        older_than="{{ params.older_than }}",
        sync_ids="{{ params.sync_ids | tojson }}",
        dry_run="{{ params.dry_run }}",
    )
    forget = ForgetContactsOperator(
        task_id="forget",
        outcomes_conn_id="outcomes",
        keys="{{ params.forget | tojson }}",
    )
