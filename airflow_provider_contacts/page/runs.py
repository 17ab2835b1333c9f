"""The pages of runs: all of them, one, its rows as CSV, and the one of a task instance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from urllib.parse import quote

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from airflow_provider_contacts.errors import ConfigError, LedgerError
from airflow_provider_contacts.ledgers.reports.shapes import Page, RecordRow, RunRow, Scope
from airflow_provider_contacts.outcome import UNDELIVERED
from airflow_provider_contacts.page.airflow_data import replay_dags, summary_of
from airflow_provider_contacts.page.answers import Answering, Reports, UntilTheEnd, open_reports
from airflow_provider_contacts.page.confs import replay_conf, settle_conf
from airflow_provider_contacts.page.csv_rows import csv_of
from airflow_provider_contacts.page.problems import NoSummaryError, cause_of
from airflow_provider_contacts.page.queries import RunNo, Task, TaskKey, Text, WhichRows, WhichRuns
from airflow_provider_contacts.page.viewer import OfOneDag, Readable, Seeing, of_dag

router = APIRouter()

MOST_ENTRIES = 200


@router.get("/")
def runs(scope: Readable, which: WhichRuns, reports: Reports, answer: Answering, after: Text = None) -> HTMLResponse:
    """Show the runs of all DAGs that the user may read, newest first."""
    page = reports.runs(scope, which, after)
    return answer(
        "runs.html",
        "runs",
        page=page,
        days=reports.days(scope, which),
        which=which,
        choices=reports.choices(scope),
        next_url=answer.further(page.after),
    )


@router.get("/dags/{dag_id}/runs/{run_no}", dependencies=of_dag)
def run(
    *,
    run_no: RunNo,
    scope: OfOneDag,
    readable: Readable,
    which: WhichRows,
    reports: Reports,
    sight: Seeing,
    answer: Answering,
    after: Text = None,
) -> HTMLResponse:
    """Show one try of one run, and the rows of its run."""
    found = reports.run(scope, run_no)
    if found is None:
        raise HTTPException(404)
    facts = reports.rows_of_run(scope, found)
    # A run that goes on is asked for every few seconds; no row is in that answer, so that none is looked at.
    none: Page[RecordRow] = Page((), None)
    rows = none if answer.block == "live" else reports.rows(scope, found.sync_run_id, which, after)
    return answer(
        "run.html",
        "runs",
        run=found,
        tries=reports.tries(scope, found.sync_run_id),
        facts=facts,
        page=sight.page(rows),
        which=which,
        clear=sight.is_clear(found.dag_id),
        next_url=answer.further(rows.after),
        replay=replay_conf(found.sync_id, facts.codes, which),
        replay_dags=replay_dags(readable.dag_ids or ()),
        settle=settle_conf(found.sync_id, rows.items),
    )


@router.get("/dags/{dag_id}/runs/{run_no}/rows.csv", dependencies=of_dag)
def rows_csv(
    *, run_no: RunNo, scope: OfOneDag, which: WhichRows, reports: Reports, sight: Seeing, until_the_end: UntilTheEnd
) -> Response:
    """Give the rows of a run as CSV."""
    found = reports.run(scope, run_no)
    if found is None:
        raise HTTPException(404)
    rows = until_the_end.enter_context(closing(reports.each_row(scope, found.sync_run_id, which)))
    if clear := sight.is_clear(found.dag_id):
        named = {"status": which.status, "error_code": which.error_code}
        sight.write_down(found.dag_id, sync_run_id=found.sync_run_id, rows_csv=named)
    chunks = csv_of(rows, clear=clear)
    # The first rows are read before the answer begins, so that an error still has a page of its own.
    first = next(chunks)

    def body() -> Iterator[bytes]:
        yield first
        yield from chunks

    headers = {"Content-Disposition": f'attachment; filename="contacts-run-{run_no}.csv"'}
    return StreamingResponse(body(), media_type="text/csv", headers=headers)


@router.get("/dags/{dag_id}/task", dependencies=of_dag)
def task(key: Task, scope: OfOneDag, sight: Seeing, answer: Answering) -> Response:
    """Show the run of a task instance: its page, or its summary alone where there is no table to ask."""
    found, why = run_of_task(scope, key)
    if found is not None:
        return RedirectResponse(f"{answer.viewer.base}/dags/{quote(key.dag_id, safe='')}/runs/{found.run_no}", 303)
    summary = summary_of(**asdict(key))
    if summary is None:
        raise NoSummaryError
    ids = {name: value for name, value in asdict(key).items() if name != "region"}
    entries = [one for one in summary.pop("outcomes", ()) if one["status"] in UNDELIVERED][:MOST_ENTRIES]
    return answer("summary.html", "runs", summary=summary, why=why, entries=sight.entries(key.dag_id, entries), **ids)


def run_of_task(scope: Scope, key: TaskKey) -> tuple[RunRow | None, str]:
    """Return the run of a task instance, or why there is none."""
    try:
        with open_reports() as reports:
            found = reports.run_of_task(scope, **asdict(key))
    except (ConfigError, LedgerError) as error:
        return None, cause_of(error)
    return found, "The outcome table of this page has no run of this task."
