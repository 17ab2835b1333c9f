"""How long the reports take over a large table: ``python -m bench.reports [sqlite postgresql mariadb] [--rows N]``.

The table is filled by statements of the database itself, without a push. Prints milliseconds, and those of CPU, the
server's included, which tell more on a machine that is busy.
"""

# ruff: noqa: S608  # of numbers and names that are our own

from __future__ import annotations

import argparse
import hashlib
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # Airflow brings it, without types
import sqlalchemy as sa  # noqa: TID253  # the table is what is measured

from airflow_provider_contacts.ledgers.reports.connection import ask
from airflow_provider_contacts.ledgers.reports.outcomes import OutcomeReports
from airflow_provider_contacts.ledgers.reports.shapes import RowFilter, Scope
from airflow_provider_contacts.ledgers.sql import ddl
from airflow_provider_contacts.ledgers.sql.tables import Flavour, build
from airflow_provider_contacts.outcome import digest_of
from tests.support.servers import running_mariadb, running_postgres
from tests.support.table_pushing import UrlHook

DAGS = 10
REPEATS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A table.

    :param runs: that wrote it, each the same number of rows; ``size`` of their batches.
    :param in_doubt: of a hundred rows.
    :param payloads: whether every row has one (``store_payload="all"``) and its own status.
    """

    runs: int
    size: int = 100
    in_doubt: int = 0
    payloads: bool = False


SCENES = {
    "100 runs": Scene(runs=100),
    "30 % in doubt": Scene(runs=100, in_doubt=30),
    "one run": Scene(runs=1),
    "one run, all payloads": Scene(runs=1, payloads=True),
    "one run, batches of one": Scene(runs=1, size=1, payloads=True),
}


@dataclass(frozen=True, slots=True)
class Words:
    """What the databases call differently."""

    divided: str
    hours_ago: str
    ids: str
    before: tuple[str, ...]
    after: str


KINDS: dict[Flavour, Words] = {
    "sqlite": Words(
        "/",
        "strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || ({}) || ' hours')",
        "json_group_array(md5(i))",
        ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = OFF"),
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ),
    "postgresql": Words(
        "/",
        "now() - ({}) * interval '1 hour'",
        "array_agg(md5(i::text))",
        ("SET synchronous_commit = off",),
        "VACUUM ANALYZE",
    ),
    "mariadb": Words(
        "DIV",
        "UTC_TIMESTAMP(6) - INTERVAL ({}) HOUR",
        "NULL",
        ("SET sql_mode = 'PIPES_AS_CONCAT'", "SET GLOBAL innodb_buffer_pool_size = 1073741824"),
        "ANALYZE TABLE contact_outcomes_records, contact_outcomes_batches, contact_outcomes_runs",
    ),
}


def counting(last: int) -> str:
    """Return the numbers from 0 as ``n(i)``."""
    return f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {last}) "


def statements(flavour: Flavour, scene: Scene, rows: int) -> Iterator[str]:
    """Yield the statements that make a table of so many rows."""
    each, few = rows // scene.runs, counting(scene.runs - 1)
    yield (
        f"INSERT INTO contact_outcomes_syncs (sync_id, destination, destination_host) {few}"
        f"SELECT 'sync-' || i, 'dex', 'api.example.com' FROM n WHERE i < {DAGS} ORDER BY i"
    )
    counted = f"{each}, {each - each // 100}, {each // 100}, {each - each // 100}, 0, 0, 0, 0, 0, 0"
    moments = ", ".join([KINDS[flavour].hours_ago.format(f"{scene.runs} - 1 - i")] * 3)
    yield (
        "INSERT INTO contact_outcomes_runs (sync_id, sync_no, sync_run_id, try_number, token, dag_id, run_id, task_id, "
        "map_index, status, num_planned, num_succeeded, num_rejected, num_delivered, num_invalid, num_failed, "
        f"num_unknown, num_skipped, num_duplicate, num_held, started_at, updated_at, completed_at) {few}"
        f"SELECT 'sync-' || (i % {DAGS}), i % {DAGS} + 1, 'dag-' || (i % {DAGS}) || '/run-' || i || '/t/-1', 1, 'x', "
        f"'dag-' || (i % {DAGS}), 'run-' || i, 't', -1, 'partial', {counted}, {moments} FROM n ORDER BY i"
    )
    yield from statements_of_rows(flavour, scene, each, counting(rows - 1))


def statements_of_rows(flavour: Flavour, scene: Scene, each: int, whole: str) -> Iterator[str]:
    """Yield the statements that make batches and records, ``each`` so many a run."""
    words = KINDS[flavour]
    run_no = f"(i {words.divided} {each} + 1)"
    token = f"(274877906944 + ({run_no} * 122631549097) % 274877900000)"
    batch_no = f"({token} * 16777216 + (i % {each}) {words.divided} {scene.size})"
    alone, hashed = scene.payloads or flavour == "mariadb", "md5(CAST(i AS CHAR(20)))"
    begun = words.hours_ago.format(f"{scene.runs} - {run_no}")
    yield (
        "INSERT INTO contact_outcomes_batches (batch_no, run_no, status, http_status, batch_started_at, "
        f"batch_completed_at, ids) {whole}SELECT {batch_no} AS number, min({run_no}), "
        f"'{'open' if alone else 'succeeded'}', 201, min({begun}), min({begun}), {'NULL' if alone else words.ids} "
        "FROM n GROUP BY number"
    )
    otherwise = "'succeeded'" if alone else "NULL"
    rejected, doubtful = "i % 100 = 99", f"i % 100 < {scene.in_doubt}"
    text = '\'{"email": "\' || i || \'@example.com", "first_name": "First", "last_name": "Last"}\''
    payload = f"CASE WHEN {rejected} OR {doubtful} OR {int(scene.payloads)} = 1 THEN {text} END"
    payload = f"CAST({payload} AS json)" if flavour == "postgresql" else payload
    yield (
        "INSERT INTO contact_outcomes_records (sync_no, record_identifier, batch_no, place, row_index, attempts, "
        "payload_hash, status, destination_record_id, error_code, error_field, status_message, record_payload) "
        f"{whole}SELECT ({run_no} - 1) % {DAGS} + 1, {hashed} || '@example.com', {batch_no}, i % {scene.size}, "
        f"i % {each}, 1, 'v1:' || {hashed}, CASE WHEN {rejected} THEN 'rejected' WHEN {doubtful} THEN 'unknown' "
        f"ELSE {otherwise} END, CASE WHEN {int(alone)} = 1 AND NOT ({rejected}) THEN {hashed} "
        f"END, CASE WHEN {rejected} THEN 'taken' END, CASE WHEN {rejected} THEN 'email' END, "
        f"CASE WHEN {rejected} THEN 'is taken' END, {payload} FROM n"
    )


def fill(url: str, flavour: Flavour, scene: Scene, rows: int) -> None:
    """Make and fill the tables, anew."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")

    def with_digests(connection: Any, _: Any) -> None:
        connection.create_function("md5", 1, lambda one: hashlib.md5(str(one).encode()).hexdigest())  # noqa: S324  # no secret

    if flavour == "sqlite":
        sa.event.listen(engine, "connect", with_digests)
    tables = build("contact_outcomes", flavour)
    with closing(engine.connect()) as connection:
        for table in tables.every:
            connection.exec_driver_sql(
                f"DROP TABLE IF EXISTS {table.name}{' CASCADE' if flavour == 'postgresql' else ''}"
            )
        connection.exec_driver_sql("DROP VIEW IF EXISTS contact_outcomes")
        for statement in (*KINDS[flavour].before, *filter(str.strip, ddl.ddl(tables).split(";\n"))):
            connection.execute(sa.text(statement))
        for statement in (*statements(flavour, scene, rows), KINDS[flavour].after):
            connection.exec_driver_sql(statement.replace("%", "%%") if flavour != "sqlite" else statement)
    engine.dispose()


