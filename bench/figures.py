"""What was measured, and what follows from it: medians, net of an empty Airflow task."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.cells import CONTENDERS, EMPTY, EMPTY_PUSH, OURS, Cell
from bench.limit import Import

START = "start"
"""The cell of the empty tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run.

    :param cell: name of the cell; ``entry``, key of the entry.
    :param wall: seconds, gross, like ``cpu``; ``peak`` is in bytes.
    :param server_cpu: seconds of CPU that PostgreSQL used meanwhile.
    :param broken: what was wrong with it; empty if nothing was. It counts in no median then.
    """

    cell: str
    entry: str
    contender: str
    records: int
    wall: float = 0.0
    cpu: float = 0.0
    peak: int = 0
    server_cpu: float = 0.0
    says: str = ""
    broken: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A median with the least and the most."""

    median: float
    least: float
    most: float


@dataclass(slots=True)
class Figures:
    """Everything that was measured.

    :param cells: that were run.
    :param limits: requests a second that the stub answers, by kind.
    """

    cells: Sequence[Cell]
    samples: list[Sample] = field(default_factory=list)
    limits: dict[str, float] = field(default_factory=dict)
    imports: Import | None = None

    def good(self, cell: str, entry: str) -> list[Sample]:
        """Return the runs of an entry that count."""
        return [one for one in self.samples if (one.cell, one.entry) == (cell, entry) and not one.broken]

    @property
    def broken(self) -> list[Sample]:
        """The runs that count in no median."""
        return [one for one in self.samples if one.broken]

    def records(self, cell: str, entry: str) -> int:
        """Return the records of each run of an entry."""
        return self.good(cell, entry)[0].records

    def wall(self, cell: str, entry: str) -> Spread | None:
        """Return net seconds; ``None`` if there are none."""
        return self._spread(cell, entry, lambda one: one.wall)

    def cpu(self, cell: str, entry: str) -> Spread | None:
        """Return net seconds of CPU."""
        return self._spread(cell, entry, lambda one: one.cpu)

    def peak(self, cell: str, entry: str) -> Spread | None:
        """Return bytes, above an empty Airflow task for who is one; else of the whole process."""
        return self._spread(cell, entry, lambda one: float(one.peak))

    def server_cpu(self, cell: str, entry: str) -> float | None:
        """Return the median of PostgreSQL's seconds of CPU."""
        found = [one.server_cpu for one in self.good(cell, entry)]
        return statistics.median(found) if found else None

    def busy(self, cell: str, entry: str) -> float | None:
        """Return how many cores the processes and PostgreSQL kept busy together, the vendor's stub aside."""
        found = [(one.cpu + one.server_cpu) / one.wall for one in self.good(cell, entry)]
        return statistics.median(found) if found else None

    def pace(self, cell: str, entry: str) -> float | None:
        """Return net seconds a record."""
        wall = self.wall(cell, entry)
        return wall.median / self.records(cell, entry) if wall else None

    def ratio(self, cell: str, entry: str) -> float | None:
        """Return how many times as long as ours it takes for a record."""
        one, ours = self.pace(cell, entry), self.pace(cell, OURS)
        return one / ours if one is not None and ours else None

    def of_bound(self, cell: Cell, entry: str) -> float | None:
        """Return the share of the rate that latency alone allows; our own start is not counted against us."""
        wall = self.wall(cell.name, entry)
        if wall is None or not cell.latency:
            return None
        start = self.wall(START, EMPTY_PUSH) if entry == OURS else None
        return cell.bound(self.records(cell.name, entry)) / (wall.median - (start.median if start else 0.0))

    def save(self, file: Path) -> None:
        """Write the runs as they were."""
        file.parent.mkdir(parents=True, exist_ok=True)
        imports = asdict(self.imports) if self.imports else None
        all_runs = [asdict(one) for one in self.samples]
        file.write_text(json.dumps({"limits": self.limits, "imports": imports, "runs": all_runs}, indent=1))

    def _spread(self, cell: str, entry: str, value: Callable[[Sample], float]) -> Spread | None:
        found = self.good(cell, entry)
        if not found:
            return None
        floor = 0.0
        if entry != EMPTY and CONTENDERS[found[0].contender].in_airflow:
            floor = statistics.median([value(one) for one in self.good(START, EMPTY)] or [0.0])
        values = [value(one) - floor for one in found]
        return Spread(median=statistics.median(values), least=min(values), most=max(values))
