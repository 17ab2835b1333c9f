"""One settling task: a person's verdict into the outcome table, and what of it could not be written."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.task.settle_parameters import CheckedSettle, SettlePlan, check_settle
from airflow_provider_contacts.task.sql_connections import sql_hook

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_contacts.ledgers.sql.settlement import Finding

log = logging.getLogger(__name__)

MOST_NAMED = 20
"""Records that the summary and the error name, of each kind, by place and digest."""

WHY = {
    "not_in_doubt": "not in doubt (any more)",
    "still_sending": "sending, and may still be under way: wait until the row is an hour old",
    "id_taken": "given an id that another delivered record of this destination has",
    "absent": "not in the table under this sync_id",
    "ambiguous": "a digest that several records have: name it by its identifier",
}


def run_settle(plan: SettlePlan, context: Context) -> dict[str, Any]:
    """Settle, and return the summary; fail for good where a named record could not be settled.

    The others are settled all the same, and the summary is in XCom also when the task fails.
    """
    try:
        checked = check_settle(plan)
        summary = settled(checked)
    except ConfigError as error:
        raise AirflowFailException(str(error)) from error
    wrong = [
        f"{summary[f'num_{kind}']} {text} ({named(summary, kind)})"
        for kind, text in WHY.items()
        if summary[f"num_{kind}"]
    ]
    log.info("Settled %s of %s records as %s", summary["num_settled"], summary["num_named"], checked.verdict)
    if not wrong:
        return summary
    ti: Any = context["ti"]
    if ti.task.do_xcom_push:
        # An API that is away must not hide why the task fails.
        with suppress(AirflowRuntimeError):
            ti.xcom_push(key="return_value", value=summary)
    raise AirflowFailException(
        f"of {summary['num_named']} named records {summary['num_settled']} were settled under {checked.sync_id} in "
        f"{checked.outcomes_table}; the others are not changed: {'; '.join(wrong)}"
    )


def named(summary: Mapping[str, Any], kind: str) -> str:
    """Return which records are of a kind: by their places in what was given, and by their digests."""
    pairs = zip(summary["places"][kind], summary["digests"][kind], strict=True)
    more = summary[f"num_{kind}"] - len(summary["places"][kind])
    return ", ".join(f"place {place}, digest {digest}" for place, digest in pairs) + (f", {more} more" if more else "")


def settled(checked: CheckedSettle) -> dict[str, Any]:
    """Write the verdict; return the summary, which names no record but by its place and its digest."""
    if not checked.records:
        return summary_of(checked, {}, {})
    from airflow_provider_contacts.ledgers.sql.database import connect
    from airflow_provider_contacts.ledgers.sql.patience import Patience
    from airflow_provider_contacts.ledgers.sql.settlement import Verdict, open_tables, settle

    engine = connect(sql_hook(checked.outcomes_conn_id, "outcomes_conn_id"))
    verdict = Verdict(
        sync_id=checked.sync_id,
        status=checked.verdict,
        records=checked.records,
        settled_by=checked.settled_by,
        store_payload=checked.store_payload,
    )
    try:
        tables = Patience().run(
            lambda: open_tables(engine, checked.outcomes_table, create_tables=checked.create_tables)
        )
        return summary_of(checked, *settle(engine, tables, verdict))
    finally:
        engine.dispose()


def summary_of(checked: CheckedSettle, found: Mapping[str, Finding], digests: Mapping[str, str]) -> dict[str, Any]:
    """Return the value that goes to XCom: built-in types alone."""
    first = {
        kind: sorted((checked.places[name], name) for name, one in found.items() if one.value == kind)[:MOST_NAMED]
        for kind in WHY
    }
    counts = {kind: sum(one.value == kind for one in found.values()) for kind in ("settled", "already_settled", *WHY)}
    return {
        "sync_id": checked.sync_id,
        "verdict": checked.verdict.value,
        "settled_by": checked.settled_by,
        "settled_at": datetime.now(UTC).isoformat(),
        "outcomes_table": checked.outcomes_table,
        "num_named": len(found),
        **{f"num_{kind}": count for kind, count in counts.items()},
        "places": {kind: [place for place, _ in some] for kind, some in first.items() if some},
        "digests": {kind: [digests[name] for _, name in some] for kind, some in first.items() if some},
    }
