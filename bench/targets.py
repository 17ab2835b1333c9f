"""What this provider is meant to reach, and whether it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.cells import EMPTY_PUSH, OURS
from bench.figures import START, Figures

MB = 1e6
LINEAR = 1.1
"""Time a record at 1,000,000 rows over that at 100,000 which still counts as linear."""


STARTS = {START: "SQLite", f"{START}-postgres": "PostgreSQL"}
"""The cells of a push without rows, with the database of its outcome table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target.

    :param measured: ``None`` where it was not measured.
    :param at_least: whether more is better.
    :param unit: behind the figures; ``%`` makes a percentage of a share.
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
        return f"{value:.1%}" if self.unit == "%" else f"{value:.2f}{self.unit}"


def targets(found: Figures) -> list[Target]:
    """Return all targets with what was measured."""
    return [*rates(found), *bounds(found), *memory(found), *starts(found), *growth(found)]


def rates(found: Figures) -> Iterator[Target]:
    """Yield those that compare us with others."""
    for text, cell, entry, bound in (
        ("bulk, outcome table, against dlt, SQLite", "bulk-0-sqlite", "dlt", 1.8),
        ("bulk, outcome table, against drt, tuned, SQLite", "bulk-0-sqlite", "drt-tuned", 1.3),
        ("bulk, outcome table, against the plain `@task`, SQLite", "bulk-0-sqlite", "plain", 3.0),
        ("bulk, outcome table, against dlt, PostgreSQL", "bulk-0-postgres", "dlt", 1.3),
        ("bulk, outcome table, against the plain `@task`, PostgreSQL", "bulk-0-postgres", "plain", 1.3),
        ("one a request, 100 in flight, against bare aiohttp that keeps nothing", "single-0", "aiohttp", 0.55),
    ):
        yield Target(text=text, measured=found.ratio(cell, entry), bound=bound, unit="x")


def bounds(found: Figures) -> Iterator[Target]:
    """Yield those that compare us with what latency allows."""
    for text, name in (
        ("one a request at 100 ms, share of latency's bound", "single-100"),
        ("bulk at 100 ms, share of latency's bound", "bulk-100"),
    ):
        cell = next((cell for cell in found.cells if cell.name == name), None)
        yield Target(text=text, measured=found.of_bound(cell, OURS) if cell else None, bound=0.88, unit="%")


def memory(found: Figures) -> Iterator[Target]:
    """Yield those of memory: the worst run counts."""
    for source, title, bound in (("sqlite", "SQLite", 25.0), ("postgres", "PostgreSQL", 35.0)):
        less, more = found.peak(f"bulk-0-{source}", OURS), found.peak(f"rows-1m-{source}", OURS)
        yield Target(
            text=f"memory above an empty task at 100,000 rows, {title}",
            measured=less.most / MB if less else None,
            bound=bound,
            at_least=False,
            unit=" MB",
        )
        yield Target(
            text=f"memory at 1,000,000 rows above that at 100,000, {title}",
            measured=(more.most - less.most) / MB if less and more else None,
            bound=2.0,
            at_least=False,
            unit=" MB",
        )


def starts(found: Figures) -> Iterator[Target]:
    """Yield what a push without rows may add to an empty task."""
    for (cell, title), bound in zip(STARTS.items(), (0.12, 0.3), strict=True):
        wall = found.wall(cell, EMPTY_PUSH)
        yield Target(
            text=f"a push without rows above an empty task, {title}",
            measured=wall.median if wall else None,
            bound=bound,
            at_least=False,
            unit=" s",
        )


def growth(found: Figures) -> Iterator[Target]:
    """Yield what rows and shards may cost."""
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
