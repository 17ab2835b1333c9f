"""The geometry of the pictures: numbers for SVG attributes, since a page without inline styles has no other place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

DELIVERED = ("succeeded", "skipped", "duplicate")
TROUBLED = ("unknown", "failed", "invalid", "rejected")

LEAST_WIDTH = 1.5
"""Percent of a bar that a count has at least: one lost contact of a million must be seen."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar or column, in percent of its whole."""

    status: str
    count: int
    start: float
    size: float


def bar_of(counters: Mapping[str, int]) -> list[Segment]:
    """Return the counts of a run side by side; what is not settled yet leaves the end of the bar empty."""
    counts = {status: counters.get(f"num_{status}") or 0 for status in (*DELIVERED, *TROUBLED)}
    counts = {status: count for status, count in counts.items() if count}
    whole = max(sum(counts.values()), counters.get("num_total") or 0)
    sizes = {status: max(LEAST_WIDTH, 100 * count / whole) for status, count in counts.items()}
    shrink = min(1.0, 100 / sum(sizes.values())) if sizes else 1.0
    segments, start = list[Segment](), 0.0
    for status, count in counts.items():
        size = sizes[status] * shrink
        segments.append(Segment(status, count, round(start, 2), round(size, 2)))
        start += size
    return segments


@dataclass(frozen=True, slots=True)
class Column:
    """One day of a plot, its segments from the bottom up."""

    day: date
    segments: Sequence[Segment]


@dataclass(frozen=True, slots=True)
class Plot:
    """Columns under one scale.

    :param most: records of the highest column.
    :param totals: records of each status over all columns.
    """

    columns: Sequence[Column]
    most: int
    totals: Mapping[str, int]


def plot_of(days: Sequence[Any], statuses: Sequence[str]) -> Plot:
    """Return a column a day, of the statuses that are asked for."""
    counts = [{status: day.counts.get(status, 0) for status in statuses} for day in days]
    most = max((sum(one.values()) for one in counts), default=0)
    columns = [Column(day.day, stacked(one, most)) for day, one in zip(days, counts, strict=True)]
    return Plot(columns, most, {status: sum(one[status] for one in counts) for status in statuses})


def stacked(counts: Mapping[str, int], most: int) -> list[Segment]:
    """Return counts on top of each other; ``start`` is measured from the top, as SVG does."""
    segments, top = list[Segment](), 100.0
    for status, count in counts.items():
        if count:
            size = 100 * count / most
            top -= size
            segments.append(Segment(status, count, round(top, 2), round(size, 2)))
    return segments