def views(reports: OutcomeReports) -> dict[str, Callable[[], Any]]:
    """Return what is measured."""
    scope = Scope(frozenset(f"dag-{number}" for number in range(DAGS)))
    run = reports.runs(scope).items[0]
    own = Scope(frozenset({run.dag_id}))
    page = reports.rows(scope, run.sync_run_id)
    doubts = reports.doubts(scope)
    sync_id = doubts[0].sync_id if doubts else run.sync_id
    in_doubt = reports.rows_in_doubt(scope, sync_id).after
    key = page.items[7].record_identifier
    middle = middle_of(reports, run.run_no)
    return {
        "runs": lambda: reports.runs(scope),
        "days": lambda: reports.days(scope),
        "choices": lambda: reports.choices(scope),
        "run, tries": lambda: (reports.run(own, run.run_no), reports.tries(own, run.sync_run_id)),
        "rows": lambda: reports.rows(own, run.sync_run_id),
        "rows, page 2": lambda: reports.rows(own, run.sync_run_id, after=page.after),
        "rows, the middle": lambda: reports.rows(own, run.sync_run_id, after=middle),
        "rows rejected": lambda: reports.rows(own, run.sync_run_id, RowFilter(status="rejected")),
        "rows failed (none)": lambda: reports.rows(own, run.sync_run_id, RowFilter(status="failed")),
        "rows_of_run": lambda: reports.rows_of_run(own, run),
        "record by key": lambda: reports.record(scope, key),
        "record by digest": lambda: reports.record(scope, digest_of(key)),
        "record, one DAG's": lambda: reports.record(own, digest_of(key)),
        "record, absent": lambda: reports.record(scope, "0" * 12),
        "doubts": lambda: reports.doubts(scope),
        "rows_in_doubt": lambda: reports.rows_in_doubt(scope, sync_id),
        "rows_in_doubt, page 2": lambda: reports.rows_in_doubt(scope, sync_id, after=in_doubt),
    }


