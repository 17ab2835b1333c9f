"""How long a person waits for each page of a large table: ``python -m bench.pages [sqlite postgresql mariadb]``.

A real API server, and 1,000,000 rows of the scenes of ``bench.reports``. Beside them what Airflow's own answers take
on the same server: an empty list of its DAG runs, and the page that its UI is loaded with.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

from sqlalchemy.engine import make_url  # noqa: TID253  # the table is what is measured

from airflow_provider_contacts.ledgers.reports.outcomes import OutcomeReports
from airflow_provider_contacts.ledgers.reports.shapes import RowFilter, Scope
from airflow_provider_contacts.outcome import digest_of
from bench.reports import DAGS, KINDS, SCENES, database, fill
from tests.support.processes import Processes
from tests.support.table_pushing import UrlHook
from tests.support.whole_airflow import free_port, settings

TYPES = {"sqlite": "sqlite", "postgresql": "postgres", "mysql": "mysql"}
REPEATS = 7
ROOT = Path(__file__).resolve().parents[1]
OPENER = build_opener(ProxyHandler({}))


def connection(url: str) -> str:
    """Return Airflow's connection to a database."""
    parts = make_url(url)
    kind = TYPES[parts.get_backend_name()]
    if kind == "sqlite":
        return json.dumps({"conn_type": kind, "host": parts.database})
    place = {"host": parts.host or parts.query.get("host"), "port": parts.port, "schema": parts.database}
    extra = {"unix_socket": parts.query["unix_socket"]} if "unix_socket" in parts.query else {}
    return json.dumps({"conn_type": kind, "login": parts.username, "password": parts.password, **place, "extra": extra})


@contextmanager
def server(folder: Path, conn: str) -> Iterator[str]:
    """Run an API server that knows the DAGs of the table; yield its address."""
    port = free_port()
    mine = {"contacts.outcomes_conn_id": "outcomes", "contacts.show_records": "True"}
    environment = settings(folder, f"sqlite:///{folder / 'airflow.db'}", port, mine)
    processes = Processes(folder, environment | {"AIRFLOW_CONN_OUTCOMES": conn, "PYTHONPATH": str(ROOT)})
    url = f"http://127.0.0.1:{port}"
    try:
        processes.finish("migrate", "-m", "airflow", "db", "migrate")
        with closing(sqlite3.connect(folder / "airflow.db")) as metadata, metadata:
            add_dags(metadata)
        processes.start("api-server", "-m", "airflow", "api-server")
        while True:
            processes.check()
            try:
                OPENER.open(f"{url}/api/v2/version", timeout=60).close()
                break
            except OSError:
                time.sleep(0.3)
        yield url
    finally:
        processes.end()


def add_dags(metadata: sqlite3.Connection) -> None:
    """Add the DAGs, each column that must have a value with one."""
    metadata.execute("INSERT INTO dag_bundle (name, active) VALUES ('b', 1)")
    columns = [row[1:4] for row in metadata.execute("PRAGMA table_info(dag)")]
    for number in range(DAGS):
        known = {"dag_id": f"dag-{number}", "bundle_name": "b", "is_stale": 0, "fileloc": "f"}
        row = {name: known.get(name, 0 if "CHAR" not in kind else "") for name, kind, needed in columns if needed}
        row |= known
        marks = ", ".join("?" * len(row))
        metadata.execute(f"INSERT INTO dag ({', '.join(row)}) VALUES ({marks})", list(row.values()))  # noqa: S608


def pages(database_url: str) -> dict[str, tuple[str, dict[str, str] | None]]:
    """Return path and form of each page."""
    with OutcomeReports.open(UrlHook(database_url), statement_seconds=60) as reports:
        run = reports.runs(Scope(None)).items[0]
        rejected = reports.rows(Scope(None), run.sync_run_id, RowFilter(status="rejected")).items[0]
        doubts = reports.doubts(Scope(None))
    one = f"/contacts/dags/{run.dag_id}/runs/{run.run_no}"
    found: dict[str, tuple[str, dict[str, str] | None]] = {
        "Airflow: no DAG runs": ("/api/v2/dags/~/dagRuns?limit=50", None),
        "Airflow: its UI's page": ("/", None),
        "runs": ("/contacts/", None),
        "runs of one DAG": (f"/contacts/?dag_id={run.dag_id}&status=partial", None),
        "one run": (one, None),
        "one run, rejected": (f"{one}?status=rejected", None),
        "one run, by code": (f"{one}?status=rejected&error_code=taken", None),
        "one record by key": ("/contacts/record", {"key": rejected.record_identifier}),
        "one record by digest": ("/contacts/record", {"key": digest_of(rejected.record_identifier)}),
        "a record never read": ("/contacts/record", {"key": "nobody@example.com"}),
        "in doubt": ("/contacts/doubts", None),
    }
    if doubts:
        sync_id = doubts[0].sync_id
        dag_id = f"dag-{sync_id.removeprefix('sync-')}"
        found["in doubt, one sync"] = (f"/contacts/dags/{dag_id}/doubts?sync_id={quote(sync_id)}", None)
    return found


def asked(url: str, form: dict[str, str] | None) -> Callable[[], bytes]:
    """Return a request."""
    body = None if form is None else urlencode(form).encode()

    def ask() -> bytes:
        with OPENER.open(Request(url, body, {"Accept": "text/html"}), timeout=60) as answer:  # noqa: S310  # loopback
            found: bytes = answer.read()
        return found

    return ask


def measured(ask: Callable[[], bytes]) -> tuple[float, float, int]:
    """Return the median and the least milliseconds of a request behind a first one, and the size of its answer."""
    size, times = len(ask()), list[float]()
    for _ in range(REPEATS):
        begun = time.perf_counter()
        ask()
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times), min(times), size


def main() -> None:
    """Measure, and print a table for each database and scene."""
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    parser.add_argument("databases", nargs="*", metavar="KIND", default=list(KINDS))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--scenes", nargs="*", choices=list(SCENES), default=["30 % in doubt", "one run"])
    chosen = parser.parse_args()
    for flavour in chosen.databases:
        with database(flavour) as (url, _):
            for name in chosen.scenes:
                fill(url, flavour, SCENES[name], chosen.rows)
                print(f"\n{flavour}, {name}, {chosen.rows} rows\n{'ms':26}{'median':>10}{'least':>10}{'bytes':>10}")
                with tempfile.TemporaryDirectory() as folder, server(Path(folder), connection(url)) as address:
                    for page, (path, form) in pages(url).items():
                        median, least, size = measured(asked(f"{address}{path}", form))
                        print(f"{page:26}{median:10.1f}{least:10.1f}{size:10}", flush=True)


if __name__ == "__main__":
    main()
