"""What this provider is meant to reach, and whether it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.cells import NO_LEDGER, OURS
from bench.figures import START, Figures

MB = 1e6
LINEAR = 1.1
"""Time a record at 1,000,000 rows over that at 100,000 which still counts as linear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target.

    :param measured: ``None`` where it was not measured.
    :param at_least: whether more is better.
    :param unit: of the figures: nothing, ``%`` (as a share) or ``MB``.
    """

    text: str
    measured: float | None
    bound: float
    at_least: bool = True
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.measured is not None and (
            self.measured >= self.bound if self.at_least else self.measured <= self.bound
        )

    @property
    def verdict(self) -> str:
        """Met, or by how much it is missed."""
        if self.measured is None:
            return "not measured"
        return "met" if self.met else f"missed by {self.say(abs(self.measured - self.bound))}"

    def say(self, value: float) -> str:
        """Return a figure with its unit."""
        return {"%": f"{value:.1%}", "MB": f"{value:.1f} MB"}.get(self.unit, f"{value:.2f}{self.unit}")


def targets(found: Figures) -> list[Target]:
    """Return all targets with what was measured."""
    return [*rates(found), *bounds(found), *memory(found), *costs(found)]


def rates(found: Figures) -> Iterator[Target]:
    """Yield those that compare us with others."""
    for text, cell, entry, bound in (
        ("bulk, outcome table, against dlt, SQLite", "bulk-0-sqlite", "dlt", 3.0),
        ("bulk, outcome table, against dlt, PostgreSQL", "bulk-0-postgres", "dlt", 2.0),
        ("bulk, outcome table, against the plain `@task`", "bulk-0-sqlite", "plain", 2.5),
        ("bulk, outcome table, against drt's batches, as they come", "bulk-0-sqlite", "drt", 10.0),
        ("bulk, outcome table, against bare aiohttp that keeps nothing", "bulk-0-sqlite", "aiohttp", 0.4),
        ("one a request, 100 in flight, against bare aiohttp that keeps nothing", "single-0", "aiohttp", 0.6),
    ):
        yield Target(text=text, measured=found.ratio(cell, entry), bound=bound, unit="x")


def bounds(found: Figures) -> Iterator[Target]:
    """Yield those that compare us with what latency allows."""
    for text, name, bound in (
        ("one a request at 100 ms, share of latency's bound", "single-100", 0.95),
        ("bulk at 100 ms, share of latency's bound", "bulk-100", 0.90),
    ):
        cell = next((cell for cell in found.cells if cell.name == name), None)
        yield Target(text=text, measured=found.of_bound(cell, OURS) if cell else None, bound=bound, unit="%")


def memory(found: Figures) -> Iterator[Target]:
    """Yield those of memory: the worst run counts."""
    for source, title in (("sqlite", "SQLite"), ("postgres", "PostgreSQL")):
        less, more = found.peak(f"bulk-0-{source}", OURS), found.peak(f"rows-1m-{source}", OURS)
        yield Target(
            text=f"memory above an empty task at 100,000 rows, {title}",
            measured=less.most / MB if less else None,
            bound=60.0,
            at_least=False,
            unit="MB",
        )
        yield Target(
            text=f"memory at 1,000,000 rows above that at 100,000, {title}",
            measured=(more.most - less.most) / MB if less and more else None,
            bound=5.0,
            at_least=False,
            unit="MB",
        )


def costs(found: Figures) -> Iterator[Target]:
    """Yield what the outcome table, size and shards may cost."""
    for text, name, bound in (
        ("the outcome table's cost at no latency", "bulk-0-sqlite", 0.7),
        ("the outcome table's cost at no latency, PostgreSQL", "bulk-0-postgres", 0.7),
        ("the outcome table's cost at 100 ms", "bulk-100", 0.05),
    ):
        less = found.ratio(name, NO_LEDGER)
        yield Target(text=text, measured=1 / less - 1 if less else None, bound=bound, at_least=False, unit="%")
    for source, title in (("sqlite", "SQLite"), ("postgres", "PostgreSQL")):
        less, more = found.pace(f"bulk-0-{source}", OURS), found.pace(f"rows-1m-{source}", OURS)
        yield Target(
            text=f"time a record at 1,000,000 rows over that at 100,000, {title}",
            measured=more / less if less and more else None,
            bound=LINEAR,
            at_least=False,
            unit="x",
        )
    for source, title in (("sqlite", "SQLite"), ("postgres", "PostgreSQL")):
        yield Target(
            text=f"eight mapped shards at the same time over one task, {title}",
            measured=found.ratio(f"shards-{source}", f"{OURS}-8"),
            bound=1.0,
            at_least=False,
            unit="x",
        )


def start_cost(found: Figures) -> tuple[float, float, float] | None:
    """Return what an empty push adds to an empty task: seconds, seconds of CPU, bytes."""
    wall, cpu, peak = (one(START, "empty-push") for one in (found.wall, found.cpu, found.peak))
    return (wall.median, cpu.median, peak.median) if wall and cpu and peak else None
