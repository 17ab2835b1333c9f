"""Airflow on CeleryExecutor with two workers, one of which is killed in the middle: is every record accounted for?

``make distributed``. Starts PostgreSQL, Airflow's processes, two workers and the simulated vendors, pushes the
records of a warehouse by mapped tasks, kills one worker with everything it has started, waits for Airflow to find out
and to try again, and compares Airflow, the outcome table, the table of runs and the vendor. Ends with 1 if any promise
is broken, and leaves nothing behind, whatever happens.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg

from tests.distributed.deployment import DAG, DATABASES, RUN, TASK, WORKERS, Stage, make_tables, stage, start
from tests.distributed.promises import Contact, Evidence, Kill, Row, Try, broken, dead_requests
from tests.support.whole_airflow import fetch

LIMIT = 360
RECORDS, SHARDS, BATCH_SIZE, IN_FLIGHT = 20_000, 8, 50, 2
SIZE = RECORDS // SHARDS
VICTIM = WORKERS[1]
KILL_AT = 0.3
REFUSED = "000"
FAULTS = (
    "talkdesk.latency=100ms-300ms",
    "talkdesk.reply_delay=200ms-400ms",
    f"talkdesk.reject=external_id~{REFUSED}$",
    "talkdesk.http_429=every:23",
    "talkdesk.store_then_drop=every:101",
    "talkdesk.close_before_store=every:151",
)
# Numbers that are kept for films: 555-01xx in a thousand area codes.
WAREHOUSE = f"""
CREATE TABLE contacts AS SELECT number, 'lead-' || lpad(number::text, 6, '0') AS external_id,
  'Given ' || number AS first_name, 'Family ' || number % 977 AS last_name,
  '+1' || 200 + number / 100 || '55501' || lpad((number % 100)::text, 2, '0') AS phone
