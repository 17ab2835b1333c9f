"""One settling task: a person's verdict into the outcome table, and a report of what could not be written."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.task.connections import sql_hook
from airflow_provider_contacts.task.execution import push_summary
from airflow_provider_contacts.task.settle_parameters import SettleParameters

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_contacts.ledgers.sql.settlement import Finding
    from airflow_provider_contacts.task.settle_operator import SettleContactsOperator

log = logging.getLogger(__name__)

MOST_NAMED = 20
"""Records of each kind that the summary and the error name, by place and digest."""

WHY = {
    "not_in_doubt": "not in doubt (any more)",
    "still_sending": "sending, and may still be under way: wait until the row is an hour old",
    "id_taken": "given an id that another delivered record of this destination has",
    "absent": "not in the table under this sync_id",
    "ambiguous": "a digest that several records have: name it by its identifier",
}


def run_settle(operator: SettleContactsOperator, context: Context) -> dict[str, Any]:
    """Settle, and return the summary; fail for good if a named record could not be settled.

    The others are settled all the same, and the summary is in XCom also when the task fails.
    """
    try:
        parameters = SettleParameters.of(operator.parsed(), operator.given_records())
        summary = settled(parameters)
    except ConfigError as error:
        raise AirflowFailException(str(error)) from error
    wrong = [
        f"{summary[f'num_{kind}']} {text} ({named(summary, kind)})"
        for kind, text in WHY.items()
        if summary[f"num_{kind}"]
    ]
    log.info("Settled %s of %s records as %s", summary["num_settled"], summary["num_named"], parameters.verdict)
    if not wrong:
        return summary
    push_summary(context["ti"], summary)
    raise AirflowFailException(
        f"of {summary['num_named']} named records {summary['num_settled']} were settled under {parameters.sync_id} in "
        f"{parameters.outcomes_table}; the others are not changed: {'; '.join(wrong)}"
    )


def named(summary: Mapping[str, Any], kind: str) -> str:
    """Name the records of a kind by their places in what was given, and by their digests."""
    pairs = zip(summary["places"][kind], summary["digests"][kind], strict=True)
    more = summary[f"num_{kind}"] - len(summary["places"][kind])
    return ", ".join(f"place {place}, digest {digest}" for place, digest in pairs) + (f", {more} more" if more else "")


def settled(parameters: SettleParameters) -> dict[str, Any]:
    """Write the verdict; return the summary, which names records only by place and digest."""
    if not parameters.records:
        return summary_of(parameters, {}, {})
    from airflow_provider_contacts.ledgers.sql.database import connect
    from airflow_provider_contacts.ledgers.sql.patience import Patience
    from airflow_provider_contacts.ledgers.sql.settlement import Verdict, open_tables, settle

    engine = connect(sql_hook(parameters.outcomes_conn_id, "outcomes_conn_id"))
    verdict = Verdict(
        sync_id=parameters.sync_id,
        status=parameters.verdict,
        records=parameters.records,
        settled_by=parameters.settled_by,
        store_payload=parameters.store_payload,
    )
    try:
        tables = Patience().run(
            lambda: open_tables(engine, parameters.outcomes_table, create_tables=parameters.create_tables)
        )
        return summary_of(parameters, *settle(engine, tables, verdict))
    finally:
        engine.dispose()


def summary_of(
    parameters: SettleParameters, found: Mapping[str, Finding], digests: Mapping[str, str]
) -> dict[str, Any]:
    """Return the value that goes to XCom: built-in types alone."""
    of_kind = {
        kind: sorted((parameters.places[name], name) for name, one in found.items() if one.value == kind)
        for kind in ("settled", "already_settled", *WHY)
    }
    first = {kind: of_kind[kind][:MOST_NAMED] for kind in WHY if of_kind[kind]}
    return {
        "sync_id": parameters.sync_id,
        "verdict": parameters.verdict.value,
        "settled_by": parameters.settled_by,
        "settled_at": datetime.now(UTC).isoformat(),
        "outcomes_table": parameters.outcomes_table,
        "num_named": len(found),
        **{f"num_{kind}": len(some) for kind, some in of_kind.items()},
        "places": {kind: [place for place, _ in some] for kind, some in first.items()},
        "digests": {kind: [digests[name] for _, name in some] for kind, some in first.items()},
    }
