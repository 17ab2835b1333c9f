"""Made-up reports for each template: as they are on a normal day, empty, and hostile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from airflow_provider_contacts.ledgers.reports.shapes import (
    CodeCount,
    DayCounts,
    DoubtGroup,
    Page,
    RecordRow,
    RowFilter,
    RowsOfRun,
    RunFilter,
    RunRow,
)
from airflow_provider_contacts.outcome import RecordError, digest_of

NOW = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}\u202egnp.exe\u200b\x1b[31m\x00\ud800 "


@dataclass(frozen=True)
class Viewer:
    name: str = "Ada Lovelace"
    in_frame: bool = False
    can_download: bool = True
    base: str = "/contacts"
    airflow: str = ""


RUN = RunRow(
    run_no=7, sync_id="crm_nightly/push@talkdesk_default:leads", sync_run_id="crm_nightly/scheduled__2026-12-01/push",
    try_number=1, dag_id="crm_nightly", run_id="scheduled__2026-12-01T03:00:00+00:00", task_id="push_contacts",
    map_index=-1, region=None, status="partial", status_message=None,
    counters={"num_planned": 12480, "num_succeeded": 11902, "num_skipped": 517, "num_rejected": 41, "num_invalid": 12,
              "num_failed": 0, "num_unknown": 8, "num_duplicate": 0, "num_changed": 3, "num_held": 5,
              "num_requests": 131},
    started_at=NOW - timedelta(hours=6), updated_at=NOW - timedelta(hours=6),
    completed_at=NOW - timedelta(hours=6) + timedelta(seconds=94), destination="talkdesk",
    destination_host="api.talkdeskapp.com", destination_object="leads",
)  # fmt: skip
OF_BOTH = {one.name for one in fields(RecordRow)} & {one.name for one in fields(RunRow)}
RUNNING = replace(
    RUN, run_no=9, status="running", completed_at=None, try_number=2,
    counters={"num_planned": 6200, "num_succeeded": 6150, "num_failed": 50, "num_total": 12480, "num_requests": 62},
)  # fmt: skip
ABORTED = replace(
    RUN, run_no=8, status="aborted", counters={}, destination=None, destination_object=None,
    status_message="connection 'talkdesk_default': the credential was refused (HTTP 401): check login and password",
)  # fmt: skip
FAILED = replace(
    RUN, run_no=6, status="failed", dag_id="webinars", task_id="to_dex", map_index=3, destination="dex",
    destination_object=None, status_message="of 40 records 40 failed; first codes: http_429 (40)",
    counters={"num_planned": 40, "num_failed": 40, "num_requests": 5},
)  # fmt: skip
CLEAN = replace(
    RUN, run_no=5, status="succeeded", counters={"num_planned": 250, "num_succeeded": 250, "num_requests": 250}
)


def record(key: Any = "ada@example.com", status: Any = "rejected", **given: Any) -> RecordRow:
    values: dict[str, Any] = dict.fromkeys(one.name for one in fields(RecordRow))
    values |= {name: getattr(RUN, name) for name in OF_BOTH}
    values |= {"record_identifier": key, "digest": digest_of(key), "status": status, "errors": ()}
    values |= {
        "status_message": None,
        "http_status": 200,
        "attempts": 1,
        "row_index": 41,
        "batch_id": "00ff00ff00ff00ff",
    }
    values |= dict.fromkeys(("batch_started_at", "batch_completed_at"), RUN.started_at)
    return RecordRow(**values | given)


def refused(key: str, message: str = "is not a valid phone number: +49 17") -> RecordRow:
    errors = (
        RecordError("INVALID_PHONE", "phone_numbers.0.phone_number", message),
        RecordError("too_long", "last_name", "has 140 characters, at most 100 are taken"),
    )
    payload = '{"first_name": "Ada", "phone_numbers": [{"phone_number": "+49 17", "type": "MOBILE"}]}'
    first = {"error_code": errors[0].code, "error_field": errors[0].field, "status_message": message}
    return record(key, http_status=422, errors=errors, record_payload=payload, **first)


DELIVERED = record("grace@example.com", "succeeded", destination_record_id="td-991823")
IN_DOUBT = record("mary@example.com", "unknown", error_code="read_timeout", http_status=None, attempts=2)
SENDING = record("joan@example.com", "sending", batch_completed_at=None, http_status=None)
INVALID = record("x", "invalid", error_code="missing_key", error_field="email", http_status=None, attempts=0)
SETTLED = record(
    key="hedy@example.com", status="succeeded", destination_record_id="td-5", settled_by="ada", settled_at=NOW,
    sync_id="webinars/to_dex@dex_default", destination="dex", destination_object=None, dag_id="webinars",
    task_id="to_dex", run_no=6,
)  # fmt: skip
VILE = record(
    HOSTILE, error_code=HOSTILE, error_field=HOSTILE, status_message=HOSTILE, destination_record_id=HOSTILE,
    errors=(RecordError(HOSTILE, HOSTILE, HOSTILE), RecordError("b", None, HOSTILE)), settled_by=HOSTILE,
    record_payload='{"name": "\u202e<script>alert(1)</script>"}', destination_object=HOSTILE,
)  # fmt: skip
VILE_RUN = replace(
    RUN, task_id=HOSTILE, dag_id=HOSTILE, run_id=HOSTILE, status_message=f"{HOSTILE}\nnext", region=HOSTILE,
    sync_id=HOSTILE, destination=HOSTILE, destination_object=HOSTILE, destination_host=HOSTILE,
)  # fmt: skip
FACTS = RowsOfRun(
    codes=(
        CodeCount("rejected", "INVALID_PHONE", "phone_numbers.0.phone_number", 33),
        CodeCount("invalid", "missing_key", "email", 12),
        CodeCount("rejected", "too_long", "last_name", 8),
        CodeCount("unknown", "read_timeout", None, 8),
    ),
    num_rows=11963,
    num_taken_over=21,
    num_without_row=517,
)
NO_FACTS = RowsOfRun(codes=(), num_rows=0, num_taken_over=0, num_without_row=0)
CONF = {"sync_id": RUN.sync_id, "statuses": ["failed", "rejected", "invalid"], "error_codes": ["INVALID_PHONE"]}
SETTLE = {
    "sync_id": RUN.sync_id, "found": {digest_of("mary@example.com"): "", digest_of("joan@example.com"): ""},
    "missing": [], "settled_by": "",
}  # fmt: skip


def days() -> list[DayCounts]:
    """Return thirty days, of which the sixth of each week has no push."""

    def counts(number: int) -> dict[str, int]:
        doubts = 18 if number == 17 else number % 3
        delivered = {"succeeded": 9000 + 700 * (number % 5), "skipped": 400}
        return {**delivered, "rejected": number % 11 * 4, "invalid": number % 4 * 3, "unknown": doubts, "failed": 0}

    first = date(2026, 11, 2)
    return [DayCounts(first + timedelta(days=n), {} if n % 7 == 5 else counts(n)) for n in range(30)]


def of_run(**given: Any) -> dict[str, Any]:
    """Return the context of a run's page."""
    rows = Page((refused("ada@example.com"), IN_DOUBT, INVALID, SENDING, DELIVERED), "c2")
    usual: dict[str, Any] = {
        "section": "runs", "run": RUN, "tries": [RUNNING, RUN], "facts": FACTS, "page": rows, "which": RowFilter(),
        "clear": False, "next_url": "/contacts/dags/crm_nightly/runs/7?after=c2", "replay": CONF,
        "replay_dags": ["example_replay"], "settle": SETTLE,
    }  # fmt: skip
    return usual | given


