"""The main job, end to end, on this machine alone: 2,000 contacts of a warehouse into five vendors, through Airflow.

Makes an SQLite warehouse and an Airflow home in ``.demo``, serves the five vendors on loopback, runs every example
DAG twice, prints what became of every record, and ends with 1 if table, XCom, simulator and this summary disagree.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / ".demo"
DAGS = HERE.parent / "example_dags"
VENDORS = ("apptoto", "dex", "intermezzo", "nedzo", "talkdesk")
STATUSES = ("succeeded", "rejected", "invalid", "failed", "unknown", "skipped", "duplicate")
ROWS = 2000
PATIENCE = 600

Summaries = dict[str, dict[str, Any]]


def main() -> int:
    """Run the demo; return 0 if everything agrees."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    environment = settings()
    python(environment, HERE / "make_contacts.py", "--rows", str(ROWS), "--out", FOLDER / "warehouse.db")
    print("Airflow: making the metadata database ...", flush=True)
    quiet(environment, "migrate.log", "-m", "airflow", "db", "migrate")
    with simulator() as (url, connections):
        environment |= connections
        complaints = []
        before: dict[str, int] = dict.fromkeys(VENDORS, 0)
        for title in ("First run", "Second run, nothing new in the warehouse"):
            found = run_dags(environment, title)
            stored = {name: int(state["stored"]) for name, state in fetch(f"{url}/_simulator/summary").items()}
            show(title, found, stored)
            complaints += [f"{title}: {text}" for text in disagreements(found, before, stored)]
            before = stored
        complaints += [f"{name}: {count} contacts are stored twice" for name, count in twice(url).items() if count]
    database = os.path.relpath(FOLDER / "outcomes.db")
    print(f"Every record's row is in the table contact_outcomes of the SQLite file {database}")
    print("\n".join(f"DISAGREES  {text}" for text in complaints) or "Table, XCom, simulator and this summary agree.")
    return 1 if complaints else 0


