"""The links that Airflow shows beside a task."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperatorLink


class VendorDocumentationLink(BaseOperatorLink):
    """The vendor's own page about the request that creates contacts; empty for a plan."""

    name = "Vendor documentation"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002  # Airflow's signature
        """Return its address. Airflow asks at the end of a task, on the worker, and keeps the answer in XCom."""
        # A mapped task that could not be built has no operator of ours.
        return str(getattr(operator, "docs_url", ""))
