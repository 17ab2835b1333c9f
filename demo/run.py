"""The main job, end to end, on this machine alone: 2,000 contacts of a warehouse into five vendors, through Airflow.

Makes an SQLite warehouse and an Airflow home in ``.demo``, serves the five vendors on loopback, runs the example
DAGs twice, prints what became of every record, and ends with 1 if table, XCom, simulator and this summary disagree.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from demo import airflow_home, make_contacts
from demo.agreement import STATUSES, Summary, disagreements, examples, stored_twice
from demo.screen import Screen

ROOT = Path(__file__).resolve().parents[1]
DAGS = ROOT / "example_dags"
VENDORS = ("apptoto", "dex", "intermezzo", "nedzo", "talkdesk")
COLUMNS = ("planned", *STATUSES, "requests")

WORDS = """\
planned    rows that the query gave
succeeded  created: the vendor confirmed it, and its id is in the outcome table
rejected   refused by the vendor          invalid    refused by a check of ours, never sent
skipped    delivered by an earlier run    duplicate  the same row again, not sent again
unknown    sent, and the answer was lost: never sent again by itself; none here, the simulator behaves"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return 0 if everything agrees."""
    parser = argparse.ArgumentParser(description="Push invented contacts to five simulated vendors, through Airflow.")
    parser.add_argument("--rows", type=int, default=2000, help="contacts in the warehouse (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=ROOT / ".demo", help="replaced (default: .demo)")
    options = parser.parse_args(arguments)
    folder: Path = options.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"  # no proxy reaches the simulator
    started = time.monotonic()
    screen = Screen(os.fdopen(os.dup(1), "w"))
    screen.say(f"{options.rows:,} contacts from a warehouse to five vendors, by Airflow, all on this machine.\n")
    with simulator(folder, screen) as (url, connections):
        prepare(folder, options.rows, connections, screen)
        complaints = list(both_runs(folder, url, screen))
    with airflow_home.printing_to(folder / "airflow.log"):
        airflow_home.close()
    screen.say("Some that were not delivered, as the outcome table has them:")
    for row in examples(folder / "outcomes.db"):
        screen.say("  {:9} {:11} {:9} {:22} {}".format(*row))
    screen.say(f"\nEvery record has its row in the table contact_outcomes of {shown(folder / 'outcomes.db')}.")
    screen.say(f"Airflow's log is {shown(folder / 'airflow.log')}, the DAGs are in {shown(DAGS)}.")
    screen.say("\n".join(f"DISAGREES  {text}" for text in complaints) or AGREED.format(time.monotonic() - started))
    return 1 if complaints else 0


AGREED = "Table, XCom, simulator and this summary agree; nothing was created twice. {:.0f} s."


def shown(path: Path) -> str:
    """Return a path as one would type it here."""
    return os.path.relpath(path)


@contextmanager
def simulator(folder: Path, screen: Screen) -> Iterator[tuple[str, dict[str, str]]]:
    """Serve the vendors on a free port; yield the address, and the connections as environment variables."""
    command = [sys.executable, "-m", "airflow_provider_contacts.simulator", "--port", "0"]
    log = folder / "simulator.log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT) as process,
    ):
        try:
            url, connections = "", {}
            with screen.during("the simulator starts"):
                for line in process.stdout or ():
                    if match := re.match(r"Simulator at (\S+)", line):
                        url = match[1]
                    if match := re.match(r"export (AIRFLOW_CONN_\w+)='(.*)'$", line):
                        connections[match[1]] = match[2]
                    if url and len(connections) == len(VENDORS):
                        break
                else:
                    raise SystemExit(f"the simulator did not start: {log.read_text()}")
            screen.say(f"1. Vendors    five of them, simulated at {url}")
            yield url, connections
        finally:
            process.terminate()


def prepare(folder: Path, rows: int, connections: dict[str, str], screen: Screen) -> None:
    """Make the warehouse, and an Airflow that knows it, the vendors and a place for the outcome table."""
    file = folder / "warehouse.db"
    with screen.during("the warehouse is written"):
        dirt = make_contacts.write(file, rows, 1)
    screen.say(
        f"2. Warehouse  {shown(file)}: {rows - dirt.total():,} clean contacts, {dirt.total():,} as real data is, e.g."
    )
    screen.say("              " + ", ".join(f"{count} {kind}" for kind, count in dirt.most_common(4)))
    airflow_home.configure(folder, DAGS, connections)
    with screen.during("Airflow makes its metadata database"), airflow_home.printing_to(folder / "airflow.log"):
        airflow_home.make_database()
    screen.say(f"3. Airflow    {shown(folder / 'airflow')}, with a metadata database of its own\n")


def both_runs(folder: Path, url: str, screen: Screen) -> Iterator[str]:
    """Run every DAG twice, print what became of the records, and yield what does not agree."""
    before = dict.fromkeys(VENDORS, 0)
    for title in ("First run", "Second run: nothing is new in the warehouse, so nothing is sent that was delivered"):
        screen.say(f"{title}\n{'DAG':10}" + "".join(f"{name:>{len(name) + 2}}" for name in COLUMNS))
        found = {}
        # The other examples take what a demo has not: a person, a mail server, several workers.
        for file in (DAGS / f"example_{name}.py" for name in (*VENDORS, "upstream")):
            found[file.stem] = summary_of(file, folder, url, screen)
        stored = stored_at(url)
        screen.say("Contacts at the vendors: " + ", ".join(f"{name} {count:,}" for name, count in stored.items()))
        screen.say(f"\n{WORDS}\n" if before["dex"] == 0 else "")
        yield from (f"{title}: {text}" for text in disagreements(folder / "outcomes.db", found, before, stored))
        before = stored
    for name, count in stored_twice(folder / "outcomes.db").items():
        yield f"{name}: {count} contacts are stored twice"


def summary_of(file: Path, folder: Path, url: str, screen: Screen) -> Summary:
    """Run one DAG, print its line of the table, and return its push's summary."""
    log, name = folder / "airflow.log", file.stem.removeprefix("example_")
    with (
        screen.during(f"{file.stem} runs", lambda: f", contacts at the vendors: {sum(stored_at(url).values()):,}"),
        airflow_home.printing_to(log),
    ):
        run = airflow_home.run(file)
    if run["state"] != "success" or not run["summary"]:
        screen.say("\n".join(log.read_text(errors="replace").splitlines()[-30:]))
        raise SystemExit(f"{file.stem} ended as {run['state']}; what Airflow printed is in {shown(log)}")
    summary: Summary = run["summary"]
    cells = "".join(f"{summary['num_' + column]:>{len(column) + 2},}" for column in COLUMNS)
    screen.say(f"{name:10}{cells}")
    if codes := sorted(summary["error_codes"].items(), key=lambda pair: -pair[1])[:3]:
        screen.say(f"{'':12}" + ", ".join(f"{code} {count}" for code, count in codes))
    return summary


def stored_at(url: str) -> dict[str, int]:
    """Return how many contacts each simulated vendor has."""
    with urlopen(f"{url}/_simulator/summary", timeout=30) as answer:  # noqa: S310  # the simulator on loopback
        found: dict[str, Any] = json.load(answer)
    return {name: int(state["stored"]) for name, state in found.items()}


if __name__ == "__main__":
    sys.exit(main())
