"""How fast, and in how much memory: ``make bench``, or ``python -m bench.run --help``.

Every run is a fresh process that reads contacts from a warehouse and posts them to a stub of the vendor
(``native/stub.c``: Talkdesk's bulk create, Nedzo's single create). A process says when it has imported what it needs,
waits for the word, and measures itself from there (``clock.py``); what it imports only while it works, counts. An
Airflow task is run by Airflow's own task runner in that process, with its Execution API in memory, and an empty task's
time is taken off (``ours.py``). After each run the stub is asked what it received, and the outcome table how many
records it knows as delivered: anything but each record once makes the run broken, and the bench end with 1.

Contenders of a cell take turns (A B C A B C ...), so that a slow minute of the machine slows all of them.

==================  ===================================================================================================
cell                what is measured
==================  ===================================================================================================
start               an empty Airflow task, and a push without rows, with an outcome table in SQLite and in PostgreSQL
                    (beside it: what importing the operators adds)
bulk-0-sqlite       100,000 records, 100 a request, no latency, from SQLite: the whole path of the operator (query,
                    validate, mark ``sending`` durably, send, read the answer, outcome table in SQLite), the same
                    without a table (the hook's ``push()``), and the peers
bulk-0-postgres     the same from PostgreSQL, outcome table in PostgreSQL, for those that read it
bulk-20, bulk-100   30,000 and 50,000 records at 20 and 100 ms latency, 10 requests in flight; who has one at a time
                    gets fewer
single-0            10,000 records, one a request, 100 in flight, no latency, against the bare clients and drt
single-100          the same at 100 ms
rows-10k, rows-1m   10,000 and 1,000,000 rows, both databases: is the cost linear, does memory stay (100,000 is bulk-0)
shards              100,000 records by one task, and by eight mapped tasks at the same time, in a process each; into
                    PostgreSQL by two and four, too, with what the server used
==================  ===================================================================================================

Peers are programs of their own in ``peers``; what is tuned stands at the top of each (drt is run as it comes, too).
Three of them send one request after another (drt, the Singer target, the plain task): latency costs them in full.
``HttpOperator`` costs a task instance for every batch and is run on few; its figure leaves out the scheduler and the
process that each of them gets, so it is a lower bound.

The allocator's thresholds are pinned for all alike (``process.py``).
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench import limit, stub
from bench.cells import CELLS, CONTENDERS, EMPTY, EMPTY_PUSH, Cell, Entry
from bench.figures import START, Figures, Sample
from bench.job import Job
from bench.picture import picture
from bench.process import BrokenError, Place, run
from bench.report import Circumstances, report
from bench.stub import Stub
from bench.warehouse import Databases
from tests.support.servers import NoServerError, running_postgres

HERE = Path(__file__).resolve().parent
RECORDS = 100_000
SMALL = ("bulk-0", "bulk-100", "single-0", "shards-sqlite")
"""The cells of ``--small``."""


@dataclass(frozen=True, slots=True)
class Bench:
    """All that a run needs.

    :param share: of the cells' records.
    """

    stub: Stub
    place: Place
    databases: Databases
    share: float

    def count(self, cell: Cell, entry: Entry) -> int:
        """Return the records of an entry, in whole requests."""
        wanted = int(cell.records * self.share * entry.share)
        return wanted and max(wanted // cell.batch_size, 1) * cell.batch_size

    def sample(self, cell: Cell, entry: Entry, number: int) -> Sample:
        """Run an entry once."""
        contender, records = CONTENDERS[entry.name], self.count(cell, entry)
        found = Sample(cell=cell.name, entry=entry.key, contender=entry.name, records=records)
        jobs = list(self.jobs(cell, entry, records, f"{cell.name}-{entry.key}-{number}"))
        self.stub.reset(cell.latency)
        before = self.databases.server_cpu()
        try:
            took = run(self.place, contender.program, jobs, of_peers=contender.of_peers)
        except BrokenError as error:
            return replace(found, broken=str(error))
        server_cpu = self.databases.server_cpu() - before
        broken = self.complaint(cell, records, contender.table)
        return replace(
            found,
            wall=took.wall,
            cpu=took.cpu,
            peak=took.peak,
            server_cpu=server_cpu,
            says=took.says,
            broken=broken,
        )

    def jobs(self, cell: Cell, entry: Entry, records: int, folder: str) -> Iterator[Job]:
        """Yield a job for each shard."""
        outcomes = self.databases.outcomes(cell.source)
        for shard in range(entry.shards):
            yield Job(
                way=CONTENDERS[entry.name].way,
                url=self.stub.url,
                kind=cell.kind,
                records=records,
                batch_size=cell.batch_size,
                in_flight=cell.in_flight,
                source=self.databases.source(cell.source),
                outcomes=outcomes,
                folder=str(self.place.folder / "runs" / f"{folder}-{shard}"),
                shards=entry.shards,
                shard=shard,
                extra_path=self.place.extra_path,
            )

    def complaint(self, cell: Cell, records: int, table: str) -> str:
        """Return what is wrong with what arrived; empty if nothing is."""
        counts = self.stub.counts()
        kept = self.databases.kept(cell.source, table) if table else records
        if counts.unreadable or {counts.records, counts.distinct, kept} != {records}:
            kept_text = f", {kept:,} in {table}" if table else ""
            return (
                f"{records:,} records sent; at the stub {counts.records:,}, {counts.distinct:,} of them different, "
                f"{counts.unreadable} unreadable requests{kept_text}"
            )
        return ""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(prog="python -m bench.run", description="How fast, and in how much memory.")
    made.add_argument(
        "--peers", type=Path, help="Python that has dlt, drt and singer-sdk; without it, they are left out"
    )
    made.add_argument("--runs", type=int, help="of every contender (default: 5)")
    made.add_argument("--records", type=int, help=f"of the bulk cells, the others in proportion (default: {RECORDS:,})")
    made.add_argument(
        "--cells", nargs="+", help="beginnings of names (default: all): " + " ".join(c.name for c in CELLS)
    )
    made.add_argument("--contenders", nargs="+", choices=CONTENDERS, help="default: all")
    made.add_argument("--seed", type=int, default=1, help="part of every key (default: %(default)s)")
    made.add_argument("--small", action="store_true", help="few records, one run, a part of the cells")
    made.add_argument("--write", action="store_true", help="bench/RESULTS.md and bench/results.svg")
    return made


def chosen(names: Sequence[str] | None, contenders: Sequence[str] | None, peers: Path | None) -> list[Cell]:
    """Return the cells, the one of empty tasks always among them, without those who are not there."""
    wanted = {EMPTY, EMPTY_PUSH, *(contenders or CONTENDERS)}
    found = [cell for cell in CELLS if cell.name == START or not names or cell.name.startswith(tuple(names))]
    there = [
        replace(cell, entries=[entry for entry in cell.entries if entry.name in wanted and is_there(entry.name, peers)])
        for cell in found
    ]
    return [cell for cell in there if cell.entries]


def is_there(name: str, peers: Path | None) -> bool:
    """Tell whether a contender can be run."""
    return peers is not None or not (CONTENDERS[name].of_peers or name == "http")


@contextmanager
def prepared(options: argparse.Namespace, cells: Sequence[Cell], share: float) -> Iterator[tuple[Bench, str]]:
    """Start the stub and the databases, fill the warehouses, and say which PostgreSQL it is."""
    with ExitStack() as stack:
        running = stack.enter_context(stub.running())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        server = None
        if any(cell.source == "postgres" for cell in cells):
            server = stack.enter_context(running_postgres())
        databases = Databases(folder, server)
        databases.fill(options.seed, int(max(cell.records for cell in cells) * share))
        yield Bench(running, Place(folder, options.peers), databases, share), server.version if server else ""


def measure(bench: Bench, found: Figures, runs: int) -> None:
    """Run all cells, the contenders of each in alternation, and say every figure as it comes."""
    found.limits.update(limit.limits(bench.stub, bench.place))
    # Once for nothing: Airflow writes its configuration, the disk's cache fills.
    for entry in found.cells[0].entries:
        bench.sample(found.cells[0], entry, -1)
    for cell in found.cells:
        print(f"\n{cell.title}", flush=True)
        for number in range(runs):
            for entry in cell.entries:
                if number < entry.most:
                    one = bench.sample(cell, entry, number)
                    found.samples.append(one)
                    figures = f"{one.wall:8.2f} s {one.cpu:8.2f} s CPU {one.peak / 1e6:6.0f} MB  {one.says}"
                    print(f"  {entry.key:15} {one.records:9,} {one.broken or figures}", flush=True)
    found.imports = limit.imports(bench.place, 2 * runs + 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return 1 if a run was broken."""
    options = parser().parse_args(arguments)
    if options.peers and not options.peers.exists():
        parser().error(f"--peers: there is no {options.peers}")
    names = options.cells or (SMALL if options.small else None)
    runs = int(options.runs or (1 if options.small else 5))
    share = float(options.records or (RECORDS / 10 if options.small else RECORDS)) / RECORDS
    found = Figures(chosen(names, options.contenders, options.peers))
    load, began = os.getloadavg()[0], time.monotonic()
    try:
        with prepared(options, found.cells, share) as (bench, postgres):
            measure(bench, found, runs)
    except (stub.NoCompilerError, NoServerError) as error:
        print(error, file=sys.stderr)
        return 1
    circumstances = Circumstances(
        command=shlex.join(["python", "-m", "bench.run", *said(sys.argv[1:] if arguments is None else arguments)]),
        runs=runs,
        seed=options.seed,
        seconds=time.monotonic() - began,
        postgres=postgres,
        load=load,
        share=share,
        left_out=[] if options.peers else ["dlt, drt, Singer and HttpOperator: no --peers"],
    )
    conclude(found, circumstances, write=options.write)
    return 1 if found.broken else 0


def said(arguments: Sequence[str]) -> list[str]:
    """Return the arguments as they are quoted: where somebody keeps the peers is nobody's business."""
    return ["PEERS" if before == "--peers" else one for before, one in zip(["", *arguments], arguments, strict=False)]


def conclude(found: Figures, circumstances: Circumstances, *, write: bool) -> None:
    """Print the report; write it and the picture where that is wanted."""
    text = report(found, circumstances)
    print(f"\n{text}")
    found.save(stub.BUILT / "runs.json")
    (stub.BUILT / "results.svg").write_text(picture(found))
    if write:
        (HERE / "RESULTS.md").write_text(f"{text.rstrip()}\n")
        (HERE / "results.svg").write_text(picture(found))


if __name__ == "__main__":
    sys.exit(main())
