"""One exporting task: from the summaries of pushes to one object a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.nearest import not_this
from airflow_provider_contacts.task.parameters import (
    TABLE_PARSERS,
    Parser,
    parse_json,
    parse_needed,
    parse_one_of,
    parse_sync_id,
    parse_text,
    parse_truth,
)

if TYPE_CHECKING:
    from airflow.sdk import Context, ObjectStoragePath

    from airflow_provider_contacts.ledgers.reports.outcomes import OutcomeReports
    from airflow_provider_contacts.ledgers.reports.shapes import RunRow
    from airflow_provider_contacts.task.hidden_fields import HidingOperator

log = logging.getLogger(__name__)

STATEMENT_SECONDS = 600.0
"""A task waits longer than a person."""

EITHER = "give either summary, the output of a push, or both sync_id and sync_run_id"
NO_SUMMARY = (
    "left no summary (skipped, killed before it could write one, or misnamed): what it wrote is exported by sync_id "
    "and sync_run_id, in another task or by the command export"
)


class NamedRun(NamedTuple):
    """A run by its ids."""

    sync_id: str
    sync_run_id: str


def run_export(operator: HidingOperator, pushes: Sequence[str], context: Context) -> Any:
    """Export, and return where the rows of each run are: one mapping, or a list for several summaries.

    Where some pushes left no summary, the others are exported; then the task fails for good.

    :param pushes: ids of the tasks that the summaries come from.
    """
    from airflow_provider_contacts.task.execution import push_summary

    parsed, summary = operator.parsed(), parse_json(operator.given("summary"), "summary")
    several = isinstance(summary, Sequence)
    runs, num_missing = named_runs(parsed, summary, num_pushes(summary, pushes, context))
    done = exported(parsed, runs, context) if runs else []
    if num_missing:
        if done:
            push_summary(context["ti"], done)
        raise AirflowFailException(f"summary: {len(done)} pushes are exported, but {num_missing} {NO_SUMMARY}")
    if not done and summary:
        raise AirflowSkipException("nothing to export: with plan_only, a push writes no outcome")
    return done if several else done[0]


def check_together(summary: Any, *ids: Any) -> None:
    """Refuse a summary beside ids, and neither, and the push itself in place of its summary.

    :raises ConfigError: for them.
    """
    if hasattr(summary, "output"):
        raise ConfigError("summary is the output of a push, not its task: give summary=push.output")
    given = [one is not None for one in ids]
    if any(given) if summary is not None else not all(given):
        raise ConfigError(EITHER)


def num_pushes(summary: Any, pushes: Sequence[str], context: Context) -> int:
    """Return how many task instances should have left a summary, where they are those of a mapped task.

    XCom has no place for one that left none.
    """
    if isinstance(summary, Mapping | list | tuple | None) or not pushes:
        return 0
    ti = context["ti"]
    return int(ti.get_ti_count(dag_id=ti.dag_id, task_ids=list(pushes), run_ids=[ti.run_id]))


def named_runs(parsed: Mapping[str, Any], summary: Any, num_expected: int) -> tuple[list[NamedRun], int]:
    """Return the runs that are named, and how many pushes left no summary.

    :raises ConfigError: if summary and ids do not fit together, or what is given is no summary.
    """
    ids = (parsed["sync_id"], parsed["sync_run_id"])
    if summary is None and ids == (None, None):
        return [], 1
    check_together(summary, *ids)
    if summary is None:
        return [NamedRun(*ids)], 0
    summaries = list(summary) if isinstance(summary, Sequence) else [summary]
    runs = [run_of(one, place) for place, one in enumerate(summaries, 1) if one is not None and not is_plan(one)]
    return runs, summaries.count(None) + max(0, num_expected - len(summaries))


def is_plan(summary: Any) -> bool:
    """Tell whether a push has only planned."""
    return isinstance(summary, Mapping) and "num_to_send" in summary


def run_of(summary: Any, place: int) -> NamedRun:
    """Return the run of a summary; the error does not show what is given, which may name persons."""
    match summary:
        case {"sync_run_id": str(), "outcomes_table": None}:
            raise ConfigError(f"summary: the push at place {place} has no outcomes_conn_id, and so no rows to export")
        case {"sync_id": str(sync_id), "sync_run_id": str(sync_run_id)}:
            return NamedRun(sync_id, sync_run_id)
        case _:
            raise ConfigError(
                f"summary: what is at place {place} is no summary of a push, but a {type(summary).__name__}"
            )


def exported(parsed: Mapping[str, Any], runs: Sequence[NamedRun], context: Context) -> list[dict[str, Any]]:
    """Write one object a run; return where they are: built-in types alone, and no record."""
    from airflow_provider_contacts.ledgers.reports.outcomes import OutcomeReports
    from airflow_provider_contacts.task.connections import sql_hook
    from airflow_provider_contacts.task.export import folder_at, location
    from airflow_provider_contacts.task.export_formats import Form
    from airflow_provider_contacts.task.signals import add_asset_event

    form = Form(**{name: parsed[name] for name in ("file_format", "payloads", "identifiers")})
    folder = folder_at(parsed["path"], parsed["path_conn_id"])
    hook = sql_hook(parsed["outcomes_conn_id"], "outcomes_conn_id")
    table = parsed["outcomes_table"]
    with OutcomeReports.open(hook, table, connect_seconds=30, statement_seconds=STATEMENT_SECONDS) as reports:
        tries = [newest_try(reports, one, parsed) for one in runs]
        done = [export_one(reports, one, folder, form) for one in tries]
    place = location(folder)
    uri = place if "://" in place else Path(place).absolute().as_uri()
    numbers = {name: sum(one[name] for one in done) for name in ("num_rows", "num_taken_over")}
    add_asset_event(context, uri, {"num_objects": len(done), **numbers})
    return done


def newest_try(reports: OutcomeReports, run: NamedRun, parsed: Mapping[str, Any]) -> RunRow:
    """Return the newest try of a run.

    :raises ConfigError: if the table does not know it.
    """
    from airflow_provider_contacts.ledgers.reports.shapes import EVERYTHING

    for one in reports.tries(EVERYTHING, run.sync_run_id):
        if one.sync_id == run.sync_id:
            return one
    raise ConfigError(
        f"outcomes_table: {parsed['outcomes_table']} of connection {parsed['outcomes_conn_id']!r} has no run "
        f"{run.sync_run_id!r} of sync_id {run.sync_id!r}: name both ids as the summary of the "
        "push has them (the command runs lists them), and the table and the connection that the push names"
    )


def export_one(reports: OutcomeReports, run: RunRow, folder: ObjectStoragePath, form: Any) -> dict[str, Any]:
    """Write the object of a run; return where it is, and what is in it."""
    from airflow_provider_contacts.ledgers.reports.shapes import EVERYTHING
    from airflow_provider_contacts.task.export import export_run

    taken = reports.rows_of_run(EVERYTHING, run).num_taken_over
    path, num_rows = export_run(reports, run, folder, form)
    log.info("Exported %s rows of run %s to %s", num_rows, run.sync_run_id, path)
    if taken:
        log.warning(
            "About %s rows of run %s are not among them: a later run has taken them over, or they were removed",
            *(taken, run.sync_run_id),
        )
    ids = {"sync_id": run.sync_id, "sync_run_id": run.sync_run_id}
    return {"path": path, **ids, "num_rows": num_rows, "num_taken_over": taken, "status": run.status}


def parse_folder(value: Any, name: str) -> str:
    """Return a path, which is no pattern as that of a source may be."""
    text = parse_needed(value, name)
    if set(text) & set("*?"):
        raise ConfigError(f"{name} is one folder, in which each run gets its object, and no pattern{not_this(value)}")
    return text


EXPORT_PARSERS: Mapping[str, Parser] = {
    "path": parse_folder,
    "path_conn_id": parse_text,
    **TABLE_PARSERS,
    "sync_id": parse_sync_id,
    "sync_run_id": parse_text,
    "file_format": parse_one_of("parquet", "ndjson", "csv"),
    "payloads": parse_truth,
    "identifiers": parse_one_of("clear", "digest"),
}
"""Of all parameters but the summary, which is no text."""