def middle_of(reports: OutcomeReports, run_no: int) -> str:
    """Return a cursor in the middle of a run."""
    batches = build("contact_outcomes", "sqlite").batches.c
    of_run = sa.select(batches.batch_no).where(batches.run_no == run_no).order_by(batches.batch_no)
    engine = reports._engine  # noqa: SLF001  # no page needs a cursor of its own making
    found = ask(engine, lambda connection: connection.execute(of_run).scalars().all())
    return f"{run_no}-{found[len(found) // 2]}-0"


@dataclass(slots=True)
class Clock:
    """Measures calls; ``server`` is the database's first process, ``None`` for SQLite, which has none."""

    server: int | None

    def cpu(self) -> float:
        """Return seconds of CPU that this process and the server have used."""
        if self.server is None:
            return time.process_time()
        first = psutil.Process(self.server)
        used: float = time.process_time()
        for process in (first, *first.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                used += times.user + times.system
        ended = first.cpu_times()  # of parallel workers, which live for one query
        used += ended.children_user + ended.children_system
        return used

    def measured(self, work: Callable[[], Any], *, enough: float = 5.0) -> tuple[float, float, float]:
        """Return the median and the least milliseconds of a call, and its CPU."""
        before, times = self.cpu(), list[float]()
        while len(times) < REPEATS and sum(times) < enough:
            begun = time.perf_counter()
            work()
            times.append(time.perf_counter() - begun)
        each = (self.cpu() - before) / len(times)
        return statistics.median(times) * 1000, min(times) * 1000, each * 1000


def measure(url: str, clock: Clock) -> Iterator[str]:
    """Yield what each view takes, and how all rows of a run stream."""

    def line(name: str, work: Callable[[], Any]) -> str:
        median, least, cpu = clock.measured(work)
        return f"{name:24}{median:10.1f}{least:10.1f}{cpu:10.1f}"

    yield line("open", lambda: OutcomeReports.open(UrlHook(url)).close())
    with OutcomeReports.open(UrlHook(url), statement_seconds=120) as reports:
        for name, work in views(reports).items():
            yield line(name, work)
        run = reports.runs(Scope(None)).items[0]
        peak, cpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, clock.cpu()
        count = sum(1 for _ in reports.each_row(Scope(None), run.sync_run_id))
        cpu = (clock.cpu() - cpu) / count * 1e6
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
        yield f"each_row: {count} rows, {cpu:.0f} us of CPU a row, {more:.1f} MB more at the peak"


@contextmanager
def database(flavour: Flavour) -> Iterator[tuple[str, Clock]]:
    """Yield the URL of a database, and what measures it."""
    if flavour == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'outcomes.db'}", Clock(None)
    elif flavour == "postgresql":
        with running_postgres("-c fsync=off -c max_wal_size=4GB") as postgres:
            yield postgres.url(), Clock(postgres.pid())
    else:
        with running_mariadb() as mariadb:
            yield mariadb.url(), Clock(mariadb.process.pid if mariadb.process else None)


def main() -> None:
    """Measure, and print a table for each database."""
    parser = argparse.ArgumentParser(prog="python -m bench.reports", description=__doc__)
    parser.add_argument("databases", nargs="*", metavar="KIND", default=list(KINDS))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--scenes", nargs="*", choices=list(SCENES), default=list(SCENES))
    chosen = parser.parse_args()
    for flavour in chosen.databases:
        with database(flavour) as (url, clock):
            for name in chosen.scenes:
                fill(url, flavour, SCENES[name], chosen.rows)
                title = f"{flavour}, {name}, {chosen.rows} rows"
                print(f"\n{title}\n{'ms':24}{'median':>10}{'least':>10}{'CPU':>10}", flush=True)
                for line in measure(url, clock):
                    print(line, flush=True)


if __name__ == "__main__":
    main()