def settings() -> dict[str, str]:
    """Return the environment of an Airflow that knows the demo alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return kept | {
        "AIRFLOW_HOME": str(FOLDER / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(FOLDER / "warehouse.db")}),
        "AIRFLOW_CONN_OUTCOMES": json.dumps({"conn_type": "sqlite", "host": str(FOLDER / "outcomes.db")}),
    }


def python(environment: dict[str, str], *arguments: str | Path) -> None:
    """Run Python and show what it prints."""
    subprocess.run([sys.executable, *map(str, arguments)], check=True, env=environment, timeout=PATIENCE)


def quiet(environment: dict[str, str], log: str, *arguments: str | Path) -> int:
    """Run Python, keep what it prints in a file, and show the end of it where it fails."""
    file = FOLDER / log
    with file.open("wb") as output:
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            check=False,
            env=environment,
            timeout=PATIENCE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        print("\n".join(file.read_text(errors="replace").splitlines()[-30:]))
        raise SystemExit(f"{' '.join(map(str, arguments[:3]))} failed; all it printed is in {file}")
    return done.returncode


@contextmanager
def simulator() -> Iterator[tuple[str, dict[str, str]]]:
    """Serve the vendors on a free port; yield the address and the connections that it prints."""
    command = [sys.executable, "-m", "airflow_provider_contacts.simulator", "--port", "0"]
    with (
        (FOLDER / "simulator.log").open("wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            url, connections = "", {}
            for line in process.stdout or ():
                if match := re.match(r"Simulator at (\S+)", line):
                    url = match[1]
                if match := re.match(r"export (AIRFLOW_CONN_\w+)='(.*)'$", line):
                    connections[match[1]] = match[2]
                if url and len(connections) == len(VENDORS):
                    break
            print(f"Simulator: five vendors at {url}", flush=True)
            yield url, connections
        finally:
            process.terminate()


def run_dags(environment: dict[str, str], title: str) -> Summaries:
    """Run every example DAG by Airflow; return state and summary by DAG."""
    # A replay is for what a push has left, and its summary is not a push's.
    dags = sorted(path for path in DAGS.glob("*.py") if path.stem != "example_replay")
    print(f"{title}: {len(dags)} DAGs ...", flush=True)
    target = FOLDER / "summaries.json"
    quiet(environment, "airflow.log", HERE / "run_dags.py", target, *dags)
    found: Summaries = json.loads(target.read_text())
    return found


def fetch(url: str) -> dict[str, Any]:
    """Return the JSON object behind a loopback URL."""
    with urlopen(url, timeout=30) as answer:  # noqa: S310  # the simulator of this very process
        found: dict[str, Any] = json.load(answer)
    return found


def show(title: str, found: Summaries, stored: dict[str, int]) -> None:
    """Print a table: a line a DAG."""
    names = ("planned", *STATUSES)
    print(f"\n{title}\n{'':19}" + "".join(f"{name:>10}" for name in names) + f"{'requests':>10}{'rec/s':>8}  top codes")
    for dag_id, entry in found.items():
        summary = entry["summary"]
        pace = summary["num_planned"] / max(summary["duration_seconds"], 0.001)
        codes = sorted(summary["error_codes"].items(), key=lambda pair: -pair[1])[:3]
        cells = "".join(f"{summary['num_' + name]:>10}" for name in names)
        print(
            f"{dag_id:19}{cells}{summary['num_requests']:>10}{pace:>8.0f}  "
            + ", ".join(f"{code} {count}" for code, count in codes)
        )
    print("stored at the vendors: " + ", ".join(f"{name} {count}" for name, count in stored.items()) + "\n", flush=True)


def disagreements(found: Summaries, before: dict[str, int], stored: dict[str, int]) -> Iterator[str]:
    """Yield what does not fit together: XCom with itself, with the outcome table, and with the vendors."""
    created = dict.fromkeys(VENDORS, 0)
    for dag_id, entry in found.items():
        summary = entry["summary"]
        if entry["state"] != "success":
            yield f"{dag_id} ended as {entry['state']}"
        if summary["num_planned"] != sum(summary[f"num_{status}"] for status in STATUSES):
            yield f"{dag_id}: the counts do not add up to the records planned"
        created[summary["destination"]] += summary["num_succeeded"]
        if summary["outcomes_table"]:
            rows = table_counts(summary["sync_id"])
            expected = {
                "succeeded": summary["num_succeeded"] + distinct_skipped(summary, rows),
                "rejected": summary["num_rejected"],
                "invalid": summary["num_invalid"],
                "unknown": summary["num_unknown"],
            }
            yield from (
                f"{dag_id}: {rows.get(status, 0)} rows are {status}, XCom says {count}"
                for status, count in expected.items()
                if rows.get(status, 0) != count
            )
    for name in VENDORS:
        if stored[name] - before[name] != created[name]:
            yield f"{name}: {stored[name] - before[name]} contacts were stored, XCom says {created[name]}"


def distinct_skipped(summary: dict[str, Any], rows: dict[str, int]) -> int:
    """Return the records delivered by an earlier run: a skipped key may come more than once in the input."""
    return rows.get("succeeded", 0) - summary["num_succeeded"] if summary["num_skipped"] else 0


def table_counts(sync_id: str) -> dict[str, int]:
    """Return the rows of a sync by status."""
    query = "SELECT status, count(*) FROM contact_outcomes WHERE sync_id = ? GROUP BY status"
    with closing(sqlite3.connect(FOLDER / "outcomes.db")) as database:
        return dict(database.execute(query, (sync_id,)).fetchall())


def twice(url: str) -> dict[str, int]:
    """Return, by vendor, how many outcome rows share a vendor's id: every stored contact belongs to one record."""
    query = (
        "SELECT destination, count(*) - count(DISTINCT destination_record_id) FROM contact_outcomes"
        " WHERE status = 'succeeded' GROUP BY destination"
    )
    with closing(sqlite3.connect(FOLDER / "outcomes.db")) as database:
        shared: dict[str, int] = dict(database.execute(query).fetchall())
    stored = fetch(f"{url}/_simulator/summary")
    return {name: shared.get(name, 0) for name in stored}


if __name__ == "__main__":
    sys.exit(main())
