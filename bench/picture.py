"""The picture for the README: bars of how long 100,000 contacts take, as SVG that is readable in light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from bench.cells import CONTENDERS, OURS
from bench.figures import Figures

CELL = "bulk-0-sqlite"
RECORDS = 100_000
SHOWN = {
    "aiohttp": "bare aiohttp: keeps nothing",
    OURS: "this provider: every outcome kept",
    "dlt": "dlt custom destination",
    "plain": "plain @task: pandas, requests",
    "singer": "Singer SDK target",
    "drt-tuned": "drt rest_api, tuned",
    "drt": "drt rest_api, as it comes",
    "http": "HttpOperator, mapped (at least)",
}
WIDTH, LABEL, BAR, STEP, TOP = 760, 250, 380, 30, 52
LONGEST = 3.0
"""Bars are cut at so many times the third longest: one slow tool must not press all others into a line."""

STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.bar { fill: #8c959f } .ours { fill: #0969da } .title { font-weight: 600; font-size: 14px }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .bar { fill: #6e7681 } .ours { fill: #4493f8 } }"""


def picture(found: Figures) -> str:
    """Return the SVG; nothing if the cell was not measured."""
    paces = {name: found.pace(CELL, name) for name in SHOWN}
    seconds = {name: pace * RECORDS for name, pace in paces.items() if pace is not None}
    if OURS not in seconds:
        return ""
    height = TOP + STEP * len(seconds) + 10
    title = f"Seconds for {RECORDS:,} contacts, 100 a request, from SQLite, no latency (shorter is better)"
    inner = "\n".join(bars(seconds))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">\n'
        f'<style>\n{STYLE}\n</style>\n<text class="title" x="10" y="26">{title}</text>\n{inner}\n</svg>\n'
    )


def bars(seconds: dict[str, float]) -> Iterator[str]:
    """Yield a bar and its words for each contender, the fastest first."""
    longest = sorted(seconds.values())
    most = min(longest[-1], longest[max(0, len(longest) - 3)] * LONGEST)
    for place, (name, value) in enumerate(sorted(seconds.items(), key=lambda item: item[1])):
        y = TOP + STEP * place
        width = max(2.0, min(value, most) / most * BAR)
        cut = " »" if value > most else ""
        share = "" if name == OURS else f" ({value / seconds[OURS]:.1f}x)"
        yield f'<text x="{LABEL - 8}" y="{y + 15}" text-anchor="end">{escape(label(name))}</text>'
        yield f'<rect class="{"ours" if name == OURS else "bar"}" x="{LABEL}" y="{y}" width="{width:.1f}" height="21"/>'
        yield f'<text x="{LABEL + width + 6:.1f}" y="{y + 15}">{value:.1f} s{share}{cut}</text>'


def label(name: str) -> str:
    """Return what a contender is called in the picture."""
    return SHOWN.get(name) or re.sub(r"[*`]", "", CONTENDERS[name].title)
