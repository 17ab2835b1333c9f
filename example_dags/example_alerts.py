"""Push, and write a mail when records were not delivered: a push within its tolerance is green and would be silent.

The mail has counts and codes of the summary; who the people are stays in the outcome table. Any other notifier of
Airflow's providers (Slack, Teams, PagerDuty, HTTP ...) takes the place of the one here.

Connections: ``warehouse`` (any SQL database), ``outcomes`` (SQLite, PostgreSQL, MySQL or MariaDB), ``dex_default``,
``smtp_default``, whose extra has ``from_email``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import DAG, Context

from airflow_provider_contacts.operators import SqlToContactsOperator

# "or {}": there is no summary where the push could not even begin; then the log says why.
SUMMARY = "{% set summary = ti.xcom_pull(task_ids=ti.task_id) or {} %}"
MAIL = SmtpNotifier(
    to="crm-team@example.com",
    subject=SUMMARY
    + "{{ ti.dag_id }}: push {{ summary.get('status', 'not begun') }}, "
    + "{{ summary.get('num_undelivered', 0) }} of {{ summary.get('num_planned', 0) }} contacts not delivered",
    html_content=SUMMARY
    + """
<p>Task {{ ti.task_id }} of {{ run_id }}, <a href="{{ ti.log_url }}">log</a>:</p>
<ul>
{% for name in ["succeeded", "skipped", "duplicate", "rejected", "invalid", "failed", "unknown"] %}
  <li>{{ name }}: {{ summary.get("num_" ~ name, 0) }}</li>
{% endfor %}
</ul>
<p>Codes:</p>
<ul>
{% for code, count in summary.get("error_codes", {}).items() %}
  <li>{{ code | e }}: {{ count }}</li>
{% endfor %}
</ul>
<p>Their rows: table {{ summary.get("outcomes_table") | e }}, sync_run_id {{ summary.get("sync_run_id") | e }}.</p>
""",
)


def tell_of_losses(context: Context) -> None:
    """Write the mail after a push that has lost records within its tolerance."""
    ti = context["ti"]
    if ti.xcom_pull(task_ids=ti.task_id)["num_undelivered"]:
        MAIL(context)


with DAG(
    dag_id="example_alerts",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["contacts", "dex", "alerts"],
    doc_md=__doc__,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
) as dag:
    SqlToContactsOperator(
        task_id="push",
        sql_conn_id="warehouse",
        sql="SELECT contact_id, first_name, last_name, email FROM contacts",
        sync_key="contact_id",
        contacts_conn_id="dex_default",
        outcomes_conn_id="outcomes",
        # Up to a twentieth of the records may be lost: the task succeeds, and the mail says which codes they have.
        max_rejected=0.05,
        on_success_callback=tell_of_losses,
        # Behind the last try; on_retry_callback would be behind each.
        on_failure_callback=MAIL,
    )