FROM generate_series(0, {RECORDS - 1}) AS number
"""


SETTINGS = {
    "SHARDS": json.dumps([{"first": first, "end": first + SIZE} for first in range(0, RECORDS, SIZE)]),
    "BATCH_SIZE": str(BATCH_SIZE),
    "MAX_IN_FLIGHT": str(IN_FLIGHT),
}


class BrokenPromisesError(Exception):
    """The run came to its end, and something does not agree."""


def main() -> int:
    """Run it; return 0 if every promise is kept."""
    began = time.monotonic()
    try:
        with stage(LIMIT, FAULTS, SETTINGS) as found:
            compare(found)
    except BrokenPromisesError as error:
        print(error)
        return 1
    print(f"Every promise is kept. {time.monotonic() - began:.0f} s altogether.")
    return 0


def compare(found: Stage) -> None:
    """Run, kill, and compare.

    :raises BrokenPromisesError: with a line for each.
    """
    began = prepare(found)
    kill, noticed = kill_in_the_middle(found, began)
    found.wait("the DAG run has ended", lambda: found.api.dag_state() in {"success", "failed"}, 1.0)
    seconds = time.monotonic() - began
    evidence = collect(found, kill)
    print(report(evidence, seconds, noticed), flush=True)
    if complaints := list(broken(evidence)):
        raise BrokenPromisesError("\n".join(f"BROKEN  {text}" for text in complaints))


def prepare(found: Stage) -> float:
    """Fill the warehouse, start Airflow, begin the run; return the moment."""
    for name in DATABASES:
        found.execute("postgres", f"CREATE DATABASE {name}")
    found.execute("warehouse", WAREHOUSE)
    make_tables(found.processes)
    found.say("databases made")
    start(found.processes)
    found.wait("scheduler, API and DAG are there", found.api.ready)
    found.wait("two workers are there", lambda: all("ready." in found.processes.text(name) for name in WORKERS))
    found.api.trigger()
    return time.monotonic()


def kill_in_the_middle(found: Stage, began: float) -> tuple[Kill, float]:
    """Kill a worker once all its tasks have delivered something; return what stood then, and when Airflow noticed."""
    found.wait("all tasks are at work", lambda: in_the_middle(found), 0.3)
    count = found.processes.kill(VICTIM)
    at = time.monotonic()
    # A commit whose client is dead comes to its end all the same.
    time.sleep(0.5)
    victims = [one["map_index"] for one in found.api.tasks() if on_victim(one)]
    chosen = ", ".join(map(str, victims)) or "-1"
    rows = found.rows(
        "outcomes",
        f"SELECT record_identifier, status, map_index, batch_id FROM contact_outcomes WHERE map_index IN ({chosen})",
    )
    total = delivered(found)
    found.say(f"{VICTIM} killed {at - began:.0f} s into the run, {count} processes, {total / RECORDS:.0%} delivered")
    counts = Counter(row["map_index"] for row in rows if row["status"] == "succeeded")
    kill = Kill(
        worker=VICTIM,
        sending=frozenset(row["record_identifier"] for row in rows if row["status"] == "sending"),
        delivered={index: counts[index] for index in victims},
        batches=len({row["batch_id"] for row in rows}),
    )
    found.wait("Airflow has found the dead tasks", lambda: not any(map(on_victim, found.api.tasks())))
    return kill, time.monotonic() - at


def on_victim(task: dict[str, Any]) -> bool:
    """Tell whether Airflow takes a task to be running on the worker that is killed."""
    return (task["hostname"], task["state"]) == (VICTIM, "running")


def in_the_middle(found: Stage) -> bool:
    done = delivered(found)
    if done < KILL_AT * RECORDS:
        return False
    victims = {one["map_index"] for one in found.api.tasks() if on_victim(one)}
    query = "SELECT DISTINCT map_index, status FROM contact_outcomes WHERE status IN ('succeeded', 'sending')"
    standing = {(row["map_index"], row["status"]) for row in found.rows("outcomes", query)}
    if done > 2 * KILL_AT * RECORDS:
        raise SystemExit("the run is over before its middle has come: the workers' tasks do not overlap")
    return bool(victims) and all({(index, "succeeded"), (index, "sending")} <= standing for index in victims)


def delivered(found: Stage) -> int:
    """Return how many records are at the vendor by the outcome table, which a task has yet to create at first."""
    try:
        (row,) = found.rows("outcomes", "SELECT count(*) AS count FROM contact_outcomes WHERE status = 'succeeded'")
    except psycopg.errors.UndefinedTable:
        return 0
    return int(row["count"])


def collect(found: Stage, kill: Kill) -> Evidence:
    vendor = fetch(f"{found.vendor}/_simulator/state?vendor=talkdesk&requests=true")
    keys = [row["external_id"] for row in found.rows("warehouse", "SELECT external_id FROM contacts ORDER BY number")]
    outcomes = found.rows(
        "outcomes", "SELECT record_identifier, status, error_code, destination_record_id FROM contact_outcomes"
    )
    prefix = f"{DAG}/{RUN}/{TASK}/"
    runs = found.rows("outcomes", "SELECT * FROM contact_outcomes_runs")
    summaries = {shard: found.api.summary(shard) for shard in range(SHARDS)}
    return Evidence(
        shards=[frozenset(keys[first : first + SIZE]) for first in range(0, RECORDS, SIZE)],
        refused=frozenset(key for key in keys if key.endswith(REFUSED)),
        batch_size=BATCH_SIZE,
        dag_state=found.api.dag_state(),
        tries=[
            Try(shard, one["try_number"], one["hostname"], str(one["state"]))
            for shard in range(SHARDS)
            for one in found.api.tries(shard)
        ],
        summaries={shard: summary for shard, summary in summaries.items() if summary is not None},
        rows=[Row(*row.values()) for row in outcomes],
        runs={(int(row["sync_run_id"].removeprefix(prefix)), row["try_number"]): row for row in runs},
        contacts=[
            Contact(one["received"]["external_id"], str(one["id"]), one["request"]) for one in vendor["contacts"]
        ],
        requests=[request for request in vendor["request_log"] if request["kind"] == "write"],
        kill=kill,
    )


WORDS = ("succeeded", "skipped", "rejected", "unknown", "requests")


def report(evidence: Evidence, seconds: float, noticed: float) -> str:
    """Return what happened, in ``seconds`` of which Airflow ``noticed`` the kill after so many."""
    statuses = Counter(row.status for row in evidence.rows)
    stored = {contact.key for contact in evidence.contacts}
    unknown = {row.key for row in evidence.rows if row.status == "unknown"}
    again = sum(request["status"] == 429 for request in evidence.requests)
    kill, died = evidence.kill, dead_requests(evidence)
    lines = {
        "run": f"{seconds / 60:.1f} minutes, {len(evidence.records)} records in {len(evidence.shards)} mapped tasks,"
        f" {evidence.batch_size} a request",
        "records": ", ".join(f"{status} {count}" for status, count in statuses.most_common()),
        "unknown": f"{len(kill.sending)} under way at the kill, {len(unknown - kill.sending)} by lost answers;"
        f" {len(unknown & stored)} exist at the vendor, {len(unknown - stored)} do not",
        "vendor": f"{len(evidence.contacts)} contacts, {len(evidence.contacts) - len(stored)} of them duplicates",
        "kills": f"1: {kill.worker} by SIGKILL, with {len(kill.delivered)} tasks; Airflow knew after {noticed:.0f} s",
        "requests": f"{len(evidence.requests)}: {len(evidence.requests) - died} by tries that ended, {died} by those"
        f" that died; {again} answered 429 and sent again, {len(evidence.unanswered())} never answered",
        "retries": f"{len(evidence.tries) - len(evidence.last_tries())}, by Airflow",
    }
    return "\n".join(["", *(f"{name:9} {text}" for name, text in lines.items()), *tasks(evidence), ""])


def tasks(evidence: Evidence) -> Iterator[str]:
    """Yield a line for each mapped task: who did what."""
    for shard, summary in sorted(evidence.summaries.items()):
        path = " -> ".join(f"{one.worker} {one.state}" for one in evidence.tries if one.shard == shard)
        counts = ", ".join(f"{word} {summary['num_' + word]}" for word in WORDS)
        yield f"shard {shard}   {path:40} {counts}"


if __name__ == "__main__":
    sys.exit(main())
