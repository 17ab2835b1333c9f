"""What became of records that a person has named: counts, and places and digests where nothing was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MOST_NAMED = 20
"""Records of each kind that a summary and an error name, by place and digest."""


def counts_of(
    places: Mapping[str, int],
    found: Mapping[str, str],
    digests: Mapping[str, str],
    done: Sequence[str],
    why: Mapping[str, str],
) -> dict[str, Any]:
    """Return the counts of a summary: built-in types alone, and records only by place and digest.

    :param places: place of each name in what was given, from 1.
    :param found: the kind of what became of each name.
    :param done: the kinds that are no more than counted.
    :param why: the other kinds.
    """
    of_kind: dict[str, list[tuple[int, str]]] = {kind: [] for kind in (*done, *why)}
    for name, place in places.items():
        of_kind[found[name]].append((place, digests[name]))
    first = {kind: sorted(of_kind[kind])[:MOST_NAMED] for kind in why if of_kind[kind]}
    return {
        "num_named": len(places),
        **{f"num_{kind}": len(some) for kind, some in of_kind.items()},
        "places": {kind: [place for place, _ in some] for kind, some in first.items()},
        "digests": {kind: [digest for _, digest in some] for kind, some in first.items()},
    }


def reasons_of(summary: Mapping[str, Any], why: Mapping[str, str]) -> str:
    """Return how many records nothing was done for, and why, with their places in what was given, and digests."""
    reasons = []
    for kind, places in summary["places"].items():
        pairs = zip(places, summary["digests"][kind], strict=True)
        names = [f"place {place}, digest {digest}" for place, digest in pairs]
        if more := summary[f"num_{kind}"] - len(names):
            names.append(f"{more} more")
        reasons.append(f"{summary[f'num_{kind}']} {why[kind]} ({', '.join(names)})")
    return "; ".join(reasons)
