"""An outcome table of two DAGs whose rows tell in every text whose they are, in a vendor's most hostile words."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from airflow_provider_contacts.ledgers.run_identity import RunIdentity
from airflow_provider_contacts.ledgers.sql.open_table import open_ledger
from airflow_provider_contacts.ledgers.sql.table_ledger import SqlLedger
from airflow_provider_contacts.outcome import RecordError, Status, digest_of
from tests.support.ledger_conformance import Claim, Database, answer, batch_of, opening, outcome, put

HOSTILE = (
    "=cmd|'/c calc'!A1 <script>alert(1)</script> \"><img src=x onerror=alert(1)> {{7*7}} "
    "\u202egpj.exe\u2066 \x1b[31m\x00 \r\nSet-Cookie: a=b"
)
HEADERS = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'self'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}
"""Of every answer of the page, whatever it is."""

REFUSED = (Status.REJECTED, Status.FAILED, Status.UNKNOWN)
ENDS = (*REFUSED, Status.SUCCEEDED, Status.INVALID, Status.SENDING)


@dataclass(frozen=True, slots=True)
class Side:
    """One DAG, and the words by which its rows are known.

    :param canary: is in identifiers, messages and payloads, which only some may see.
    :param marker: is in what everybody sees who may see the row at all.
    """

    dag_id: str
    canary: str
    marker: str

    @property
    def sync_id(self) -> str:
        return f"{self.marker}/push@dex"

    @property
    def run_id(self) -> str:
        return f"manual__{self.marker}"

    def key(self, word: str) -> str:
        return f"={self.canary}-{word}<b>\u202e@example.com"

    @property
    def keys(self) -> dict[Status, str]:
        return {status: self.key(status.value) for status in ENDS}

    @property
    def digests(self) -> set[str]:
        return {digest_of(one) for one in (*self.keys.values(), self.key("shared"))}


A = Side("crm_a", "canary-a-person", "marker-a")
B = Side("crm_b", "canary-b-person", "marker-b")
SHARED = "shared"  # a sync_id that both write to
CONTESTED = "canary-contested@example.com"  # a record of it that A has sent and B has taken over


def fill(url: str) -> dict[str, int]:
    """Fill an empty database; return the number of each run: ``crm_a``, ``crm_a shared`` and so on."""
    with closing(Database(url)) as database:
        for side in (A, B):
            push_every_end(opened(database, side, "push", side.sync_id), side)
            push_shared(opened(database, side, "shared", SHARED), side)
        found = database.rows("contact_outcomes_runs")
    return {f"{one['dag_id']}{' shared' * (one['sync_id'] == SHARED)}": one["run_no"] for one in found}


@dataclass(frozen=True, slots=True)
class Route:
    """One request for a page.

    :param dag_id: the DAG in its path, if one is there.
    :param rows: whether records of the side's push are in the answer.
    """

    path: str
    dag_id: str | None = None
    form: dict[str, str] | None = None
    status: int = 200
    rows: bool = False

    @property
    def method(self) -> str:
        return "GET" if self.form is None else "POST"


def routes(runs: dict[str, int], side: Side) -> dict[str, Route]:
    """Return every route of the page, as it leads to one side's rows."""
    dag_id, base = side.dag_id, f"/contacts/dags/{side.dag_id}"
    instance, untold = (
        urlencode({"run_id": side.run_id, "task_id": f"{side.marker}.{task}"}) for task in ("push", "untold")
    )
    return {
        "runs": Route("/contacts/"),
        "runs of one DAG": Route(f"/contacts/?dag_id={dag_id}"),
        "run": Route(f"{base}/runs/{runs[dag_id]}", dag_id, rows=True),
        "CSV": Route(f"{base}/runs/{runs[dag_id]}/rows.csv", dag_id, rows=True),
        "task": Route(f"{base}/task?{instance}", dag_id, status=303),
        "summary": Route(f"{base}/task?{untold}", dag_id, rows=True),
        "form": Route("/contacts/record"),
        "record": Route("/contacts/record", form={"key": side.key("rejected")}),
        "record by digest": Route("/contacts/record", form={"key": digest_of(side.key("rejected"))}),
        "doubts": Route("/contacts/doubts"),
        "doubts of one sync": Route(f"{base}/doubts?sync_id={quote(side.sync_id, safe='')}", dag_id, rows=True),
        "styles": Route("/contacts/static/contacts.css"),
    }


def opened(database: Database, side: Side, task: str, sync_id: str) -> SqlLedger:
    task_id = f"{side.marker}.{task}"
    run = RunIdentity(dag_id=side.dag_id, run_id=side.run_id, task_id=task_id, map_index=-1, try_number=1)
    return open_ledger(opening(sync_id=sync_id, run=run), database.engine())


def push_every_end(ledger: SqlLedger, side: Side) -> None:
    for status in (*REFUSED, Status.SUCCEEDED):
        words = {} if status is Status.SUCCEEDED else told(side)
        answer(ledger, claimed(ledger, side, side.keys[status]), status, **words)
    said = outcome(side.keys[Status.INVALID], Status.INVALID, attempts=0, payload=payload(side), **told(side))
    ledger.record_unsent([said])
    claimed(ledger, side, side.keys[Status.SENDING])
    ends = {f"num_{one.value}": 1 for one in ENDS if one is not Status.SENDING}
    ledger.finish({"num_planned": 6, "num_requests": 5, **ends}, "failed", f"{side.marker} {HOSTILE}")


def push_shared(ledger: SqlLedger, side: Side) -> None:
    for key in (side.key("shared"), CONTESTED):
        answer(ledger, claimed(ledger, side, key), Status.REJECTED, **told(side))
    ledger.finish({"num_planned": 2, "num_requests": 2, "num_rejected": 2}, "failed", side.marker)


def claimed(ledger: SqlLedger, side: Side, key: str) -> list[Claim]:
    claims = [replace(one, payload=payload(side)) for one in batch_of(ledger, key)]
    assert put(ledger, claims) == {key}
    return claims


def payload(side: Side) -> Mapping[str, str]:
    return {"email": f"{side.canary}-payload@example.com", "note": HOSTILE}


def told(side: Side) -> dict[str, Any]:
    text = f"{HOSTILE} {side.canary}-message"
    code = f"={side.marker}<i>"
    return {
        "error_code": code,
        "error_field": f"@{side.marker}<u>",
        "status_message": text,
        "errors": (RecordError(code, "email", text), RecordError("second", "phone", f"{side.canary}-second")),
    }


def summary(side: Side) -> dict[str, Any]:
    """Return what a push of a side without an outcome table leaves in XCom."""
    outcomes = [
        {"record_identifier": key, "row_index": place, "status": status.value, **told(side)}
        for place, (status, key) in enumerate(side.keys.items())
    ]
    for one in outcomes:
        del one["errors"]
    return {
        "sync_id": side.sync_id,
        "sync_run_id": f"{side.dag_id}/{side.run_id}/{side.marker}.untold/-1",
        "destination": "dex",
        "destination_object": None,
        "status": "failed",
        "num_planned": len(outcomes),
        **{f"num_{one.value}": 1 for one in ENDS if one is not Status.SENDING},
        "error_codes": {told(side)["error_code"]: len(outcomes)},
        "outcomes": outcomes,
        "outcomes_complete": True,
    }
