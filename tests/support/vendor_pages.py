"""What a page of docs/vendors says of Airflow's form of a connection; needs no package."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.support.pages import ROOT, blocks

VENDORS = ROOT / "docs" / "vendors"
PAGES = {page.stem: page for page in sorted(VENDORS.glob("*.md")) if page.stem != "index"}
ROW = re.compile(r"^\| (.+?) \| `(\w+)` \| .+ \|$", re.MULTILINE)


def form_of(name: str) -> Mapping[str, str]:
    """Return the label of each key that a vendor's page lets the reader fill in."""
    _, _, rest = PAGES[name].read_text("utf-8").partition("| field of the form | key | what to fill in |\n")
    return {key: label for label, key in ROW.findall(rest.partition("\n\n")[0])}


def example_of(name: str) -> dict[str, Any]:
    """Return the connection that a vendor's page shows as JSON."""
    (found,) = blocks(f"docs/vendors/{name}.md", "json")
    example: dict[str, Any] = json.loads(found)
    return example


def uri_of(name: str) -> str:
    """Return the same connection as the URI that the page shows."""
    (found,) = re.findall(
        rf"^export AIRFLOW_CONN_{name.upper()}_DEFAULT='(.*)'$", PAGES[name].read_text("utf-8"), re.MULTILINE
    )
    return str(found)
