"""How fast files are read, and in how much memory: ``python -m bench.files [--rows 100000 1000000]``.

Each file is read by a process of its own, as a push with ``path`` reads it; what is sent takes no part. docs/files.md
shows what this prints.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from airflow_provider_contacts.sources.file_rows import FileForm
from airflow_provider_contacts.sources.files import rows_of_files

SUFFIXES = ("csv", "csv.gz", "jsonl", "parquet")
COLUMNS = ("contact_id", "first_name", "last_name", "email", "phone", "company", "city", "birthday")


def rows(count: int) -> Iterator[dict[str, str]]:
    """Yield rows of eight columns."""
    for number in range(count):
        yield {name: f"{name} {number * 7919}" for name in COLUMNS}


def write(file: Path, count: int) -> None:
    """Write a file; Parquet in one row group."""
    if file.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(list(rows(count))), file, row_group_size=count)
        return
    with gzip.open(file, "wt") if file.suffix == ".gz" else file.open("w") as target:
        if file.suffix == ".jsonl":
            target.writelines(f"{json.dumps(row)}\n" for row in rows(count))
        else:
            writer = csv.DictWriter(target, COLUMNS)
            writer.writeheader()
            writer.writerows(rows(count))


def read(file: str) -> tuple[int, float, float]:
    """Return how many rows a file has, the seconds that they took, and the peak of the process in MiB."""
    begun = time.perf_counter()
    with rows_of_files(LocalFileSystem(), file, FileForm(), origin="") as source:
        count = sum(1 for _ in source)
    return count, time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print a line a file."""
    parser = argparse.ArgumentParser(prog="python -m bench.files", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    counts = parser.parse_args().rows
    # A new process for each: a peak is that of one file.
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool,
    ):
        for count in counts:
            for suffix in SUFFIXES:
                file = Path(folder, f"{count}.{suffix}")
                write(file, count)
                found, seconds, peak = pool.submit(read, str(file)).result()
                print(f"{found:>9,} rows  {suffix:8} {seconds:6.1f} s {peak:6.0f} MiB")
                file.unlink()


if __name__ == "__main__":
    main()