def of_runs(**given: Any) -> dict[str, Any]:
    """Return the context of the list of runs."""
    usual: dict[str, Any] = {
        "section": "runs", "page": Page((RUNNING, ABORTED, RUN, FAILED, CLEAN), "c1"), "days": days(),
        "which": RunFilter(), "choices": {"dag_id": ["crm_nightly", "webinars"], "destination": ["dex", "talkdesk"]},
        "next_url": "/contacts/?after=c1",
    }  # fmt: skip
    return usual | given


def of_record(**given: Any) -> dict[str, Any]:
    """Return the context of the search for one record."""
    usual: dict[str, Any] = {"section": "record", "key_given": True, "clear": {"crm_nightly": True}, "newest_runs": []}
    usual |= {"settle": {}, "replay_dags": ["example_replay"]}
    return usual | {"rows": [refused("ada@example.com"), SETTLED]} | given


def of_doubts(**given: Any) -> dict[str, Any]:
    """Return the context of the syncs in doubt."""
    group = DoubtGroup(
        sync_id=RUN.sync_id, dag_ids=("crm_nightly",), destination="talkdesk", destination_object="leads",
        destination_host="api.talkdeskapp.com", num_unknown=8, num_sending=1, by_age={"hour": 1, "week": 3, "older": 5},
        oldest=NOW - timedelta(days=12), newest=NOW,
    )  # fmt: skip
    vile = replace(group, sync_id=HOSTILE, dag_ids=(HOSTILE, "b"), destination=HOSTILE, destination_object=HOSTILE)
    return {"section": "doubts", "groups": [group, vile]} | given


