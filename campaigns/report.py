"""The figures of a campaign as Markdown, and the file that holds them."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from campaigns.kills import MOMENTS, Tally
from campaigns.lost import Row

HERE = Path(__file__).resolve().parent
PACKAGES = (
    "apache-airflow",
    "apache-airflow-providers-common-sql",
    "httptools",
    "SQLAlchemy",
    "psycopg2-binary",
    "PyMySQL",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Under which conditions a campaign ran.

    :param databases: name and version.
    :param left_out: what was not run, and why.
    """

    command: str
    seed: int
    seconds: float
    databases: Sequence[str]
    left_out: Sequence[str]


def lines_of(circumstances: Circumstances) -> Iterator[str]:
    """Yield where and when the figures were taken."""
    found = circumstances
    yield f"- {datetime.now(UTC):%Y-%m-%d}, {found.seconds / 60:.1f} minutes, seed {found.seed}: `{found.command}`"
    yield f"- the code: {revision()}"
    yield f"- {platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    yield f"- {', '.join(installed())}"
    yield f"- outcome tables: {', '.join([f'SQLite {sqlite3.sqlite_version}', *found.databases])}"
    yield f"- peers: {', '.join(pins())}"
    yield from (f"- left out: {text}" for text in found.left_out)


def revision() -> str:
    """Return the commit that is checked out, and whether files of the package differ from it."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        told = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    except FileNotFoundError:  # no git on this machine
        told = ""
    return told.strip() or "not a git checkout"


def installed() -> Iterator[str]:
    """Yield the packages that matter, with their versions."""
    for name in PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue


def pins() -> list[str]:
    """Return the peers' own pins."""
    lines = (HERE / "peers-requirements.txt").read_text().splitlines()
    return [line.replace("==", " ") for line in lines if line.startswith(("dlt==", "drt-core==", "httpx=="))]


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield a Markdown table."""
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    yield from (f"| {' | '.join(f'{cell:,}' if isinstance(cell, int) else cell for cell in row)} |" for row in rows)


def kills_of(tallies: Sequence[Tally]) -> Iterator[str]:
    """Yield the tables of the kills: what became of the records, and where the kills hit."""
    head = ("vendor", "outcome table", "`on_unknown`", "jobs", "records", "tries", "kills", "created twice", "lost",
            "in doubt, there", "in doubt, not there", "failed")  # fmt: skip
    modes = list(dict.fromkeys(tally.on_unknown for tally in tallies))
    sums = [together(tallies, mode) for mode in modes]
    yield from table(head, [cells(tally) for tally in [*tallies, *sums]])
    yield ""
    moments = ((text, *(one.moments[name] for one in sums)) for name, text in MOMENTS.items())
    yield from table(("what a kill left behind", *(f"`{mode}`" for mode in modes)), moments)


def together(tallies: Sequence[Tally], mode: str) -> Tally:
    """Return the sum of all tallies of one mode."""
    total = Tally(vendor="**all**", book="", on_unknown=mode)
    for one in tallies:
        if one.on_unknown == mode:
            total.jobs += one.jobs
            total.tries += one.tries
            total.kills += one.kills
            total.finding += one.finding
            total.moments += Counter(one.moments)
    return total


def cells(tally: Tally) -> tuple[Any, ...]:
    """Return a line of the first table."""
    found = tally.finding
    return (
        tally.vendor, tally.book, f"`{tally.on_unknown}`", tally.jobs, found.records, tally.tries, tally.kills,
        found.twice, found.lost, found.doubted_there, found.doubted_absent, found.failed,
    )  # fmt: skip


def lost_of(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the table of the lost answers."""
    head = ("vendor", "tool", "records", "requests", "lost answers", "contacts created", "contacts too many",
            "records never created", "what the tool says")  # fmt: skip
    yield from table(
        head,
        (
            (row.vendor, row.tool, row.records, row.requests, row.lost, row.created, row.twice, row.never, row.says)
            for row in rows
        ),
    )


def lies_of(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the table of the answers that lie."""
    head = ("vendor", "`on_unknown`", "records", "requests", "of these with a fault", "contacts too many", "lost",
            "succeeded", "in doubt, there", "in doubt, not there", "failed")  # fmt: skip
    found = [(row, row.finding) for row in rows if row.finding]
    yield from table(
        head,
        (
            (row.vendor, f"`{row.on_unknown}`", row.records, row.requests, row.lost, row.twice, one.lost, one.succeeded,
             one.doubted_there, one.doubted_absent, one.failed)
            for row, one in found
        ),
    )  # fmt: skip
