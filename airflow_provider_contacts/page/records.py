"""The pages of records: one by its key, and those in doubt."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse

from airflow_provider_contacts.page.airflow_data import replay_dags
from airflow_provider_contacts.page.answers import Answering, Reports
from airflow_provider_contacts.page.confs import settle_conf
from airflow_provider_contacts.page.queries import Id, Text
from airflow_provider_contacts.page.viewer import OfOneDag, Readable, Seeing, of_dag

router = APIRouter()


@router.get("/record")
def ask_for_record(answer: Answering) -> HTMLResponse:
    """Show the form that asks for a key. The key is sent in a body: addresses are written into logs."""
    return answer("record.html", "record", key_given=False, rows=(), clear={}, newest_runs=(), settle={})


@router.post("/record")
def record(
    scope: Readable, reports: Reports, sight: Seeing, answer: Answering, key: Annotated[Text, Form()] = None
) -> HTMLResponse:
    """Show a record under every sync of the DAGs that the user may read."""
    if key is None:
        return ask_for_record(answer)
    rows = reports.record(scope, key)
    settle = {row.sync_id: conf for row in rows if (conf := settle_conf(row.sync_id, [row]))}
    return answer(
        "record.html",
        "record",
        key_given=True,
        rows=sight.shown(rows),
        clear={row.dag_id: sight.is_clear(row.dag_id) for row in rows},
        newest_runs=() if rows else reports.newest_runs(scope),
        settle=settle,
        replay_dags=replay_dags(scope.dag_ids or ()) if settle else (),
    )


@router.get("/doubts")
def doubts(scope: Readable, reports: Reports, answer: Answering) -> HTMLResponse:
    """Show how many records are in doubt, by sync and age."""
    return answer("doubts.html", "doubts", groups=reports.doubts(scope))


@router.get("/dags/{dag_id}/doubts", dependencies=of_dag)
def sync_doubts(
    *,
    dag_id: str,
    sync_id: Id,
    scope: OfOneDag,
    readable: Readable,
    reports: Reports,
    sight: Seeing,
    answer: Answering,
    after: Text = None,
) -> HTMLResponse:
    """Show the records of one sync that are in doubt, as far as runs of the DAG have sent them."""
    page = reports.rows_in_doubt(scope, sync_id, after)
    return answer(
        "sync_doubts.html",
        "doubts",
        sync_id=sync_id,
        dag_id=dag_id,
        page=sight.page(page),
        clear=sight.is_clear(dag_id),
        next_url=answer.further(page.after),
        settle=settle_conf(sync_id, page.items),
        replay={"sync_id": sync_id, "statuses": ["failed"], "error_codes": ["settled_by_hand"]},
        replay_dags=replay_dags(readable.dag_ids or ()),
    )