def of_sync_doubts(**given: Any) -> dict[str, Any]:
    """Return the context of one sync's records in doubt."""
    usual: dict[str, Any] = {
        "section": "doubts", "sync_id": RUN.sync_id, "dag_id": "crm_nightly", "page": Page((IN_DOUBT, SENDING), None),
        "clear": False, "next_url": None, "settle": SETTLE, "replay": CONF, "replay_dags": [],
    }  # fmt: skip
    return usual | given


SUMMARY: dict[str, Any] = {
    "section": "runs",
    "summary": {
        "status": "failed", "sync_id": RUN.sync_id, "destination": "talkdesk", "destination_object": "leads",
        "num_succeeded": 90, "num_rejected": 7, "num_unknown": 3, "started_at": NOW.isoformat(),
        "error_codes": {"read_timeout": 3, "INVALID_PHONE": 7, HOSTILE: 1}, "outcomes_table": None,
    },
    "entries": [{"record": "0123456789ab", "status": "rejected", "error_code": "taken", "error_field": None,
                 "status_message": None}],
    "dag_id": "crm_nightly", "run_id": RUN.run_id, "task_id": RUN.task_id, "map_index": -1,
    "why": "This page has no database: [contacts] outcomes_conn_id is not set.",
}  # fmt: skip
PROBLEM: dict[str, Any] = {
    "section": "runs",
    "title": "The outcome table cannot be reached",
    "status_code": 503,
    "cause": "Connection 'outcomes': the database at db.example:5432 gave no answer within 3 seconds.",
    "way_out": "Check that the API server may reach it, then load this page again.",
}
CONTEXTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "runs": ("runs.html", of_runs()),
    "runs_filtered_to_none": ("runs.html", of_runs(page=Page((), None), which=RunFilter(dag_id="gone"), next_url=None)),
    "runs_none": ("runs.html", of_runs(page=Page((), None), next_url=None)),
    "runs_hostile": ("runs.html", of_runs(page=Page((VILE_RUN,), None), which=RunFilter(dag_id=HOSTILE))),
    "run": ("run.html", of_run()),
    "run_clear": ("run.html", of_run(clear=True, which=RowFilter(status="rejected", error_code="INVALID_PHONE"))),
    "run_running": ("run.html", of_run(run=RUNNING, settle=None)),
    "run_aborted": ("run.html", of_run(run=ABORTED, tries=[ABORTED], facts=NO_FACTS, page=Page((), None), next_url=None,
        replay={}, settle=None)),
    "run_hostile": ("run.html",
        of_run(run=VILE_RUN, page=Page((VILE,), None), clear=True, replay={"sync_id": HOSTILE})),
    "summary": ("summary.html", SUMMARY),
    "record": ("record.html", of_record()),
    "record_asked": ("record.html", of_record(key_given=False, rows=[])),
    "record_none": ("record.html", of_record(rows=[], newest_runs=[CLEAN, FAILED])),
    "record_in_doubt": ("record.html", of_record(rows=[IN_DOUBT, SETTLED], settle={IN_DOUBT.sync_id: SETTLE})),
    "record_hostile": ("record.html", of_record(rows=[VILE])),
    "doubts": ("doubts.html", of_doubts()),
    "doubts_none": ("doubts.html", of_doubts(groups=[])),
    "sync_doubts": ("sync_doubts.html", of_sync_doubts()),
    "sync_doubts_none": ("sync_doubts.html", of_sync_doubts(page=Page((), None))),
    "problem": ("problem.html", PROBLEM),
}  # fmt: skip
