"""How a demonstration ends: its table, what it has broken of its bounds, and the exit status."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from campaigns.report import revision


def conclude(title: str, lines: Sequence[str], broken: Sequence[str], file: Path | None) -> int:
    """Print the Markdown, write it where that is wanted, and return 1 if a bound is broken, 0 if none is."""
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end, Python {platform.python_version()}"
    circumstances = f"{datetime.now(UTC):%Y-%m-%d}, the code: {revision()}, {machine}"
    verdict = [f"- **broken**: {text}" for text in broken] or ["All bounds are kept."]
    text = "\n".join([f"# {title}", "", circumstances, "", *lines, "", *verdict])
    print(text, flush=True)
    if file is not None:
        file.write_text(f"{text}\n", "utf-8")
    return 1 if broken else 0
