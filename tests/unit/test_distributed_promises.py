"""The checks of ``make distributed`` find what they look for: each case breaks one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.distributed.promises import COUNTED, Contact, Evidence, Kill, Row, Try, broken

# Two shards of four records, two a request. The first died with k2 and k3 under way and k0 and k1 delivered; k7 is
# refused; the answer to k4 and k5 was lost.
SHARDS = [frozenset({"k0", "k1", "k2", "k3"}), frozenset({"k4", "k5", "k6", "k7"})]
REQUESTS = [
    {"number": 1, "status": 201},
    {"number": 2, "status": 0},
    {"number": 3, "status": 201},
    {"number": 4, "status": 201},
]
Change = Callable[[Evidence], Evidence]


def summary(**counts: Any) -> dict[str, Any]:
    names = (*COUNTED, "planned", "changed", "held", "undelivered", "delivered", "requests")
    return {f"num_{name}": counts.pop(name, 0) for name in names} | {"status": "partial"} | counts


def evidence() -> Evidence:
    first = summary(planned=4, skipped=2, delivered=2, unknown=2, undelivered=2, error_codes={"interrupted": 2})
    second = summary(
        planned=4,
        succeeded=1,
        delivered=1,
        unknown=2,
        rejected=1,
        undelivered=3,
        requests=2,
        error_codes={"connection_lost": 2, "OTHER": 1},
    )
    died = dict.fromkeys(first, None) | {"status": "running", "completed_at": None}
    runs = {(0, 1): died, (0, 2): first | {"completed_at": "then"}, (1, 1): second | {"completed_at": "then"}}
    for run in runs.values():
        del run["error_codes"]
    return Evidence(
        shards=SHARDS,
        refused=frozenset({"k7"}),
        batch_size=2,
        dag_state="success",
        tries=[Try(0, 1, "two", "failed"), Try(0, 2, "one", "success"), Try(1, 1, "one", "success")],
        summaries={0: first, 1: second},
        rows=[
            *(Row(key, "succeeded", None, f"id-{key}") for key in ("k0", "k1", "k6")),
            *(Row(key, "unknown", "interrupted", None) for key in ("k2", "k3")),
            *(Row(key, "unknown", "connection_lost", None) for key in ("k4", "k5")),
            Row("k7", "rejected", "OTHER", None),
        ],
        runs=runs,
        contacts=[
            Contact(key, f"id-{key}", number)
            for key, number in {"k0": 1, "k1": 1, "k4": 2, "k5": 2, "k6": 3, "k2": 4, "k3": 4}.items()
        ],
        requests=REQUESTS,
        kill=Kill("two", sending=frozenset({"k2", "k3"}), delivered={0: 2}, batches=2),
    )


def row(key: str, status: str, code: str | None = None) -> Change:
    """Say something else of a record; an empty status takes its row away."""

    def change(one: Evidence) -> Evidence:
        rows = [found for found in one.rows if found.key != key]
        return replace(one, rows=[*rows, Row(key, status, code, f"id-{key}")] if status else rows)

    return change


def contact(*more: Contact, without: str = "") -> Change:
    return lambda one: replace(one, contacts=[*(found for found in one.contacts if found.key != without), *more])


def tries(*changed: Try) -> Change:
    return lambda one: replace(one, tries=changed)


def counter(shard: int, **values: Any) -> Change:
    return lambda one: replace(one, summaries={**one.summaries, shard: {**one.summaries[shard], **values}})


def run(key: tuple[int, int], **values: Any) -> Change:
    return lambda one: replace(one, runs={**one.runs, key: {**one.runs[key], **values}})


def kill(**values: Any) -> Change:
    return lambda one: replace(one, kill=replace(one.kill, **values))


DIED, AGAIN, OTHER = Try(0, 1, "two", "failed"), Try(0, 2, "one", "success"), Try(1, 1, "one", "success")
CASES: dict[str, tuple[str, Change]] = {
    "the run failed": ("airflow: the DAG run", lambda one: replace(one, dag_state="failed")),
    "a task failed": ("airflow: shard 0 ended as failed", tries(DIED, Try(0, 2, "one", "failed"), OTHER)),
    "a task is missing": ("airflow: there are mapped tasks", tries(DIED, AGAIN)),
    "the dead worker lives": ("airflow: shard 0 ended on the worker", tries(DIED, Try(0, 2, "two", "success"), OTHER)),
    "no try died": ("airflow: shard 0 has no try that died", tries(Try(0, 1, "one", "failed"), AGAIN, OTHER)),
    "killed while idle": ("middle: the worker had no task", kill(delivered={})),
    "killed too early": ("middle: no task had delivered", kill(delivered={0: 0})),
    "killed too late": ("middle: no task had delivered", kill(delivered={0: 4})),
    "killed between requests": ("middle: nothing was under way", kill(sending=frozenset())),
    "a row is missing": ("table: 1 records without a row", row("k0", "")),
    "a row too many": ("table: 1 rows of no record", row("k9", "succeeded")),
    "two rows": ("table: 1 records with several rows", lambda one: replace(one, rows=[*one.rows, one.rows[0]])),
    "still sending": ("table: 1 rows are sending", row("k2", "sending")),
    "failed for good": ("table: 1 rows are failed", row("k2", "failed")),
    "sent twice": ("vendor: 1 records are stored more than once", contact(Contact("k2", "id-again", 4))),
    "a foreign contact": ("vendor: 1 contacts belong to no record", contact(Contact("k9", "id-k9", 4))),
    "lost": ("vendor: 1 records are succeeded and not stored", contact(without="k6")),
    "stored and rejected": ("vendor: 1 records are stored and neither", row("k0", "rejected", "OTHER")),
    "another id": ("vendor: 1 rows have another id", contact(Contact("k6", "id-other", 3), without="k6")),
    "rejected without reason": ("vendor: 1 records are rejected that", row("k0", "rejected", "OTHER")),
    "stored though refused": ("vendor: 1 records are stored that", contact(Contact("k7", "id-k7", 3))),
    "doubt forgotten": ("doubt: 1 records were under way", row("k2", "succeeded")),
    "doubt invented": ("doubt: 1 records are in doubt for a kill", row("k0", "unknown", "interrupted")),
    "too much doubt": ("doubt: 3 records are in doubt for 1 lost", row("k6", "unknown", "connection_lost")),
    "a lost answer believed": ("doubt: 1 records are certain", row("k4", "succeeded")),
    "no summary": ("summaries: shard 1 left no summary", lambda one: replace(one, summaries={0: one.summaries[0]})),
    "a wrong count": ("summaries: shard 1: num_rejected is 0", counter(1, num_rejected=0)),
    "one delivered too many": ("summaries: shard 0: num_delivered is 3", counter(0, num_delivered=3)),
    "one skipped too few": ("summaries: shard 0: num_skipped is 1", counter(0, num_skipped=1)),
    "counts that do not add up": ("summaries: shard 0: the counts do not add", counter(0, num_failed=1)),
    "a wrong code": ("summaries: shard 0: error_codes", counter(0, error_codes={"interrupted": 1, "OTHER": 1})),
    "runs say otherwise": ("runs: shard 1: XCom and the row of try 1 differ in num_req", run((1, 1), num_requests=9)),
    "the dead try has an end": ("runs: shard 0: try 1 died", run((0, 1), status="failed")),
    "a try without a row": ("runs: shard 1: try 2 has no row", tries(DIED, AGAIN, OTHER, Try(1, 2, "one", "success"))),
    "a row without a try": ("runs: 3 rows for 2 tries", tries(AGAIN, OTHER)),
    "more requests": ("requests: 6 requests", lambda one: replace(one, requests=[*REQUESTS, *REQUESTS])),
    "fewer requests": ("requests: 0 requests", lambda one: replace(one, requests=REQUESTS[:2])),
}  # fmt: skip


def test_nothing_is_said_where_everything_agrees() -> None:
    assert list(broken(evidence())) == []


@pytest.mark.parametrize(("text", "change"), CASES.values(), ids=CASES)
def test_what_is_broken_is_said(text: str, change: Change) -> None:
    assert [one for one in broken(change(evidence())) if one.startswith(text)]


def test_a_task_that_airflow_stopped_for_being_slow_explains_its_doubts() -> None:
    slow = tries(DIED, AGAIN, OTHER, Try(1, 2, "one", "success"))
    doubted = row("k6", "unknown", "interrupted")
    assert [one for one in broken(doubted(evidence())) if one.startswith("doubt")]
    assert [one for one in broken(doubted(slow(evidence()))) if one.startswith("doubt")] == []
